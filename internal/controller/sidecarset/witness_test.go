package sidecarset

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
)

// TestWitness_seesWhatNoLookSees: the report that kubelet makes when it looks at a rollback is gone before the next
// look, and tells all the same that the container which starts then is of the image that the rollback names.
func TestWitness_seesWhatNoLookSees(t *testing.T) {
	set := logtail(1)
	w := newWorld(t, carriers(1, set)...)
	const key = "default/web-00000"
	kubelet := func(change func(pod *corev1.Pod)) {
		w.api.Change(key, change)
		w.cache.Deliver(-1)
	}
	looks := func(generation int64) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.Generation, pod.Status.ObservedGeneration = generation, generation }
	}
	starts := func(id string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			c := &pod.Status.ContainerStatuses[0]
			c.ContainerID, c.State = id, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
			c.State.Running.StartedAt.Time = w.now
		}
	}
	w.apply(set)
	w.run()
	kubelet(looks(1))
	kubelet(starts("containerd://1"))
	for _, image := range []string{"logtail:2", "logtail:1"} {
		w.apply(withImage(set, image))
		w.look(set.Name)
		w.cache.Deliver(-1)
	}
	kubelet(looks(3))
	kubelet(starts("containerd://2"))
	w.look(set.Name)
	members := w.r.records.sets[set.Name].members
	if got := members.Records()[0]; !got.Available(&sidecarset.Set{}, w.now.Unix()) || got.Sidecars[0].Runs.MadeFrom != "logtail:1" {
		t.Errorf("the pod is not available, or nobody knows why: %+v", got)
	}
	gone := w.cache.Pod(key).UID
	kubelet(func(pod *corev1.Pod) { pod.UID = "another" })
	if got := w.r.records.witness.Of(gone); got != nil {
		t.Errorf("%v is remembered of a pod that is gone", got)
	}
}
