package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script answers patches by the Pod's name, after a while.
type script struct {
	*testkit.API // its revisions
	takes        time.Duration
	answers      map[string]error

	mu       sync.Mutex
	started  []string
	inFlight int
	most     int
}

func (s *script) Patch(ctx context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, patch []byte) (string, error) {
	if resource != pods() {
		return s.API.Patch(ctx, resource, subresource, namespace, name, patch)
	}
	if subresource != "" {
		name = subresource + " of " + name
	}
	s.mu.Lock()
	s.started = append(s.started, name)
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(s.takes):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	return "7", errors.Join(ctx.Err(), s.answers[name])
}

func (s *script) Look(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (metav1.ObjectMeta, error) {
	if resource != pods() {
		return s.API.Look(ctx, resource, namespace, name)
	}
	return metav1.ObjectMeta{UID: types.UID("uid-" + name), ResourceVersion: "7"}, s.answers["look "+name]
}

func steps(n int) plan.Plan {
	var p plan.Plan
	for i := range n {
		p.Steps = append(p.Steps, plan.Step{Verb: plan.UpdateInPlace, Unit: unit(fmt.Sprintf("p%02d", i))})
	}
	return p
}

func owner() Owner { return Owner{Kind: "Test", Name: "owner"} }

func TestDo_startsInPlanOrderAndBoundsWritesInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{takes: time.Second}
		h := NewHands(s, 4, time.Now)
		p := steps(11)
		did, err := h.Do(t.Context(), owner(), p)
		if err != nil {
			t.Fatal(err)
		}
		if s.most != 4 {
			t.Errorf("%d writes in flight, want 4", s.most)
		}
		if diff := cmp.Diff(p.Steps, did.Done); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
		for i := range s.started { // four at a time may start in any order among themselves
			if batch, want := i/4, s.started[i]; want < fmt.Sprintf("p%02d", batch*4) || want >= fmt.Sprintf("p%02d", batch*4+4) {
				t.Errorf("started %v", s.started)
			}
		}
	})
}

func TestDo_stopsAtTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{takes: time.Second, answers: map[string]error{"p02": errors.New("EOF")}}
		h := NewHands(s, 1, time.Now)
		did, err := h.Do(t.Context(), owner(), steps(10))
		if err == nil || len(did.Done) != 2 || len(s.started) != 3 {
			t.Errorf("error %v, %d done, started %v", err, len(did.Done), s.started)
		}
		if diff := cmp.Diff([]plan.Unit{unit("p02")}, h.ledgers[owner().key()][plan.UpdateInPlace].Doubts()); diff != "" {
			t.Errorf("in doubt (-want +got):\n%s", diff)
		}
		if err := h.Look(t.Context(), owner()); err != nil {
			t.Error(err)
		}
		if got := h.Marks(owner(), plan.UpdateInPlace, at("7")); len(got) != 0 {
			t.Errorf("marks after the look: %v", got)
		}
	})
}

func TestDo_goesOnPastRefusedGoneAndStaleUnits(t *testing.T) {
	pods := corev1.Resource("pods")
	s := &script{answers: map[string]error{
		"p00": apierrors.NewForbidden(pods, "p00", errors.New("quota")),
		"p01": apierrors.NewNotFound(pods, "p01"),
		"p02": testkit.DoesNotApply(errors.New("test failed")),
	}}
	h := NewHands(s, 0, testkit.Start)
	did, err := h.Do(t.Context(), owner(), steps(5))
	if err != nil {
		t.Fatal(err)
	}
	if len(did.Done) != 2 || len(did.Refused) != 1 || !did.LookAgain {
		t.Errorf("did %+v", did)
	}
	if got := h.Next(owner()); got != time.Second {
		t.Errorf("the refused one is tried again after %s", got)
	}
}

func TestDo_cancelledLeavesWhatWasInFlightInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s := &script{takes: time.Minute}
		h := NewHands(s, 3, time.Now)
		_, err := h.Do(ctx, owner(), steps(10))
		if err == nil {
			t.Error("no error")
		}
		if got := len(h.ledgers[owner().key()][plan.UpdateInPlace].Doubts()); got != 3 || len(s.started) != 3 {
			t.Errorf("%d in doubt of %d started", got, len(s.started))
		}
	})
}

func TestDo_returnsHowLongTheServerAskedToWait(t *testing.T) {
	s := &script{answers: map[string]error{"p00": apierrors.NewTooManyRequests("slow down", 9)}}
	did, err := NewHands(s, 1, testkit.Start).Do(t.Context(), owner(), steps(3))
	if err == nil || did.RetryAfter != 9*time.Second || len(s.started) != 1 {
		t.Errorf("error %v, retry after %s, started %v", err, did.RetryAfter, s.started)
	}
}

func TestLook_failsWithoutAnAnswerAndKeepsTheDoubt(t *testing.T) {
	s := &script{answers: map[string]error{"p00": errors.New("EOF"), "look p00": errors.New("EOF")}}
	h := NewHands(s, 1, testkit.Start)
	if _, err := h.Do(t.Context(), owner(), steps(1)); err == nil {
		t.Fatal("no error")
	}
	if err := h.Look(t.Context(), owner()); err == nil {
		t.Error("no error")
	}
	if got := h.Marks(owner(), plan.UpdateInPlace, at("999")); len(got) != 1 || !got[0].Unseen {
		t.Errorf("marks %v", got)
	}
}

// TestDo_aConditionIsAnotherMatter: what becomes of a condition's write says nothing of an update of the same Pod, and
// the other way round. Both are bounded together.
// A reset that was sent is waited for like an update: otherwise it is planned again before the cache shows it, once for
// every look in between.
func TestDo_aResetIsWaitedForLikeAnUpdate(t *testing.T) {
	h := NewHands(&script{answers: map[string]error{}}, 1, time.Now)
	p := steps(1)
	p.Steps[0].Verb = plan.ResetContainer
	if _, err := h.Do(t.Context(), Owner{}, p); err != nil {
		t.Fatal(err)
	}
	before := func(plan.Unit) (string, bool) { return "6", true }
	if marks := h.Marks(Owner{}, plan.UpdateInPlace, before); len(marks) != 1 || !marks[0].Unseen {
		t.Errorf("Marks() = %+v, want the pod unseen", marks)
	}
}

func TestDo_aConditionIsAnotherMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{takes: 100 * time.Millisecond, answers: map[string]error{
			"status of p00": apierrors.NewForbidden(corev1.Resource("pods"), "p00", errors.New("no rights")),
		}}
		h := NewHands(s, 2, time.Now)
		p := steps(2)
		for _, name := range []string{"p00", "p01", "p02"} {
			change := plan.Change{Conditions: []plan.ConditionChange{{Type: "T"}}}
			p.Steps = append(p.Steps, plan.Step{Verb: plan.SetCondition, Unit: unit(name), Change: change})
		}
		did, err := h.Do(t.Context(), owner(), p)
		if err != nil || len(did.Done) != 4 || len(did.Refused) != 1 || s.most != 2 {
			t.Errorf("error %v, did %+v, %d in flight", err, did, s.most)
		}
		if marks := h.Marks(owner(), plan.UpdateInPlace, at("6")); len(marks) != 2 || !marks[0].Unseen || marks[0].Refused != "" {
			t.Errorf("of updates: %+v", marks)
		}
		marks := h.Marks(owner(), plan.SetCondition, at("6"))
		if len(marks) != 3 || marks[0].Unseen || marks[0].Refused == "" || !marks[1].Unseen {
			t.Errorf("of conditions: %+v", marks)
		}
		if !h.Awaits(owner(), unit("p02").UID) {
			t.Error("a condition's write is not awaited")
		}
		if got := h.Next(owner()); got != 900*time.Millisecond {
			t.Errorf("the refused one is tried again after %s", got)
		}
	})
}

// TestDo_aResetIsAWriteToThePodAsAnUpdateIs: what becomes of the one decides about the other.
func TestDo_aResetIsAWriteToThePodAsAnUpdateIs(t *testing.T) {
	s := &script{answers: map[string]error{"p00": apierrors.NewForbidden(corev1.Resource("pods"), "p00", errors.New("a policy"))}}
	h := NewHands(s, 1, testkit.Start)
	p := plan.Plan{Steps: []plan.Step{
		{Verb: plan.ResetContainer, Unit: unit("p00")}, {Verb: plan.ResetContainer, Unit: unit("p01")},
	}}
	if _, err := h.Do(t.Context(), owner(), p); err != nil {
		t.Fatal(err)
	}
	if got := h.Next(owner()); got != time.Second {
		t.Errorf("the refused reset is tried again after %s", got)
	}
	marks := h.Marks(owner(), plan.UpdateInPlace, at("6"))
	if len(marks) != 2 || marks[0].Refused == "" || !marks[1].Unseen {
		t.Errorf("marks %+v", marks)
	}
	if h.Marks(owner(), plan.UpdateInPlace, at("7")); h.Awaits(owner(), unit("p01").UID) {
		t.Error("a reset that is seen is awaited still")
	}
}
