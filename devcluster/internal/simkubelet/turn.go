package simkubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/devcluster/internal/behaviour"
	"github.com/outrigger-project/outrigger/devcluster/internal/podlife"
)

// record is what the kubelet remembers of a pod between its turns. Only the
// worker whose turn it is touches it.
type record struct {
	uid    types.UID
	memory *podlife.Memory
	ip     string
	// written is the pod as our last write left it; nil once the watch has
	// shown something at least as new.
	written *corev1.Pod
	// behaviour is what annotations said, once parsed.
	behaviour   behaviour.Pod
	annotations map[string]string
	parsed      bool
}

// records by the key of the pod.
type records struct {
	mu    sync.Mutex
	byKey map[string]*record
}

func (r *records) get(key string) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byKey[key]
}

func (r *records) put(key string, rec *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byKey[key] = rec
}

func (r *records) drop(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byKey, key)
}

func keyOf(p *corev1.Pod) string { return p.Namespace + "/" + p.Name }

// turn decides about one pod, does it, and returns when to look again.
func (k *kubelet) turn(ctx context.Context, key string) (time.Time, error) {
	o, exists, err := k.pods.GetByKey(key)
	if err != nil {
		return time.Time{}, fmt.Errorf("look up pod: %w", err)
	}
	if !exists {
		k.forget(key)
		return time.Time{}, nil
	}
	pod := o.(*corev1.Pod)
	rec := k.recordOf(key, pod)
	pod = rec.newest(pod)
	unmet := k.configs.unmet(pod, key)

	out := podlife.Next(podlife.Input{
		Pod: pod, Memory: rec.memory, Behaviour: k.behaviourOf(rec, pod), Unmet: unmet,
		Now: k.now(), PodIP: rec.ip, HostIP: k.nodes[pod.Spec.NodeName],
	})
	if err := k.do(ctx, rec, pod, out); err != nil {
		return time.Time{}, err
	}
	rec.memory = out.Memory
	for _, e := range out.Events {
		k.events.tell(pod, e)
	}
	return out.Wake, nil
}

// forget drops all that is known of a pod that is gone.
func (k *kubelet) forget(key string) {
	if rec := k.records.get(key); rec != nil {
		k.ips.release(rec.ip)
		k.records.drop(key)
	}
	k.configs.forget(key)
}

// recordOf returns the record of this very pod: one of the same name that was
// made anew is another pod.
func (k *kubelet) recordOf(key string, pod *corev1.Pod) *record {
	rec := k.records.get(key)
	if rec != nil && rec.uid == pod.UID {
		return rec
	}
	k.forget(key)
	rec = &record{uid: pod.UID, ip: pod.Status.PodIP}
	if rec.ip == "" && !pod.Spec.HostNetwork {
		rec.ip = k.ips.take()
	}
	k.records.put(key, rec)
	return rec
}

// newest is the newer of the cached pod and the one our last write returned:
// deciding on an older one would write the same again.
func (r *record) newest(cached *corev1.Pod) *corev1.Pod {
	if r.written == nil {
		return cached
	}
	if version(cached) >= version(r.written) {
		r.written = nil
		return cached
	}
	return r.written
}

// version orders the states of one object; resource versions are numbers that grow.
func version(p *corev1.Pod) uint64 {
	n, err := strconv.ParseUint(p.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// behaviourOf parses the pod's annotations (trim has left only ours), once for
// as long as they stay the same.
func (k *kubelet) behaviourOf(rec *record, pod *corev1.Pod) behaviour.Pod {
	if rec.parsed && maps.Equal(rec.annotations, pod.Annotations) {
		return rec.behaviour
	}
	b, problems := behaviour.Parse(pod.Annotations, containersOf(pod), k.cfg.Defaults)
	rec.behaviour, rec.annotations, rec.parsed = b, pod.Annotations, true
	for _, p := range problems {
		k.log.Warn("annotation ignored", "pod", keyOf(pod), "annotation", p.Annotation, "problem", p.Message)
		k.events.tell(pod, podlife.Event{Warning: true, Reason: "BadAnnotation", Message: p.String()})
	}
	return b
}

func containersOf(pod *corev1.Pod) behaviour.Containers {
	var c behaviour.Containers
	for i := range pod.Spec.InitContainers {
		c.Inits = append(c.Inits, pod.Spec.InitContainers[i].Name)
	}
	for i := range pod.Spec.Containers {
		c.Apps = append(c.Apps, pod.Spec.Containers[i].Name)
	}
	return c
}

// do writes what was decided. A pod that is gone needs nothing more.
func (k *kubelet) do(ctx context.Context, rec *record, pod *corev1.Pod, out podlife.Output) error {
	if out.Status != nil {
		if err := k.writeStatus(ctx, rec, pod, out.Status); err != nil {
			return ignoreGone(err)
		}
	}
	if !out.Delete {
		return nil
	}
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil {
		return ignoreGone(fmt.Errorf("remove pod: %w", err))
	}
	return nil
}

// ignoreGone drops errors that say the pod is not there any more: not found,
// or there is another of the same name (the UID does not match).
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// writeStatus patches the status as a kubelet does: conditions are merged by
// type, so those of others stay, and the UID makes sure it is the same pod.
func (k *kubelet) writeStatus(ctx context.Context, rec *record, pod *corev1.Pod, status *corev1.PodStatus) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   ownStatus(status),
	})
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	updated, err := k.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("write pod status: %w", err)
	}
	if _, err := trim(updated); err != nil {
		return err
	}
	rec.written = updated
	return nil
}

// statusPatch is the part of a status that belongs to the kubelet.
type statusPatch struct {
	*corev1.PodStatus
	Conditions []conditionPatch `json:"conditions"` // in place of PodStatus's
}

// conditionPatch is a condition that is written with all its fields: they are
// merged into the old ones, and what was left out would stay.
type conditionPatch struct {
	Type               corev1.PodConditionType `json:"type"`
	Status             corev1.ConditionStatus  `json:"status"`
	Reason             string                  `json:"reason"`
	Message            string                  `json:"message"`
	LastTransitionTime metav1.Time             `json:"lastTransitionTime"`
	ObservedGeneration int64                   `json:"observedGeneration"`
}

func ownStatus(status *corev1.PodStatus) statusPatch {
	own := statusPatch{PodStatus: status}
	for _, c := range status.Conditions {
		switch c.Type {
		case corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady:
			own.Conditions = append(own.Conditions, conditionPatch{c.Type, c.Status, c.Reason, c.Message, c.LastTransitionTime, c.ObservedGeneration})
		}
	}
	return own
}
