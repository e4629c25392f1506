package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

const (
	// holdLimit is how long an admitted SidecarSet is waited for. One that does not show up within this time was
	// refused by somebody after us.
	holdLimit = 5 * time.Second
	// patience is how long one Pod waits, within the webhook's timeout of 5 s. Then it is refused: it would run
	// without a sidecar that it should have.
	patience = 4 * time.Second
)

// Admitted remembers the SidecarSets that were admitted here and are not visible here yet. That takes milliseconds,
// or a second or two when the watch is being opened anew: the API server ends the watches of a kind whose
// CustomResourceDefinition changes, which every new caBundle does. A Pod that is created meanwhile and that such
// a set selects waits, so that one file with a SidecarSet and a Pod is injected always and not just usually.
//
// It knows what this replica admitted. A Pod that reaches another replica meanwhile may still be answered
// without the set.
type Admitted struct {
	now func() time.Time

	mu      sync.Mutex
	waiting map[string]admittedSet
	// seen is closed, and replaced, when a set becomes visible.
	seen chan struct{}
}

type admittedSet struct {
	uid        types.UID
	generation int64
	scope      scope.Scope
	until      time.Time
}

// NewAdmitted returns an Admitted that waits for nothing.
func NewAdmitted() *Admitted {
	return &Admitted{now: time.Now, waiting: map[string]admittedSet{}, seen: make(chan struct{})}
}

// Expect is called when a SidecarSet is about to be admitted.
func (a *Admitted) Expect(set *v1beta1.SidecarSet, s scope.Scope) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[set.Name] = admittedSet{set.UID, set.Generation, s, a.now().Add(holdLimit)}
}

// Seen is called when the Pod webhook knows a SidecarSet as the watch shows it.
func (a *Admitted) Seen(set *v1beta1.SidecarSet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w, waiting := a.waiting[set.Name]
	if !waiting || w.uid == set.UID && set.Generation < w.generation {
		return
	}
	delete(a.waiting, set.Name)
	close(a.seen)
	a.seen = make(chan struct{})
}

// Hold returns a handler that lets reviews of Pods wait where they must, before next answers them.
func (a *Admitted) Hold(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.idle() {
			next.ServeHTTP(w, r)
			return
		}
		body, err := readBody(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var review struct {
			Request struct {
				Object struct {
					Metadata struct {
						Labels map[string]string `json:"labels"`
					} `json:"metadata"`
				} `json:"object"`
			} `json:"request"`
		}
		if json.Unmarshal(body, &review) == nil { // what is no review, next refuses
			if !a.wait(r.Context(), review.Request.Object.Metadata.Labels) {
				http.Error(w, "a SidecarSet that selects this pod was admitted a moment ago and is not visible yet: try again", http.StatusServiceUnavailable)
				return
			}
		}
		r.Body = http.NoBody
		if len(body) > 0 {
			r.Body = readCloser{bytes.NewReader(body)}
		}
		next.ServeHTTP(w, r)
	})
}

type readCloser struct{ *bytes.Reader }

// Close implements io.Closer.
func (readCloser) Close() error { return nil }

func (a *Admitted) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting) == 0
}

// wait returns true when no set that is waited for selects the labels, false when patience ends first.
func (a *Admitted) wait(ctx context.Context, podLabels map[string]string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		left, seen := a.left(podLabels)
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
		case <-seen:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return false
		}
	}
}

// left tells how long such labels have to wait at most, and what ends the waiting earlier.
func (a *Admitted) left(podLabels map[string]string) (time.Duration, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var longest time.Duration
	for name, w := range a.waiting {
		left := w.until.Sub(a.now())
		if left <= 0 {
			delete(a.waiting, name)
			continue
		}
		// Labels of the namespace are not known here; a set that asks for them is waited for as well.
		if (scope.Scope{Pods: w.scope.Pods}).Matches(podLabels, nil) {
			longest = max(longest, left)
		}
	}
	return longest, a.seen
}
