// Package gameserver is a server that is idle or not: idle while the file
// /home/game/idle is there. `/home/game/idle.sh` tells it by its exit code and a
// message, and so do HTTP requests; any of them can switch it.
//
//	touch /home/game/idle, rm /home/game/idle    from an exec
//	/idle      200 when idle, 503 when not
//	/set/idle, /set/busy
//	/healthz, /version
package gameserver

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"

	"github.com/outrigger-project/outrigger/devcluster/images/web"
)

// idleFile is the switch. It is part of the container, as players are: a new one
// has none and is not idle before it is told so.
const idleFile = "/home/game/idle"

// Run serves on $PORT, 8080 if that is not set.
func Run([]string) error {
	version := os.Getenv("VERSION")
	mux := http.NewServeMux()
	mux.HandleFunc("/idle", func(w http.ResponseWriter, _ *http.Request) {
		if err := Idle(nil); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/set/idle", func(w http.ResponseWriter, _ *http.Request) {
		if err := os.WriteFile(idleFile, nil, 0o644); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/set/busy", func(w http.ResponseWriter, _ *http.Request) {
		if err := os.Remove(idleFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version) })
	return web.Serve("game server "+version, cmp.Or(os.Getenv("PORT"), "8080"), mux)
}

// Idle is idle.sh: it fails while there are players.
func Idle([]string) error {
	if _, err := os.Stat(idleFile); err != nil {
		return errors.New("players are connected")
	}
	return nil
}
