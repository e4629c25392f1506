// Package web is a web server that says its version. It listens on $PORT, 8080
// if that is not set.
//
//	/         web VERSION on HOSTNAME, up for …
//	/version  VERSION
//	/healthz  ok
package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/outrigger-project/outrigger/devcluster/images/tools"
)

// Run serves until it is told to end.
func Run([]string) error {
	version, started := os.Getenv("VERSION"), time.Now()
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "web %s on %s, up for %s\n", version, host, time.Since(started).Round(time.Millisecond))
	})
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version) })
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return Serve("web "+version, cmp.Or(os.Getenv("PORT"), "8080"), mux)
}

// Serve serves on a port until the program is told to end, and says so.
func Serve(who, port string, handler http.Handler) error {
	end := tools.Terminated()
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Printf("%s serves on port %s\n", who, port)
	select {
	case err := <-failed:
		return err
	case s := <-end:
		fmt.Printf("%s stops: %s\n", who, s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
