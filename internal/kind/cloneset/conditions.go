package cloneset

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/lifecycle"
)

// drain takes a Pod out of service before it changes. kubelet would do the same with Ready a moment later; a moment
// in which traffic still comes. One that is out of service is to stay so.
func (d *decision) drain(p *Pod) []plan.ConditionChange {
	if !p.InPlaceReady.Gate {
		return nil
	}
	if p.InPlaceReady.There && !p.InPlaceReady.True {
		return []plan.ConditionChange{{Type: string(v1beta1.InPlaceUpdateReady), Status: string(corev1.ConditionFalse), Index: p.InPlaceReady.Index, Keep: true}}
	}
	c := d.condition(p, v1beta1.InPlaceUpdateReady, p.InPlaceReady, false)
	c.Reason = "StartInPlaceUpdate"
	return append([]plan.ConditionChange{c}, d.outOfService(p)...)
}

// outOfService sets the condition Ready to False: also if it is, since kubelet may have found the Pod ready meanwhile.
func (d *decision) outOfService(p *Pod) []plan.ConditionChange {
	if !p.Ready.There {
		return nil
	}
	c := d.condition(p, corev1.PodReady, p.Ready, false)
	c.Reason = "ReadinessGatesNotReady"
	return []plan.ConditionChange{c}
}

// condition writes one condition.
func (d *decision) condition(p *Pod, name corev1.PodConditionType, is Condition, now bool) plan.ConditionChange {
	c := plan.ConditionChange{
		Type: string(name), Status: string(corev1.ConditionFalse), Index: is.Index, From: is.Message,
		Absent: !is.There,
	}
	if c.Absent {
		c.Among, c.Version = p.Conditions, p.ResourceVersion
	}
	if now {
		c.Status = string(corev1.ConditionTrue)
	}
	if !is.There || is.True != now {
		c.Since = d.stamp()
	}
	return c
}

// moved writes where a Pod goes in its lifecycle, and what that makes of its condition KruisePodReady.
func (d *decision) moved(p *Pod, to v1beta1.LifecycleStateType) plan.Change {
	c := plan.Change{
		Labels: []plan.LabelChange{label(p, v1beta1.LifecycleStateLabel, string(to))},
		Annotations: []plan.AnnotationChange{{
			Key: v1beta1.LifecycleTimestampAnnotation, Unchecked: true, To: d.stamp(),
		}},
	}
	message, changed := lifecycle.ReadyMessage(d.set.Lifecycle, to, p.KruiseReady.Message)
	if !changed || !p.KruiseReady.Gate {
		return c
	}
	ready := lifecycle.Status(message) == corev1.ConditionTrue
	condition := d.condition(p, v1beta1.KruisePodReady, p.KruiseReady, ready)
	condition.Message, condition.Exactly = message, !condition.Absent // other requests keep a Pod not ready, too
	if c.Conditions = append(c.Conditions, condition); !ready {
		c.Conditions = append(c.Conditions, d.outOfService(p)...)
	}
	return c
}

// facts are what a Pod's lifecycle depends on.
func (d *decision) facts(p *Pod) lifecycle.Facts {
	return lifecycle.Facts{
		State: p.State, Labels: p.Labels, Finalizers: p.Finalizers, Scheduled: p.Scheduled && p.Ready.There,
		UpdateDone: d.updated(p), TargetIsOwn: d.goal.has(p), SpecifiedDelete: d.toDelete(p),
	}
}

// updated tells whether a Pod's last update in place is complete, and its containers are ready.
func (d *decision) updated(p *Pod) bool { return p.Progress.Done(d.obs.Now) && p.ContainersReady }

// label sets a label of a Pod.
func label(p *Pod, key, to string) plan.LabelChange {
	from, there := p.Labels[key]
	return plan.LabelChange{Key: key, From: from, Absent: !there, To: to}
}
