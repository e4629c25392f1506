package nodeimage

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// Plan says what is to be done with a node's NodeImage: it is made when the node is ready and deleted when the node is
// gone; it has the node's labels; tags that nobody needs any more are forgotten; and pulls of a node that does not answer
// have failed.
func Plan(o Observed) plan.Plan {
	var p plan.Plan
	switch {
	case o.Image == nil && o.Node == nil:
	case o.Unseen:
		hold(&p, o, WaitingForCache, "the last write to it is not seen yet")
	case o.Refused != "":
		hold(&p, o, RefusedByAPIServer, o.Refused)
	case o.Image == nil:
		create(&p, o)
	case o.Image.DeletionTimestamp != nil:
	case o.Node == nil && !isFake(o.Image):
		p.Steps = append(p.Steps, plan.Step{Verb: plan.DeleteObject, Unit: o.unit(), Why: "there is no node of this name any more"})
	default:
		keep(&p, o)
	}
	return p
}

func isFake(ni *v1beta1.NodeImage) bool {
	_, fake := ni.Labels[v1beta1.FakeNodeImageLabel]
	return fake
}

func hold(p *plan.Plan, o Observed, reason plan.Reason, why string) {
	p.Holds = append(p.Holds, plan.Hold{Unit: o.unit(), Reason: reason, Why: why})
}

func create(p *plan.Plan, o Observed) {
	n := o.Node
	ready := n.Since.Add(o.CreationDelay).Sub(o.Now)
	switch {
	case n.Leaving:
	case n.Virtual():
		hold(p, o, VirtualNode, "the node has the label type=virtual-kubelet: no machine stands behind it that could pull images")
	case !n.Ready:
		hold(p, o, NodeNotReady, "the node is not ready: it gets a NodeImage when it is")
	case o.CreationDelay > 0 && ready > 0:
		hold(p, o, NodeNotReady, fmt.Sprintf("the node has not been ready for %s yet", o.CreationDelay))
		p.WakeAfter = ready
	default:
		p.Steps = append(p.Steps, plan.Step{Verb: plan.CreateObject, Unit: o.unit(), Why: "the node is ready", Create: &plan.Creation{Object: New(n)}})
	}
}

// New is the NodeImage of a node, as JSON.
func New(n *Node) []byte {
	return marshal(map[string]any{
		"apiVersion": v1beta1.GroupVersion().String(), "kind": "NodeImage",
		"metadata": map[string]any{"name": n.Name, "labels": n.Labels}, "spec": map[string]any{},
	})
}

func marshal(what any) []byte {
	data, err := json.Marshal(what)
	if err != nil {
		panic(err) // our own types can be written
	}
	return data
}

// keep plans one write to the spec, or else one to the status.
func keep(p *plan.Plan, o Observed) {
	change := plan.Change{NoLabels: len(o.Image.Labels) == 0}
	var why []string
	if change.Labels = labels(o); len(change.Labels) > 0 {
		why = append(why, "the node's labels have changed")
	}
	forgotten, wake := forget(o, &change)
	if forgotten > 0 {
		why = append(why, fmt.Sprintf("%d tags are not needed any more", forgotten))
	}
	if len(why) > 0 {
		p.Steps = append(p.Steps, plan.Step{Verb: plan.PatchObject, Unit: o.unit(), Change: change, Why: strings.Join(why, ", ")})
		return // the rest when this is seen
	}
	p.WakeAfter = wake
	fail(p, o)
}

// labels makes the NodeImage's labels the node's.
func labels(o Observed) (changes []plan.LabelChange) {
	if o.Node == nil {
		return nil
	}
	have := o.Image.Labels
	for _, key := range slices.Sorted(maps.Keys(o.Node.Labels)) {
		if to := o.Node.Labels[key]; have[key] != to || !has(have, key) {
			changes = append(changes, plan.LabelChange{Key: key, From: have[key], Absent: !has(have, key), To: to})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if key != v1beta1.FakeNodeImageLabel && !has(o.Node.Labels, key) {
			changes = append(changes, plan.LabelChange{Key: key, From: have[key], Remove: true})
		}
	}
	return changes
}

func has(labels map[string]string, key string) bool {
	_, there := labels[key]
	return there
}

// forget takes the tags that nobody needs out of the spec. wake is when the next one comes to that.
func forget(o Observed, change *plan.Change) (forgotten int, wake time.Duration) {
	for _, name := range slices.Sorted(maps.Keys(o.Image.Spec.Images)) {
		entry := o.Image.Spec.Images[name]
		var left []v1beta1.ImageTagSpec
		for i := range entry.Tags {
			tag := &entry.Tags[i]
			expired, wait := o.expired(name, tag)
			if expired {
				forgotten++
				continue
			}
			left, wake = append(left, *tag), sooner(wake, wait)
		}
		if len(left) == len(entry.Tags) {
			continue
		}
		replaced := plan.SpecChange{Path: "/images/" + image.Ref{Name: name}.Pointer(), From: marshal(entry)}
		if entry.Tags = left; len(left) > 0 {
			replaced.To = marshal(entry)
		}
		change.Spec = append(change.Spec, replaced)
	}
	return forgotten, wake
}

// expired tells whether a tag is not needed any more, or in which time that may be.
//
//	asked for by jobs   which are all gone      at once
//	                    which have all ended    at once if it is not finished, else ttlSecondsAfterFinished later
//	                    one of which works      no
//	asked for by others, or nobody              ttlSecondsAfterFinished after its end
func (o *Observed) expired(name string, tag *v1beta1.ImageTagSpec) (now bool, wait time.Duration) {
	jobs := map[Owner]int{}
	for i := range tag.OwnerReferences {
		if owner := &tag.OwnerReferences[i]; owner.Kind == "ImagePullJob" {
			jobs[o.Owners[owner.UID]]++
		}
	}
	switch {
	case jobs[Working] > 0:
		return false, 0
	case jobs[Gone] > 0 && jobs[Ended] == 0:
		return true, 0
	}
	told := image.Ref{Name: name, Tag: tag.Tag}.Told(&o.Image.Status)
	if !finished(told, tag) || told.CompletionTime == nil {
		return jobs[Ended] > 0, 0
	}
	ttl := time.Duration(0)
	if p := tag.PullPolicy; p != nil && p.TTLSecondsAfterFinished != nil {
		ttl = time.Duration(*p.TTLSecondsAfterFinished) * time.Second
	}
	left := ttl - o.Now.Sub(told.CompletionTime.Time)
	return left <= 0, max(left, 0)
}

// finished tells whether the status tells of the end of this version.
func finished(told *v1beta1.ImageTagStatus, tag *v1beta1.ImageTagSpec) bool {
	return told != nil && told.Version >= tag.Version && image.Finished(told.Phase)
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// fail says of pulls that the node does not tell about any more that they have failed.
func fail(p *plan.Plan, o Observed) {
	silent := map[image.Ref]Result{}
	for name, entry := range o.Image.Spec.Images {
		for i := range entry.Tags {
			tag := &entry.Tags[i]
			ref := image.Ref{Name: name, Tag: tag.Tag}
			why, wait := o.silent(ref.Told(&o.Image.Status), tag)
			p.WakeAfter = sooner(p.WakeAfter, wait)
			if why != "" {
				silent[ref] = Result{Version: tag.Version, Phase: v1beta1.ImagePhaseFailed, Ended: o.Now, Message: why}
			}
		}
	}
	if len(silent) == 0 {
		return
	}
	status := Merge(o.Image, silent)
	var from []byte
	if !isZero(&o.Image.Status) {
		from = marshal(o.Image.Status)
	}
	p.Steps = append(p.Steps, plan.Step{
		Verb: plan.PatchObjectStatus, Unit: o.unit(), Why: fmt.Sprintf("%d pulls get no answer from the node", len(silent)),
		Change: plan.Change{Status: []plan.SpecChange{{From: from, To: marshal(status)}}},
	})
}

// silent says why a pull has failed because nobody told of its end in time; empty: it has not, but in a time may have.
func (o *Observed) silent(told *v1beta1.ImageTagStatus, tag *v1beta1.ImageTagSpec) (why string, wait time.Duration) {
	ended, answered := answers(told, tag)
	if ended || tag.CreatedAt == nil {
		return "", 0
	}
	limit := image.TagLimits(tag.PullPolicy).Longest() + Patience
	checks := []struct {
		applies bool
		since   time.Time
		limit   time.Duration
		why     string
	}{
		{!answered, tag.CreatedAt.Time, Patience, fmt.Sprintf("the node's agent has not answered within %s: does it run?", Patience)},
		{answered && told.Phase == v1beta1.ImagePhasePulling, startOf(told, tag), limit, fmt.Sprintf("the node's agent has not told of the end of the pull within %s", limit)},
		{true, tag.CreatedAt.Time, limit + longestWait, fmt.Sprintf("the pull has not begun within %s", longestWait)},
		{tag.PullPolicy != nil && tag.PullPolicy.ActiveDeadlineSeconds != nil, tag.CreatedAt.Time, deadline(tag) + Patience, "pulling exceeds the activeDeadlineSeconds"},
		{o.Node != nil && !o.Node.Ready, o.lost(), Patience, fmt.Sprintf("the node has not been ready for %s", Patience)},
	}
	for _, c := range checks {
		if !c.applies {
			continue
		}
		left := c.limit - o.Now.Sub(c.since)
		if left <= 0 {
			return c.why, 0
		}
		wait = sooner(wait, left)
	}
	return "", wait
}

// answers tells whether the agent has told of the end of a pull, and whether of anything of it: a pull before it of the same
// image is ended before who asks once more is answered.
func answers(told *v1beta1.ImageTagStatus, tag *v1beta1.ImageTagSpec) (ended, answered bool) {
	if told == nil {
		return false, false
	}
	reached, finished := told.Version >= tag.Version, image.Finished(told.Phase)
	return reached && finished, reached || !finished
}

func (o *Observed) lost() time.Time {
	if o.Node == nil {
		return time.Time{}
	}
	return o.Node.Since
}

func startOf(told *v1beta1.ImageTagStatus, tag *v1beta1.ImageTagSpec) time.Time {
	if told != nil && told.StartTime != nil {
		return told.StartTime.Time
	}
	return tag.CreatedAt.Time
}

func deadline(tag *v1beta1.ImageTagSpec) time.Duration {
	if tag.PullPolicy == nil || tag.PullPolicy.ActiveDeadlineSeconds == nil {
		return 0
	}
	return time.Duration(*tag.PullPolicy.ActiveDeadlineSeconds) * time.Second
}

func isZero(s *v1beta1.NodeImageStatus) bool {
	return s.Desired == 0 && s.Succeeded == 0 && s.Failed == 0 && s.Pulling == 0 && s.Waiting == 0 && s.ImageStatuses == nil && s.FirstSyncStatus == nil
}

func timeOf(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}
