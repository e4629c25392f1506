// Package proxy passes requests on to the application of its pod and adds its
// version to the answers, in the header X-Proxy-Version. It shares its port with
// another version of itself, so that one can take over from the other.
//
// Variables: PORT (default 15001), TARGET (default http://127.0.0.1:8080).
// /proxy/healthz is its own.
package proxy

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/outrigger-project/outrigger/devcluster/images/tools"
)

// listensFile is there when the proxy listens.
const listensFile = "/tmp/proxy-listens"

// Run serves until it is told to end, then finishes what it has begun.
func Run([]string) error {
	end, version := tools.Terminated(), os.Getenv("VERSION")
	target, err := url.Parse(cmp.Or(os.Getenv("TARGET"), "http://127.0.0.1:8080"))
	if err != nil {
		return err
	}
	pass := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error { r.Header.Set("X-Proxy-Version", version); return nil },
	}
	mux := http.NewServeMux()
	mux.Handle("/", pass)
	mux.HandleFunc("/proxy/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version) })
	shared := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return cmp.Or(err, failed)
	}}
	l, err := shared.Listen(context.Background(), "tcp", ":"+cmp.Or(os.Getenv("PORT"), "15001"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(listensFile, nil, 0o644); err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	fmt.Printf("proxy %s passes %s on to %s\n", version, l.Addr(), target)
	select {
	case err := <-failed:
		return err
	case <-end:
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}
