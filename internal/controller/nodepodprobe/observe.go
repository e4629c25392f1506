package nodepodprobe

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/nodepodprobe"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// readsInFlight is how many Pods of a node are read at a time.
const readsInFlight = 8

// observe looks at a node. It asks the API server about Pods that have to be written to, and about what the last write to has
// an unknown outcome.
func (r *Reconciler) observe(ctx context.Context, node string) (nodepodprobe.Observed, engine.Owner, error) {
	owner := ownerOf(node)
	r.inboxes.Take(node, r.now())
	object := r.cache.Object(node)
	if object != nil {
		owner.UID = string(object.UID)
	}
	if err := r.hands.Look(ctx, owner); err != nil {
		return nodepodprobe.Observed{}, owner, fmt.Errorf("observe node %s: %w", node, err)
	}
	there, virtual := r.cache.Node(node)
	obs := nodepodprobe.Observed{
		Node: node, Gone: !there, Virtual: virtual, Object: r.object(owner, object), Markers: map[string][]*probe.Marker{}, Now: r.now(),
	}
	if obs.Gone {
		return obs, owner, nil
	}
	for _, key := range sorted(r.cache.OnNode(node)) {
		if pod := r.cache.Pod(key); pod != nil && r.concerns(pod) {
			obs.Pods = append(obs.Pods, nodepodprobe.Pod{Pod: pod.ForProbes(), Marks: marksOf(pod)})
			obs.Markers[pod.Namespace] = r.markers.In(pod.Namespace)
		}
	}
	r.mark(owner, obs.Pods)
	if err := r.readLive(ctx, obs); err != nil {
		return obs, owner, fmt.Errorf("observe node %s: %w", node, err)
	}
	return obs, owner, nil
}

func sorted(keys []string) []string {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	return keys
}

// concerns tells whether a PodProbeMarker selects a Pod, or once did.
func (r *Reconciler) concerns(pod *kept.Pod) bool {
	return pod.Probed() || len(r.markers.Of(pod)) > 0
}

// object is the NodePodProbe, with what is known of our own writes.
func (r *Reconciler) object(owner engine.Owner, object *v1beta1.NodePodProbe) *nodepodprobe.Object {
	unborn := r.hands.Births(owner, plan.CreateObject, func(plan.Unit) bool { return object != nil })
	if object == nil {
		if len(unborn.Births) > 0 || len(unborn.Refused) > 0 {
			return &nodepodprobe.Object{Unseen: true}
		}
		return nil
	}
	o := &nodepodprobe.Object{UID: owner.UID, Leaving: object.DeletionTimestamp != nil, Spec: object.Spec, Status: object.Status}
	for _, verb := range []plan.Verb{plan.UpdateOwner, plan.DeleteOwner} {
		marks := r.hands.Marks(owner, verb, func(u plan.Unit) (string, bool) { return object.ResourceVersion, u.UID == owner.UID })
		o.Unseen = o.Unseen || len(marks) > 0
	}
	return o
}

// mark writes what is known of our own writes into Pods.
func (r *Reconciler) mark(owner engine.Owner, pods []nodepodprobe.Pod) {
	marks := r.hands.PodMarks(owner, func(u plan.Unit) (string, bool) {
		pod := r.cache.Pod(u.Namespace + "/" + u.Name)
		if pod == nil || string(pod.UID) != u.UID {
			return "", false
		}
		return pod.ResourceVersion, true
	})
	for _, m := range marks {
		if i := slices.IndexFunc(pods, func(p nodepodprobe.Pod) bool { return p.UID == m.Unit.UID }); i >= 0 {
			pods[i].Unseen, pods[i].Refused = pods[i].Unseen || m.Unseen, m.Refused
		}
	}
}

// readLive asks the API server for Pods that may have to be written to.
func (r *Reconciler) readLive(ctx context.Context, obs nodepodprobe.Observed) error {
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(readsInFlight)
	for i := range obs.Pods {
		pod := &obs.Pods[i]
		if pod.Unseen || pod.Refused != "" || !nodepodprobe.Differs(obs, pod) {
			continue
		}
		reads.Go(func() error {
			is := &corev1.Pod{}
			err := r.live.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: pod.Name}, is)
			switch {
			case apierrors.IsNotFound(err):
				return nil
			case err != nil:
				return fmt.Errorf("read pod %s: %w", pod.Unit, err)
			}
			if string(is.UID) == pod.UID && probe.IsActive(is) {
				pod.Live = liveOf(is)
			}
			return nil
		})
	}
	return reads.Wait()
}

// marksOf is what the cache shows of a Pod's marks.
func marksOf(pod *kept.Pod) nodepodprobe.Marks {
	own, annotations := pod.Marks()
	marks := nodepodprobe.Marks{
		Labels: pod.LabelSet(), Annotations: annotations,
		OwnLabels: own.Labels, OwnAnnotations: own.Annotations, OwnConditions: own.Conditions,
	}
	pod.OtherConditions(func(kind, status, message string) {
		marks.Conditions = append(marks.Conditions, nodepodprobe.Condition{Type: kind, Status: status, Message: message})
	})
	return marks
}

// liveOf is what the API server says of a Pod.
func liveOf(pod *corev1.Pod) *nodepodprobe.Live {
	own := probe.OwnOf(pod.ManagedFields)
	is := &nodepodprobe.Live{
		Marks: nodepodprobe.Marks{
			Labels: pod.Labels, Annotations: pod.Annotations,
			OwnLabels: own.Labels, OwnAnnotations: own.Annotations, OwnConditions: own.Conditions,
		},
		NoLabels: len(pod.Labels) == 0, NoAnnotations: len(pod.Annotations) == 0,
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		is.Conditions = append(is.Conditions, nodepodprobe.Condition{Type: string(c.Type), Status: string(c.Status), Message: c.Message})
	}
	for _, gate := range pod.Spec.ReadinessGates {
		is.Gates = append(is.Gates, string(gate.ConditionType))
	}
	return is
}
