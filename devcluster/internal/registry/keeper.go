package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
)

// keeper writes manifests to a folder as they are pushed: go-containerregistry
// keeps only blobs on disk, and a registry that was killed must know its images.
type keeper struct {
	folder string
	next   http.Handler
}

// manifest is a push as it is kept.
type manifest struct {
	Path string `json:"path"`
	Type string `json:"type"`
	Body []byte `json:"body"`
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if _, _, ok := manifestOf(req.URL.Path); !ok || req.Method != http.MethodPut {
		k.next.ServeHTTP(w, req)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m := manifest{Path: req.URL.Path, Type: req.Header.Get("Content-Type"), Body: body}
	// Kept first: what was answered with success must be there after a crash.
	if err := k.keep(m); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	k.next.ServeHTTP(w, req)
}

func (k *keeper) keep(m manifest) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	if err := os.MkdirAll(k.folder, 0o700); err != nil {
		return fmt.Errorf("keep manifest: %w", err)
	}
	path := filepath.Join(k.folder, url.PathEscape(m.Path))
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("keep manifest: %w", err)
	}
	return os.Rename(path+".new", path)
}

// restore pushes what is kept into the registry behind.
func (k *keeper) restore() error {
	entries, err := os.ReadDir(k.folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(k.folder, e.Name()))
		if err != nil {
			return err
		}
		var m manifest
		if filepath.Ext(e.Name()) == ".new" || json.Unmarshal(b, &m) != nil {
			continue // a push that was cut off
		}
		req, err := http.NewRequest(http.MethodPut, m.Path, bytes.NewReader(m.Body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", m.Type)
		answer := httptest.NewRecorder()
		k.next.ServeHTTP(answer, req)
		if answer.Code >= http.StatusBadRequest {
			return fmt.Errorf("%s: %s", m.Path, answer.Body.String())
		}
	}
	return nil
}
