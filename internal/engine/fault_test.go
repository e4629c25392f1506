package engine

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// TestHands_nthCallFails: whatever call fails in whatever way while Pods are created, updated and deleted, the end is
// the same; there are never too many Pods, no name is made twice, and no Pod is drained, changed or restored twice.
func TestHands_nthCallFails(t *testing.T) {
	for _, fault := range testkit.Faults() {
		for cache, slow := range map[string]bool{"": false, ", slow cache": true} {
			t.Run(string(fault)+cache, func(t *testing.T) {
				n := 1
				for survives(t, n, fault, slow) {
					if n++; n > 200 {
						t.Fatal("more than 200 calls")
					}
				}
				if n < 31 { // 5 × (2 to create, 3 to update), 2 × 2 to delete, 1 of the owner
					t.Errorf("only %d calls met the fault", n-1)
				}
			})
		}
	}
}

// survives runs a life whose n-th call fails, and tells whether there were that many calls.
func survives(t *testing.T, n int, fault testkit.Fault, slow bool) bool {
	t.Helper()
	w := newYard(t)
	w.slow, w.server = slow, testkit.NewFailing(w.api, n, fault)
	w.hands = NewHands(w.server, 2, func() time.Time { return w.now })
	w.run(5, "web:1")
	w.run(5, "web:2")
	w.run(3, "web:2")
	at := fmt.Sprintf("call %d, %s", n, fault)
	if diff := cmp.Diff([]string{"web-0 web:2 Normal True", "web-1 web:2 Normal True", "web-2 web:2 Normal True"}, w.live()); diff != "" {
		t.Errorf("%s: pods (-want +got):\n%s", at, diff)
	}
	var left []string
	for _, c := range w.api.Claims() {
		left = append(left, c.Name)
	}
	if diff := cmp.Diff([]string{"data-web-0", "data-web-1", "data-web-2"}, left); diff != "" {
		t.Errorf("%s: claims (-want +got):\n%s", at, diff)
	}
	once := map[string]int{}
	for i := range 5 {
		for _, what := range []string{"created", "drained", "patched", "restored"} {
			once[fmt.Sprintf("web-%d %s", i, what)] = 1
		}
	}
	once["web-3 deleted"], once["web-4 deleted"] = 1, 1
	if diff := cmp.Diff(once, w.did); diff != "" {
		t.Errorf("%s: done (-want +got):\n%s", at, diff)
	}
	if w.most > 5 {
		t.Errorf("%s: %d pods at a time", at, w.most)
	}
	return w.server.Struck() || w.crashes > 0
}

// TestHands_requests: what a life of 5 Pods costs, when nothing fails: 2 requests for each Pod with its claim, 3 for each
// update in place, 2 for each deletion, and one of the owner. The lagging cache costs none.
func TestHands_requests(t *testing.T) {
	for cache, slow := range map[string]bool{"": false, "slow cache": true} {
		w := newYard(t)
		w.slow = slow
		w.run(5, "web:1")
		w.run(5, "web:2")
		w.run(3, "web:2")
		want := testkit.Calls{
			CreatePod: 5, CreateClaim: 5, PatchPod: 5, PatchPodStatus: 10, DeletePod: 2, DeleteClaim: 2, PatchOwner: 1,
		}
		if diff := cmp.Diff(want, w.api.Calls()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", cache, diff)
		}
	}
}

// yard is a made-up controller in a made-up cluster: it keeps so many Pods of an image, and writes into its owner's spec
// when there are too many no more.
type yard struct {
	t       *testing.T
	now     time.Time
	api     *testkit.API
	server  *testkit.Failing
	cache   *testkit.Cache[corev1.Pod]
	hands   *Hands
	slow    bool
	crashes int

	// held tells that something was held in the last plan.
	held bool

	mu   sync.Mutex
	did  map[string]int
	most int
}

// note counts what happened to a Pod.
func (w *yard) note(pod *corev1.Pod, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did[pod.Name+" "+what]++
	w.most = max(w.most, len(w.live()))
}

func newYard(t *testing.T) *yard {
	w := &yard{t: t, now: testkit.Start(), api: testkit.NewAPI(), did: map[string]int{}}
	w.server = testkit.NewFailing(w.api, 0, "")
	w.hands = NewHands(w.server, 2, func() time.Time { return w.now })
	owner := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"note": "many"}}}
	owner.SetNamespace("ns")
	owner.SetName("owner")
	owner.SetUID("owner-uid")
	w.api.PutOwner(setOwner().Resource, owner)
	w.api.Created = func(pod *corev1.Pod) { w.note(pod, "created") }
	w.api.Deleted = func(pod *corev1.Pod) { w.note(pod, "deleted") }
	w.api.Committed = func(_, pod *corev1.Pod) { w.note(pod, "patched") }
	w.api.StatusCommitted = func(pod *corev1.Pod) {
		w.note(pod, map[corev1.ConditionStatus]string{"False": "drained", "True": "restored"}[pod.Status.Conditions[0].Status])
	}
	w.start()
	return w
}

// start gives the controller an empty cache, which then lists.
func (w *yard) start() {
	w.cache = testkit.NewCache[corev1.Pod](w.api)
	w.cache.Trim = func(object any) (any, error) { return object, nil }
	w.api.Events()
	for _, pod := range w.api.Pods() {
		w.api.Change(testkit.Key(pod), func(*corev1.Pod) {})
	}
	w.cache.Deliver(-1)
}

// live are the Pods that are not being deleted: name, image, state and condition.
func (w *yard) live() (live []string) {
	for _, pod := range w.api.Pods() {
		if pod.DeletionTimestamp == nil {
			text := pod.Name + " " + pod.Spec.Containers[0].Image + " " + pod.Labels["state"]
			for _, c := range pod.Status.Conditions {
				text += " " + string(c.Status)
			}
			live = append(live, text)
		}
	}
	return live
}

// kubelet starts what was created, and stops what was deleted.
func (w *yard) kubelet() {
	for _, pod := range w.api.Pods() {
		switch {
		case pod.DeletionTimestamp != nil:
			w.api.Stopped(testkit.Key(pod))
		case pod.Spec.NodeName == "":
			w.api.Change(testkit.Key(pod), func(pod *corev1.Pod) {
				pod.Spec.NodeName = "node-1"
				pod.Status.Conditions = []corev1.PodCondition{{Type: "InPlaceUpdateReady", Status: "True"}}
			})
		}
	}
}

// run runs until nothing is to be done any more.
func (w *yard) run(pods int, image string) {
	w.t.Helper()
	for range 2000 {
		w.kubelet()
		news := w.cache.Deliver(map[bool]int{false: -1, true: 1}[w.slow])
		if quiet := w.look(pods, image); quiet && news == 0 {
			return
		}
		w.now = w.now.Add(100 * time.Millisecond)
	}
	w.t.Fatalf("never quiet: %v, calls %+v", w.live(), w.api.Calls())
}

// look is what a controller does; it tells whether there was nothing to do.
func (w *yard) look(pods int, image string) (quiet bool) {
	p, err := w.plan(pods, image)
	var did Did
	if err == nil {
		did, err = w.hands.Do(w.t.Context(), setOwner(), p)
	}
	if w.server.Crashed() {
		w.crashes++
		w.server = testkit.NewFailing(w.api, 0, "")
		w.hands = NewHands(w.server, 2, func() time.Time { return w.now })
		w.start()
		return false
	}
	return err == nil && len(p.Steps) == 0 && !did.LookAgain && !w.held && w.hands.Next(setOwner()) == 0
}

// plan looks and decides.
func (w *yard) plan(pods int, image string) (p plan.Plan, err error) {
	if err := w.hands.Look(w.t.Context(), setOwner()); err != nil {
		return p, err
	}
	shown := func(u plan.Unit) (string, bool) {
		pod := w.cache.Pod(u.String())
		if pod == nil || string(pod.UID) != u.UID || pod.DeletionTimestamp != nil {
			return "", false
		}
		return pod.ResourceVersion, true
	}
	held, surplus := map[string]bool{}, 0
	for _, m := range w.hands.PodMarks(setOwner(), shown) {
		held[m.Unit.Name] = true
	}
	births := w.hands.Births(setOwner(), plan.CreatePod, func(u plan.Unit) bool { return w.cache.Pod(u.String()) != nil })
	for _, b := range births.Births {
		held[b.Unit.Name] = true
	}
	w.held = len(held) > 0
	for i := range 5 {
		name := fmt.Sprintf("web-%d", i)
		pod := w.cache.Pod("ns/" + name)
		if pod != nil && i >= pods {
			surplus++
		}
		if !held[name] && (pod != nil || births.Refused["r1"] == "") {
			p.Steps = append(p.Steps, w.step(name, pod, i < pods, image)...)
		}
	}
	if pods < 5 && surplus == 0 {
		p.Steps = append(p.Steps, w.claimsAndOwner(pods)...)
	}
	return p, nil
}

// claimsAndOwner are what is left to do when the Pods are gone: claims of which the deletion failed, and the owner.
func (w *yard) claimsAndOwner(pods int) (steps []plan.Step) {
	for _, c := range w.api.Claims() {
		if c.Name >= fmt.Sprintf("data-web-%d", pods) && !w.marked(plan.DeleteClaim, "") {
			steps = append(steps, plan.Step{Verb: plan.DeleteClaim, Unit: unitOf(c)})
		}
	}
	var owner unstructured.Unstructured
	w.api.Owner(setOwner().Resource, "ns", "owner", &owner)
	note, _, _ := unstructured.NestedString(owner.Object, "spec", "note")
	if note == "many" && !w.marked(plan.UpdateOwner, owner.GetResourceVersion()) {
		steps = append(steps, plan.Step{
			Verb: plan.UpdateOwner, Unit: plan.Unit{Namespace: "ns", Name: "owner", UID: "owner-uid"},
			Change: plan.Change{Spec: []plan.SpecChange{{Path: "/note", From: []byte(`"many"`), To: []byte(`"few"`)}}},
		})
	}
	return steps
}

// marked tells whether anything of a verb is not seen yet, or refused.
func (w *yard) marked(verb plan.Verb, version string) bool {
	marks := w.hands.Marks(setOwner(), verb, func(u plan.Unit) (string, bool) {
		for _, c := range w.api.Claims() {
			if string(c.UID) == u.UID {
				return c.ResourceVersion, true
			}
		}
		return version, verb == plan.UpdateOwner
	})
	w.held = w.held || len(marks) > 0
	return len(marks) > 0
}

// step is what a Pod needs next.
func (w *yard) step(name string, pod *corev1.Pod, wanted bool, image string) []plan.Step {
	switch {
	case pod == nil && wanted:
		return []plan.Step{creation(name)}
	case pod == nil || pod.DeletionTimestamp != nil:
		return nil
	}
	s := plan.Step{Unit: unitOf(pod)}
	old, state := pod.Spec.Containers[0].Image, pod.Labels["state"]
	label := func(to string) []plan.LabelChange {
		return []plan.LabelChange{{Key: "state", From: state, Absent: state == "", To: to}}
	}
	conditions := func(status string) []plan.ConditionChange {
		return []plan.ConditionChange{{Type: "InPlaceUpdateReady", Status: status}}
	}
	switch {
	case !wanted:
		s.Verb = plan.DeletePod
		for _, c := range w.api.Claims() {
			if c.Name == "data-"+name {
				s.Claims = []plan.Unit{unitOf(c)}
			}
		}
	case len(pod.Status.Conditions) == 0: // not scheduled
		return nil
	case old != image:
		s.Verb, s.Change.Labels = plan.UpdateInPlace, label("Updating")
		s.Change.Images = []plan.ImageChange{{Container: "web", From: old, To: image}}
		if pod.Status.Conditions[0].Status == "True" {
			s.Change.Conditions = conditions("False")
		}
	case state == "Updating":
		s.Verb, s.Change.Labels, s.Change.Conditions = plan.SetState, label("Normal"), conditions("True")
	default:
		return nil
	}
	return []plan.Step{s}
}

func unitOf(o metav1.Object) plan.Unit {
	return plan.Unit{Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID())}
}
