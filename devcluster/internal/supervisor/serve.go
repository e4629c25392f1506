package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// server answers on the control socket.
type server struct {
	http   *http.Server
	socket string
}

// serve listens on the control socket. A socket file that is there is a
// leftover: whoever made it no longer holds the folder's lock.
func (s *Supervisor) serve() (*server, error) {
	socket := s.dir.Socket()
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale control socket: %w", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("protect control socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.handleStatus)
	mux.HandleFunc("POST /stop", s.handleStop)
	mux.HandleFunc("POST /restart", s.handleRestart)
	srv := &server{http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, socket: socket}
	go func() {
		if err := srv.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.stop(fmt.Errorf("control socket: %w", err))
		}
	}()
	return srv, nil
}

func (s *server) close() {
	s.http.Close() // also removes the socket file
}

func (s *Supervisor) handleStatus(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.observe(r.Context())); err != nil {
		fmt.Fprintln(os.Stderr, "devcluster: cannot answer status:", err)
	}
}

func (s *Supervisor) handleStop(http.ResponseWriter, *http.Request) {
	s.stop(errStop)
}

func (s *Supervisor) handleRestart(w http.ResponseWriter, r *http.Request) {
	var req wire.RestartRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, "decode request: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.restart(r.Context(), req); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}
