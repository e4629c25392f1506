package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

func setOwner() Owner {
	o := owner()
	o.UID, o.RevisionsIn, o.RevisionLabel, o.InstanceLabel = "owner-uid", "kruise-system", "set", "instance"
	o.Resource = schema.GroupVersionResource{Group: "test", Version: "v1", Resource: "tests"}
	return o
}

func createStep(name string, number int64) plan.Step {
	return plan.Step{Verb: plan.CreateRevision, Unit: plan.Unit{Name: name}, Revision: &plan.Revision{
		Number: number, Labels: map[string]string{"set": "owner"}, Data: []byte(`{"spec":{}}`),
	}}
}

// shownBy is what a cache without lag shows.
func shownBy(api *testkit.API) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, r := range api.Revisions() {
			if r.Name == name {
				return r.ResourceVersion, true
			}
		}
		return "", false
	}
}

func empty(string) (string, bool) { return "", false }

func revisionMarks(t *testing.T, h *Hands, shown func(string) (string, bool)) RevisionMarks {
	t.Helper()
	m, err := h.MarkRevisions(t.Context(), setOwner(), shown)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDo_writesRevisionsBeforePodsAndForgetsLast(t *testing.T) {
	api := testkit.NewAPI()
	old := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "old"}}
	api.PutRevision(old)
	kept := api.Revisions()[0]
	p := steps(3)
	p.Steps = append([]plan.Step{createStep("new", 2)}, p.Steps...)
	p.Steps = append(p.Steps, plan.Step{
		Verb: plan.DeleteRevision, Unit: plan.Unit{Name: "old", UID: string(kept.UID)}, Revision: &plan.Revision{Version: kept.ResourceVersion},
	})
	s := &script{API: api}
	did, err := NewHands(s, 2, testkit.Start).Do(t.Context(), setOwner(), p)
	if err != nil || len(did.Done) != 3 || len(did.Revised) != 2 {
		t.Fatalf("did %+v, %v", did, err)
	}
	left := api.Revisions()
	if len(left) != 1 || left[0].Name != "new" || left[0].Revision != 2 || left[0].Namespace != "kruise-system" {
		t.Fatalf("left is %+v", left)
	}
	if of := metav1.GetControllerOf(left[0]); of == nil || of.UID != "owner-uid" || of.Name != "owner" || of.Kind != "Test" {
		t.Errorf("owner is %+v", of)
	}
}

// TestDo_noPodIsToldOfARevisionThatIsNotWritten: whatever the API server answers.
func TestDo_noPodIsToldOfARevisionThatIsNotWritten(t *testing.T) {
	for _, fault := range testkit.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			api := testkit.NewAPI()
			server := testkit.NewFailing(api, 1, fault)
			h := NewHands(server, 2, testkit.Start)
			p := steps(3)
			p.Steps = append([]plan.Step{createStep("new", 1)}, p.Steps...)
			did, err := h.Do(t.Context(), setOwner(), p)
			if calls := api.Calls(); calls.PatchPod != 0 || len(did.Done) > 0 {
				t.Errorf("did %+v, %v, calls %+v", did, err, calls)
			}
			if err == nil && !did.LookAgain {
				t.Error("neither an error nor another look")
			}
		})
	}
}

func TestRevisions_areUnseenUntilTheCacheShowsThem(t *testing.T) {
	api := testkit.NewAPI()
	h := NewHands(&script{API: api}, 1, testkit.Start)
	if _, err := h.Do(t.Context(), setOwner(), plan.Plan{Steps: []plan.Step{createStep("new", 1)}}); err != nil {
		t.Fatal(err)
	}
	if m := revisionMarks(t, h, empty); !m.Unseen {
		t.Error("seen, and the cache does not show it")
	}
	if h.Next(setOwner()) != revisionPatience {
		t.Errorf("the next look is after %s", h.Next(setOwner()))
	}
	if m := revisionMarks(t, h, shownBy(api)); m.Unseen || h.Next(setOwner()) != 0 {
		t.Errorf("%+v after the cache shows it", m)
	}
	other := setOwner()
	other.UID = "a later set of this name"
	if m, err := h.MarkRevisions(t.Context(), other, empty); err != nil || m.Unseen || len(m.Taken) > 0 {
		t.Errorf("a later set is told %+v, %v", m, err)
	}
}

// TestRevisions_nameThatIsTaken: an object of this name that is no revision of the owner's, which no cache shows.
func TestRevisions_nameThatIsTaken(t *testing.T) {
	for name, found := range map[string]*appsv1.ControllerRevision{
		"of nobody": {ObjectMeta: metav1.ObjectMeta{Name: "new", Labels: map[string]string{"set": "owner"}}},
		"without the label": {ObjectMeta: metav1.ObjectMeta{Name: "new", OwnerReferences: []metav1.OwnerReference{
			{UID: "owner-uid", Controller: ptr.To(true)},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			api := testkit.NewAPI()
			api.PutRevision(found)
			h := NewHands(&script{API: api}, 1, testkit.Start)
			did, err := h.Do(t.Context(), setOwner(), plan.Plan{Steps: []plan.Step{createStep("new", 1)}})
			if err != nil || !did.LookAgain || len(did.Revised) > 0 {
				t.Fatalf("did %+v, %v", did, err)
			}
			if diff := cmp.Diff(RevisionMarks{Taken: []string{"new"}}, revisionMarks(t, h, empty)); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRevisions_lostReply: the API server is asked, and what it has is waited for.
func TestRevisions_lostReply(t *testing.T) {
	api, now := testkit.NewAPI(), testkit.Start()
	h := NewHands(testkit.NewFailing(api, 1, testkit.LostReply), 1, func() time.Time { return now })
	if _, err := h.Do(t.Context(), setOwner(), plan.Plan{Steps: []plan.Step{createStep("new", 1)}}); err == nil {
		t.Fatal("no error")
	}
	if m := revisionMarks(t, h, empty); !m.Unseen || api.Calls().LookAtRevision != 1 {
		t.Errorf("marks %+v, calls %+v: want one look", m, api.Calls())
	}
	now = now.Add(revisionPatience)
	if m := revisionMarks(t, h, empty); !m.Unseen || api.Calls().LookAtRevision != 2 {
		t.Errorf("marks %+v, calls %+v: want another look after %s", m, api.Calls(), revisionPatience)
	}
	if m := revisionMarks(t, h, shownBy(api)); m.Unseen {
		t.Error("unseen, and the cache shows it")
	}
}

// TestRevisions_noAnswer: the doubt stays.
func TestRevisions_noAnswer(t *testing.T) {
	api := testkit.NewAPI()
	server := testkit.NewFailing(api, 1, testkit.Timeout)
	h := NewHands(server, 1, testkit.Start)
	if _, err := h.Do(t.Context(), setOwner(), plan.Plan{Steps: []plan.Step{createStep("new", 1)}}); err == nil {
		t.Fatal("no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.MarkRevisions(ctx, setOwner(), empty); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if m := revisionMarks(t, h, empty); m.Unseen {
		t.Errorf("marks %+v: it was not written", m)
	}
}

func TestRevisionPatch_appliesToWhatWasObservedOnly(t *testing.T) {
	api := testkit.NewAPI()
	api.PutRevision(&appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"set": "owner"}}, Revision: 12})
	step := plan.Step{Verb: plan.UpdateRevision, Unit: plan.Unit{Name: "a", UID: string(api.Revisions()[0].UID)}, Revision: &plan.Revision{
		From: 12, Number: 16, Labels: map[string]string{"apps.kruise.io/version": "v1"},
	}}
	h := NewHands(&script{API: api}, 1, testkit.Start)
	for i, want := range []bool{true, false} { // twice: applied once
		did, err := h.Do(t.Context(), setOwner(), plan.Plan{Steps: []plan.Step{step}})
		if err != nil || len(did.Revised) == 1 != want || did.LookAgain == want {
			t.Errorf("time %d: %+v, %v", i+1, did, err)
		}
	}
	if r := api.Revisions()[0]; r.Revision != 16 || r.Labels["apps.kruise.io/version"] != "v1" || r.Labels["set"] != "owner" {
		t.Errorf("revision is %+v", r)
	}
	step.Verb, step.Revision.Version = plan.DeleteRevision, "1"
	if did, err := h.Do(t.Context(), setOwner(), plan.Plan{Steps: []plan.Step{step}}); err != nil || !did.LookAgain || len(api.Revisions()) != 1 {
		t.Errorf("deleted what is not as it was observed: %+v, %v", did, err)
	}
}

func TestDo_refusedRevisionIsAnError(t *testing.T) {
	h := NewHands(testkit.NewFailing(testkit.NewAPI(), 1, testkit.Forbidden), 1, testkit.Start)
	_, err := h.Do(t.Context(), setOwner(), plan.Plan{Steps: []plan.Step{createStep("new", 1)}})
	if err == nil || apierrors.IsForbidden(err) {
		t.Errorf("error %v, want one that says what was attempted", err)
	}
}
