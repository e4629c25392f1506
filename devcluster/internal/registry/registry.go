// Package registry is the image registry of a cluster with real nodes: a public
// and a private part, each a registry of go-containerregistry with its images
// kept in the cluster's folder, plain HTTP, on an address that only the nodes
// and this machine reach.
//
// Tests make it slow or broken with faults, per repository. What images there
// are in the beginning is package images' business. Start reading at Serve.
package registry

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// Registry is both parts.
type Registry struct {
	parts  map[string]http.Handler // by host
	faults *faults
}

// Open reads what is kept in a folder.
func Open(folder string) (*Registry, error) {
	r := &Registry{parts: map[string]http.Handler{}, faults: &faults{byRepository: map[string]Fault{}}}
	for host := range ports() {
		part := filepath.Join(folder, host)
		blobs := filepath.Join(part, "blobs")
		if err := os.MkdirAll(blobs, 0o700); err != nil {
			return nil, fmt.Errorf("make the registry's folder: %w", err)
		}
		handler := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithBlobHandler(ggcr.NewDiskBlobHandler(blobs)))
		kept := &keeper{folder: filepath.Join(part, "manifests"), next: handler}
		if err := kept.restore(); err != nil {
			return nil, fmt.Errorf("read the images of %s: %w", host, err)
		}
		r.parts[host] = kept
	}
	return r, nil
}

// Handler is one part as clients see it.
func (r *Registry) Handler(host string) http.Handler {
	mux := http.NewServeMux()
	part := r.faults.wrap(host, r.parts[host])
	if host == PrivateHost {
		part = authenticated(part)
	}
	mux.Handle("/", part)
	if host == Host {
		mux.HandleFunc("PUT "+faultsPath, r.faults.put)
	}
	return mux
}

// Serve answers on the address until ctx ends.
func (r *Registry) Serve(ctx context.Context, address string) error {
	var (
		all    sync.WaitGroup
		errs   = make(chan error, len(ports()))
		listen net.ListenConfig
	)
	for host, port := range ports() {
		l, err := listen.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("listen for %s: %w", host, err)
		}
		server := &http.Server{Handler: r.Handler(host), ReadHeaderTimeout: 10 * time.Second}
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		all.Go(func() { errs <- server.Serve(l) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if !errors.Is(err, http.ErrServerClosed) {
			return err
		}
	}
	return nil
}

// The user that the private part knows.
const (
	User     = "puller"
	Password = "devcluster"
)

// authenticated asks for the user's name and password.
func authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(User+":"+Password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="devcluster"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, req)
	})
}
