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
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// creation is a step that makes a Pod of setOwner, and a claim of it.
func creation(name string) plan.Step {
	const meta = `{"metadata":{"name":%q,"labels":{"instance":%q},"ownerReferences":[{"apiVersion":"test/v1","kind":"Test","name":"owner","uid":"owner-uid","controller":true}]}`
	pod := fmt.Sprintf(meta+`,"spec":{"containers":[{"name":"web","image":"web:1"}]}}`, name, name)
	return plan.Step{Verb: plan.CreatePod, Unit: newcomer(name), Target: "r1", Create: &plan.Creation{
		Pod: []byte(pod), Claims: []plan.NewClaim{{Name: "data-" + name, Object: fmt.Appendf(nil, meta+"}", "data-"+name, name)}},
	}}
}

func planOf(steps ...plan.Step) plan.Plan { return plan.Plan{Steps: steps} }

func do(t *testing.T, h *Hands, steps ...plan.Step) Did {
	t.Helper()
	did, err := h.Do(t.Context(), setOwner(), planOf(steps...))
	if err != nil {
		t.Fatal(err)
	}
	return did
}

func TestDo_createsClaimsThenThePod(t *testing.T) {
	api := testkit.NewAPI()
	h := NewHands(api, 1, testkit.Start)
	did := do(t, h, creation("a"))
	if diff := cmp.Diff(testkit.Calls{CreatePod: 1, CreateClaim: 1}, api.Calls()); diff != "" || len(did.Of(plan.CreatePod)) != 1 {
		t.Fatalf("did %+v (-want +got):\n%s", did, diff)
	}
	want := []Birth{born("a", string(api.Pods()[0].UID))}
	if diff := cmp.Diff(want, h.Births(setOwner(), plan.CreatePod, unseen).Births); diff != "" || h.Next(setOwner()) != birthPatience {
		t.Errorf("births (-want +got):\n%s", diff)
	}
	later := setOwner()
	later.UID = "of a later owner of this name"
	if got := h.Births(later, plan.CreatePod, unseen); got.Births != nil {
		t.Errorf("a later owner is told of %+v", got)
	}
}

// TestDo_whatIsThereAlready: a Pod or claim of ours is as good as made; one of somebody else's is left alone, and its
// name is taken.
func TestDo_whatIsThereAlready(t *testing.T) {
	ours := []metav1.OwnerReference{{UID: "owner-uid", Controller: ptr.To(true)}}
	object := func(name string, owners []metav1.OwnerReference, labels map[string]string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "u-1", OwnerReferences: owners, Labels: labels}
	}
	pod := func(m metav1.ObjectMeta) func(*testkit.API) {
		return func(a *testkit.API) { a.Put(&corev1.Pod{ObjectMeta: m}) }
	}
	claim := func(m metav1.ObjectMeta) func(*testkit.API) {
		return func(a *testkit.API) { a.PutClaim(&corev1.PersistentVolumeClaim{ObjectMeta: m}) }
	}
	leaving := object("data-a", ours, nil)
	leaving.DeletionTimestamp = ptr.To(metav1.NewTime(testkit.Start()))
	older := born("a", "u-1")
	older.Target = "r0"
	for name, tc := range map[string]struct {
		there   func(*testkit.API)
		done    bool
		want    BirthMarks
		refused string
	}{
		"a pod of ours":                 {pod(object("a", ours, nil)), true, BirthMarks{Births: []Birth{born("a", "u-1")}}, ""},
		"a pod of ours, another target": {pod(object("a", ours, map[string]string{"controller-revision-hash": "r0"})), true, BirthMarks{Births: []Birth{older}}, ""},
		"a pod of somebody else's":      {pod(object("a", nil, nil)), false, BirthMarks{Taken: []string{"a"}}, "there is a pod a that is not of this Test"},
		"a claim of ours":               {claim(object("data-a", ours, nil)), true, BirthMarks{Births: []Birth{born("a", "uid-1002")}}, ""},
		"a claim of the instance":       {claim(object("data-a", nil, map[string]string{"instance": "a"})), true, BirthMarks{Births: []Birth{born("a", "uid-1002")}}, ""},
		"a claim of somebody else's":    {claim(object("data-a", nil, map[string]string{"instance": "b"})), false, BirthMarks{Taken: []string{"a"}}, "there is a claim data-a that is not of this Test"},
		"a claim that is being deleted": {claim(leaving), false, BirthMarks{Taken: []string{"a"}}, "claim data-a is being deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			api := testkit.NewAPI()
			tc.there(api)
			h := NewHands(api, 1, testkit.Start)
			did := do(t, h, creation("a"))
			if len(did.Done) == 1 != tc.done || !tc.done && (len(did.Refused) != 1 || did.Refused[0].Message != tc.refused) {
				t.Errorf("did %+v", did)
			}
			ignoreUID := cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Births.Unit.UID" && tc.refused == "" && name[2] == 'c' }, cmp.Ignore())
			if diff := cmp.Diff(tc.want, h.Births(setOwner(), plan.CreatePod, unseen), ignoreUID); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// nursery notes how many Pods are being created at a time, and refuses some.
type nursery struct {
	*testkit.API
	mu      sync.Mutex
	batches []int
	last    time.Time
	refuse  int // from this one on; 0: none
	made    int
}

func (n *nursery) admit(old, _ *corev1.Pod) error {
	if old != nil {
		return nil
	}
	if n.made++; n.refuse > 0 && n.made >= n.refuse {
		return apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("exceeded quota"))
	}
	return nil
}

func (n *nursery) wait() {
	n.mu.Lock()
	if now := time.Now(); now.Equal(n.last) {
		n.batches[len(n.batches)-1]++
	} else {
		n.batches, n.last = append(n.batches, 1), now
	}
	n.mu.Unlock()
	time.Sleep(time.Second)
}

func TestDo_startsCreationsSlowlyAndStopsAfterABatchThatFails(t *testing.T) {
	for name, tc := range map[string]struct {
		refuse        int
		batches       []int
		done, refused int
	}{
		"all are made":         {0, []int{1, 2, 4, 8, 5}, 20, 0},
		"none is":              {1, []int{1}, 0, 1},
		"the third batch ends": {5, []int{1, 2, 4}, 4, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &nursery{API: testkit.NewAPI(), refuse: tc.refuse}
				n.Admit = n.admit
				h := NewHands(slowly{n}, 32, time.Now)
				var steps []plan.Step
				for i := range 20 {
					s := creation(fmt.Sprintf("p%02d", i))
					s.Create.Claims = nil
					steps = append(steps, s)
				}
				n.Put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "old", UID: "u-old"}})
				steps = append(steps, plan.Step{Verb: plan.DeletePod, Unit: plan.Unit{Namespace: "ns", Name: "old", UID: "u-old"}})
				did := do(t, h, steps...)
				if diff := cmp.Diff(tc.batches, n.batches); diff != "" {
					t.Errorf("batches (-want +got):\n%s", diff)
				}
				if len(did.Of(plan.CreatePod)) != tc.done || len(did.Refused) != tc.refused || len(did.Of(plan.DeletePod)) != 1 {
					t.Errorf("did %+v", did)
				}
				if got := h.Births(setOwner(), plan.CreatePod, unseen); len(got.Births) != tc.done || (got.Refused["r1"] != "") != (tc.refused > 0) {
					t.Errorf("births %+v", got)
				}
			})
		})
	}
}

// TestDo_aDeletedPodHasLeftUntilTheCacheShowsIt, and its claims with it.
func TestDo_aDeletedPodHasLeftUntilTheCacheShowsIt(t *testing.T) {
	api := testkit.NewAPI(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", UID: "uid-a"}, Spec: corev1.PodSpec{NodeName: "n"}})
	api.PutClaim(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "data-a", UID: "uid-data-a"}})
	h := NewHands(api, 1, testkit.Start)
	did := do(t, h, plan.Step{Verb: plan.DeletePod, Unit: unit("a"), Claims: []plan.Unit{unit("data-a")}})
	if len(did.Done) != 1 || len(api.Claims()) != 0 || api.Pods()[0].DeletionTimestamp == nil {
		t.Fatalf("did %+v, pod %+v, claims %v", did, api.Pods()[0].ObjectMeta, api.Claims())
	}
	left := []Mark{{Unit: unit("a"), Verb: plan.DeletePod, Unseen: true, Left: true}}
	if diff := cmp.Diff(left, h.PodMarks(setOwner(), at("999"))); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	left[0].Unit, left[0].Verb = unit("data-a"), plan.DeleteClaim
	if diff := cmp.Diff(left, h.Marks(setOwner(), plan.DeleteClaim, at("999"))); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if got := h.PodMarks(setOwner(), func(plan.Unit) (string, bool) { return "", false }); got != nil {
		t.Errorf("after the cache shows it: %+v", got)
	}
}

// TestDo_onlyWhatWasSeenIsDeleted: a later Pod of the name is not, nor are the claims, which may be its.
func TestDo_onlyWhatWasSeenIsDeleted(t *testing.T) {
	api := testkit.NewAPI(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", UID: "later"}})
	api.PutClaim(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "data-a", UID: "uid-data-a"}})
	h := NewHands(api, 1, testkit.Start)
	did := do(t, h, plan.Step{Verb: plan.DeletePod, Unit: unit("a"), Claims: []plan.Unit{unit("data-a")}})
	if len(did.Done) != 0 || !did.LookAgain || len(api.Pods()) != 1 || len(api.Claims()) != 1 {
		t.Errorf("did %+v", did)
	}
}

func TestDo_aClaimThatIsNotDeletedIsTold(t *testing.T) {
	api := testkit.NewAPI(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", UID: "uid-a"}})
	api.PutClaim(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "data-a", UID: "uid-data-a"}})
	h := NewHands(testkit.NewFailing(api, 2, testkit.Forbidden), 1, testkit.Start)
	did := do(t, h, plan.Step{Verb: plan.DeletePod, Unit: unit("a"), Claims: []plan.Unit{unit("data-a")}})
	if len(did.Of(plan.DeletePod)) != 1 || len(did.RefusedTo(plan.DeleteClaim)) != 1 {
		t.Errorf("did %+v", did)
	}
	if got := h.Marks(setOwner(), plan.DeleteClaim, at("5")); len(got) != 1 || got[0].Refused == "" {
		t.Errorf("marks %+v", got)
	}
}

// TestDo_aDrainThatWasWrittenIsAwaited, whatever becomes of the update after it.
func TestDo_aDrainThatWasWrittenIsAwaited(t *testing.T) {
	for fault, refused := range map[testkit.Fault]bool{testkit.Forbidden: true, testkit.TooMany: false} {
		t.Run(string(fault), func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", UID: types.UID("uid-a")}}
			pod.Spec.Containers = []corev1.Container{{Name: "web", Image: "web:1"}}
			pod.Status.Conditions = []corev1.PodCondition{{Type: "InPlaceUpdateReady", Status: "True"}}
			api := testkit.NewAPI(pod)
			h := NewHands(testkit.NewFailing(api, 2, fault), 1, testkit.Start)
			did, err := h.Do(t.Context(), setOwner(), planOf(plan.Step{Verb: plan.UpdateInPlace, Unit: unit("a"), Change: plan.Change{
				Images:     []plan.ImageChange{{Container: "web", From: "web:1", To: "web:2"}},
				Conditions: []plan.ConditionChange{{Type: "InPlaceUpdateReady", Status: "False"}},
			}}))
			if len(did.Done) != 0 || len(did.Refused) == 1 != refused || err == nil != refused {
				t.Errorf("did %+v, error %v", did, err)
			}
			drained := api.Pods()[0]
			if drained.Status.Conditions[0].Status != "False" || drained.Spec.Containers[0].Image != "web:1" {
				t.Fatalf("the pod is %+v", drained)
			}
			got := h.PodMarks(setOwner(), at("1"))
			if len(got) != 1 || !got[0].Unseen || got[0].Refused != "" != refused {
				t.Errorf("before the cache shows the drain: %+v", got)
			}
			got = h.PodMarks(setOwner(), at(drained.ResourceVersion))
			if len(got) == 1 != refused || refused && got[0].Unseen {
				t.Errorf("when the cache shows the drain: %+v", got)
			}
		})
	}
}

// slowly is a nursery whose creations take a second.
type slowly struct{ *nursery }

func (s slowly) Create(ctx context.Context, resource schema.GroupVersionResource, namespace string, object []byte) (metav1.ObjectMeta, error) {
	s.wait()
	return s.API.Create(ctx, resource, namespace, object)
}
