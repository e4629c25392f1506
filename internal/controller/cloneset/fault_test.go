package cloneset

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// TestReconcile_nthCallFails: whatever call of whatever is done with a CloneSet fails in whatever way, the end is the
// same, there are never more Pods than allowed, and never fewer that are ready. Every other time the cache is slow.
func TestReconcile_nthCallFails(t *testing.T) {
	for name, c := range map[string]struct {
		from, to *v1beta1.CloneSet
		// most are the Pods there may be that are not being deleted, least those that must be ready.
		most, least int
		minCalls    int
	}{
		"create":    {to: web(6), most: 6, minCalls: 13},
		"scale out": {from: web(3), to: web(6), most: 6, least: 3, minCalls: 6},
		"scale in":  {from: web(6), to: web(2), most: 6, least: 2, minCalls: 4},
		"in place": {
			from: web(5, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), maxUnavailable(intstr.FromInt(2))),
			to:   web(5, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), maxUnavailable(intstr.FromInt(2)), image("web:2")),
			most: 5, least: 3, minCalls: 16,
		},
		"resize": {
			from: web(4, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), maxUnavailable(intstr.FromInt(2)), cpu("100m")),
			to:   web(4, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), maxUnavailable(intstr.FromInt(2)), cpu("200m")),
			most: 4, least: 4, minCalls: 9,
		},
		"resize with image": {
			from: web(4, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), maxUnavailable(intstr.FromInt(2)), cpu("100m")),
			to:   web(4, policy(v1beta1.InPlaceIfPossibleCloneSetPodUpdatePolicy), maxUnavailable(intstr.FromInt(2)), cpu("200m"), image("web:2")),
			most: 4, least: 2, minCalls: 17,
		},
		"recreate": {
			from: web(4, maxUnavailable(intstr.FromInt(2))), to: web(4, maxUnavailable(intstr.FromInt(2)), image("web:2")),
			most: 4, least: 2, minCalls: 13,
		},
		"surge": {
			from: web(3, maxUnavailable(intstr.FromInt(0)), maxSurge(intstr.FromInt(1))),
			to:   web(3, maxUnavailable(intstr.FromInt(0)), maxSurge(intstr.FromInt(1)), image("web:2")),
			most: 4, least: 3, minCalls: 10,
		},
		"claims":             {from: withClaims(web(3)), to: withClaims(web(2)), most: 3, least: 2, minCalls: 2},
		"create with claims": {to: withClaims(web(3)), most: 3, minCalls: 10},
	} {
		for _, fault := range testkit.Faults() {
			t.Run(name+", "+string(fault), func(t *testing.T) {
				n, slow := 1, false
				for survives(t, c.from, c.to, n, fault, slow, c.most, c.least) {
					slow = !slow
					if n++; n > 200 {
						t.Fatal("more than 200 calls")
					}
				}
				if n < c.minCalls {
					t.Errorf("only %d calls met the fault", n-1)
				}
			})
		}
	}
}

// survives changes a CloneSet while the n-th call fails, and tells whether there were that many calls.
func survives(t *testing.T, from, to *v1beta1.CloneSet, n int, fault testkit.Fault, slow bool, most, least int) bool {
	t.Helper()
	w := newWorld(t)
	if from != nil {
		w.apply(from)
		w.run()
	}
	at := fmt.Sprintf("call %d, %s", n, fault)
	w.slow = slow
	w.server = testkit.NewFailing(w.api, n, fault)
	w.start()
	w.watch = func() {
		images, ready := w.images()
		if all := images["web:1"] + images["web:2"]; all > most || ready < least {
			t.Fatalf("%s: %d pods, want at most %d, %d ready, want at least %d\n%s", at, all, most, ready, least, w.describe())
		}
	}
	w.apply(to)
	w.run()
	w.want(at, map[string]int{to.Spec.Template.Spec.Containers[0].Image: int(*to.Spec.Replicas)})
	for _, pod := range w.api.Pods() {
		if diff := cmp.Diff(to.Spec.Template.Spec.Containers[0].Resources, pod.Spec.Containers[0].Resources, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: resources of %s (-want +got):\n%s", at, pod.Name, diff)
		}
	}
	if got, want := len(w.api.Claims()), int(*to.Spec.Replicas)*len(to.Spec.VolumeClaimTemplates); got != want {
		t.Errorf("%s: %d claims, want %d", at, got, want)
	}
	status := w.sets[nameOf(to)].Status
	counts := []int32{status.Replicas, status.ReadyReplicas, status.AvailableReplicas, status.UpdatedReplicas, status.UpdatedAvailableReplicas}
	r := *to.Spec.Replicas
	if diff := cmp.Diff([]int32{r, r, r, r, r}, counts); diff != "" {
		t.Errorf("%s: the last status (-want +got):\n%s", at, diff)
	}
	if status.CurrentRevision != status.UpdateRevision {
		t.Errorf("%s: revisions %s, %s", at, status.CurrentRevision, status.UpdateRevision)
	}
	return w.server.Struck() || w.crashes > 0
}

func withClaims(set *v1beta1.CloneSet) *v1beta1.CloneSet {
	var claim v1beta1.VolumeClaimTemplate
	claim.Name = "data"
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	set.Spec.VolumeClaimTemplates = []v1beta1.VolumeClaimTemplate{claim}
	return set
}
