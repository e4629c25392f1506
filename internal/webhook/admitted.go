package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

const (
	// holdLimit is how long an admitted SidecarSet is remembered. The API server ends every request within 60 s,
	// but stores right after it has asked us; what has not shown up by then was refused by somebody after us.
	holdLimit = 10 * time.Second
	// watchDelay is how long a Pod waits for the watch before the API server is asked. The watch needs
	// milliseconds, or a second or two when it is being opened anew: the API server ends the watches of a kind
	// whose CustomResourceDefinition changes, which every new caBundle does.
	watchDelay = 100 * time.Millisecond
)

// LiveSets reads a SidecarSet from the API server itself, not from a cache.
type LiveSets func(ctx context.Context, name string) (*v1beta1.SidecarSet, error)

// Admitted remembers the SidecarSets that were admitted here and are not visible here yet. A Pod that is created
// meanwhile and that such a set selects waits for the watch and then, instead of guessing, asks the API server: what
// it says holds for this Pod. So one file with a SidecarSet and a Pod is injected always and not just usually, a
// set that was refused after us delays a Pod and no more, and at all other times nothing is read.
//
// It knows what this replica admitted. A Pod that reaches another replica meanwhile may still be answered
// without the set.
type Admitted struct {
	now  func() time.Time
	live LiveSets

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
func NewAdmitted(live LiveSets) *Admitted {
	return &Admitted{now: time.Now, live: live, waiting: map[string]admittedSet{}, seen: make(chan struct{})}
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

// unseen names the sets that are waited for, sorted.
func (a *Admitted) unseen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for name, w := range a.waiting {
		if !a.now().After(w.until) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Hold returns a handler that answers reviews of Pods as pods does, and with the sets that are waited for.
func (a *Admitted) Hold(pods *PodHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.idle() {
			pods.ServeHTTP(w, r)
			return
		}
		body, err := readBody(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fresh, err := a.wait(r.Context(), labelsOf(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		pods.answer(w, body, fresh)
	})
}

// labelsOf reads a reviewed Pod's labels; what is no review, the handler refuses.
func labelsOf(body []byte) map[string]string {
	var review struct {
		Request struct {
			Object struct {
				Metadata struct {
					Labels map[string]string `json:"labels"`
				} `json:"metadata"`
			} `json:"object"`
		} `json:"request"`
	}
	if json.Unmarshal(body, &review) != nil {
		return nil
	}
	return review.Request.Object.Metadata.Labels
}

func (a *Admitted) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting) == 0
}

// wait returns when no set that is waited for selects the labels, or with what the API server has of those that do.
func (a *Admitted) wait(ctx context.Context, podLabels map[string]string) ([]*v1beta1.SidecarSet, error) {
	timer := time.NewTimer(watchDelay)
	defer timer.Stop()
	for {
		names, seen := a.selecting(podLabels)
		if len(names) == 0 {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-seen:
		case <-timer.C:
			return a.look(ctx, names)
		}
	}
}

// look reads sets from the API server. One that is not there now was not there when the Pod came.
func (a *Admitted) look(ctx context.Context, names []string) ([]*v1beta1.SidecarSet, error) {
	var fresh []*v1beta1.SidecarSet
	for _, name := range names {
		set, err := a.live(ctx, name)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read SidecarSet %s, which was admitted a moment ago: %w", name, err)
		}
		fresh = append(fresh, set)
	}
	return fresh, nil
}

// selecting returns the sets that are waited for and select such labels, sorted, and what tells of news.
func (a *Admitted) selecting(podLabels map[string]string) ([]string, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for name, w := range a.waiting {
		if a.now().After(w.until) {
			delete(a.waiting, name)
			continue
		}
		// Labels of the namespace are not known here; a set that asks for them is waited for as well.
		if (scope.Scope{Pods: w.scope.Pods}).Matches(podLabels, nil) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, a.seen
}
