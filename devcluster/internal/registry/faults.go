package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// faultsPath is where faults are set, by PUT of a Fault as JSON.
const faultsPath = "/-/fault"

// Fault makes the pulls of one repository slow or fail, until it is replaced.
type Fault struct {
	// Host is Host or PrivateHost; Repository is an image's name without host
	// and tag, such as library/nginx.
	Host       string `json:"host"`
	Repository string `json:"repository"`
	// Delay is added to each pull of an image that the node does not have: to
	// the one request for its manifest, so once and not per layer.
	Delay time.Duration `json:"delay,omitempty"`
	// Status is what requests for manifests are answered with, such as 500; 0
	// for the true answer.
	Status int `json:"status,omitempty"`
}

// Check tells what is wrong with a fault.
func (f Fault) Check() error {
	switch {
	case f.Host != Host && f.Host != PrivateHost:
		return fmt.Errorf("host %q: there are %s and %s", f.Host, Host, PrivateHost)
	case f.Repository == "":
		return errors.New("a fault needs a repository")
	case f.Delay < 0 || f.Delay > time.Hour:
		return fmt.Errorf("delay %s: from 0s to 1h", f.Delay)
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status %d: an error of HTTP, from 400 to 599, or 0", f.Status)
	}
	return nil
}

type faults struct {
	mu           sync.Mutex
	byRepository map[string]Fault // HOST/REPOSITORY
}

func (f *faults) put(w http.ResponseWriter, req *http.Request) {
	var fault Fault
	if err := json.NewDecoder(req.Body).Decode(&fault); err != nil {
		http.Error(w, "decode the fault: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := fault.Check(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byRepository[fault.Host+"/"+fault.Repository] = fault
}

// wrap applies the faults of a host.
func (f *faults) wrap(host string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		repository, _, ok := manifestOf(req.URL.Path)
		if !ok || req.Method != http.MethodGet && req.Method != http.MethodHead {
			next.ServeHTTP(w, req)
			return
		}
		f.mu.Lock()
		fault := f.byRepository[host+"/"+repository]
		f.mu.Unlock()
		if fault.Delay > 0 && req.Method == http.MethodGet {
			select {
			case <-time.After(fault.Delay):
			case <-req.Context().Done():
				return
			}
		}
		if fault.Status != 0 {
			http.Error(w, `{"errors":[{"code":"UNKNOWN","message":"a fault of the test"}]}`, fault.Status)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// manifestOf splits /v2/REPOSITORY/manifests/REFERENCE.
func manifestOf(path string) (repository, reference string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return "", "", false
	}
	i := strings.LastIndex(rest, "/manifests/")
	if i <= 0 {
		return "", "", false
	}
	return rest[:i], rest[i+len("/manifests/"):], true
}
