package nodepodprobe

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// desired are the marks that a Pod is to have of its results.
type desired struct {
	labels, annotations keys
	conditions          []result
	// awaited are types of conditions of which there is no result now: they stay as they are.
	awaited []string
}

// result is a want with what the agent found.
type result struct {
	want  *probe.Want
	found *v1beta1.ContainerProbeState
}

// keys say what becomes of labels, or of annotations.
type keys struct {
	// set are those of states that hold; of two the first one's. gone are those of states that do not. stay are those of
	// probes without a result.
	set        map[string]string
	gone, stay map[string]bool
}

func (k *keys) put(values map[string]string, add bool) {
	for key, value := range values {
		if _, set := k.set[key]; add && !set {
			k.set[key] = value
		} else if !add {
			k.gone[key] = true
		}
	}
}

func newKeys() keys {
	return keys{set: map[string]string{}, gone: map[string]bool{}, stay: map[string]bool{}}
}

// desiredOf says which marks a Pod is to have.
func (o *Observed) desiredOf(pod *Pod) desired {
	d := desired{labels: newKeys(), annotations: newKeys()}
	found := o.found(pod)
	wants := o.wants(pod)
	for i := range wants {
		w := &wants[i]
		if w.Out() {
			continue // nobody waits for a result of it
		}
		state := found[w.Entry.Name]
		held := w.Hold != nil || state == nil
		if t := w.Probe.PodConditionType; t != "" {
			if held {
				d.awaited = append(d.awaited, t)
			} else {
				d.conditions = append(d.conditions, result{w, state})
			}
		}
		for _, policy := range w.Probe.MarkerPolicy {
			if held {
				d.labels.leave(policy.Labels)
				d.annotations.leave(policy.Annotations)
				continue
			}
			d.labels.put(policy.Labels, policy.State == state.State)
			d.annotations.put(policy.Annotations, policy.State == state.State)
		}
	}
	return d
}

func (k *keys) leave(values map[string]string) {
	for key := range values {
		k.stay[key] = true
	}
}

// found are the results of a Pod by the names of probes.
func (o *Observed) found(pod *Pod) map[string]*v1beta1.ContainerProbeState {
	if o.Object == nil {
		return nil
	}
	all := map[string]*v1beta1.ContainerProbeState{}
	for i := range o.Object.Status.PodProbeStatuses {
		s := &o.Object.Status.PodProbeStatuses[i]
		if s.UID != pod.UID {
			continue
		}
		for k := range s.ProbeStates {
			if state := &s.ProbeStates[k]; state.State != "" {
				all[state.Name] = state
			}
		}
	}
	return all
}

// value returns what a key is to have; keep: it stays as it is; and false if it goes. own tells that only we wrote it.
func (k *keys) value(key string, own bool) (value string, set, keep bool) {
	value, set = k.set[key]
	switch {
	case set:
		return value, true, false
	case k.stay[key]:
		return "", false, true
	}
	return "", false, !k.gone[key] && !own
}

// changed lists, sorted, the keys that are not as they are to be.
func (k *keys) changed(has map[string]string, own []string) (list []string) {
	for key, value := range k.set {
		if is, ok := has[key]; !ok || is != value {
			list = append(list, key)
		}
	}
	for key := range has {
		if _, set, keep := k.value(key, slices.Contains(own, key)); !set && !keep {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return list
}

// Differs tells whether a Pod may have to be written to, as far as the cache shows: then the API server is asked for it.
func Differs(o Observed, pod *Pod) bool {
	if !pod.Active {
		return false
	}
	d := o.desiredOf(pod)
	return len(d.labels.changed(pod.Marks.Labels, pod.Marks.OwnLabels)) > 0 ||
		len(d.annotations.changed(pod.Marks.Annotations, pod.Marks.OwnAnnotations)) > 0 ||
		len(d.news(&pod.Marks)) > 0 || len(d.stale(&pod.Marks, nil)) > 0
}

// news are the results whose condition differs.
func (d *desired) news(m *Marks) (list []result) {
	for _, r := range d.conditions {
		at := slices.IndexFunc(m.Conditions, func(c Condition) bool { return c.Type == r.want.Probe.PodConditionType })
		if at < 0 || m.Conditions[at].Status != statusOf(r.found.State) || m.Conditions[at].Message != r.found.Message {
			list = append(list, r)
		}
	}
	return list
}

// stale are the places of conditions that only we wrote and that nobody wants any more. Readiness gates stay.
func (d *desired) stale(m *Marks, gates []string) (list []int) {
	for i, c := range m.Conditions {
		wanted := slices.Contains(d.awaited, c.Type) ||
			slices.ContainsFunc(d.conditions, func(r result) bool { return r.want.Probe.PodConditionType == c.Type })
		if !wanted && slices.Contains(m.OwnConditions, c.Type) && !slices.Contains(gates, c.Type) {
			list = append(list, i)
		}
	}
	return list
}

// statusOf is the condition's status. Unknown is told as it is: whoever acts on False (kruise's own tools act on True and
// False) would take a container that was just started for one that failed its probe.
func statusOf(state v1beta1.ProbeState) string {
	switch state {
	case v1beta1.ProbeSucceeded:
		return string(metav1.ConditionTrue)
	case v1beta1.ProbeFailed:
		return string(metav1.ConditionFalse)
	}
	return string(metav1.ConditionUnknown)
}

// mark brings a Pod's marks to what they are to be, by one write.
func (o *Observed) mark(pod *Pod) (*plan.Step, *plan.Hold) {
	switch {
	case !pod.Active:
		return nil, nil
	case pod.Unseen:
		return nil, &plan.Hold{Unit: pod.Unit, Reason: WaitingForCache, Why: "our last write to it is not seen yet"}
	case pod.Refused != "":
		return nil, &plan.Hold{Unit: pod.Unit, Reason: WriteRefused, Why: pod.Refused}
	case pod.Live == nil:
		return nil, nil
	}
	change, why := o.change(pod)
	if why == "" {
		return nil, nil
	}
	return &plan.Step{Verb: plan.SetState, Unit: pod.Unit, Change: change, Why: why}, nil
}

// change is empty, and so is why, if nothing differs.
func (o *Observed) change(pod *Pod) (c plan.Change, why string) {
	d, live := o.desiredOf(pod), pod.Live
	var whys []string
	for _, key := range d.labels.changed(live.Labels, live.OwnLabels) {
		from, had := live.Labels[key]
		to, set, _ := d.labels.value(key, true)
		c.Labels = append(c.Labels, plan.LabelChange{Key: key, From: from, Absent: !had, To: to, Remove: !set})
		whys = append(whys, "label "+key)
	}
	for _, key := range d.annotations.changed(live.Annotations, live.OwnAnnotations) {
		from, had := live.Annotations[key]
		to, set, _ := d.annotations.value(key, true)
		c.Annotations = append(c.Annotations, plan.AnnotationChange{Key: key, From: from, Absent: !had, To: to, Remove: !set})
		whys = append(whys, "annotation "+key)
	}
	c.NoLabels, c.NoAnnotations = live.NoLabels && len(c.Labels) > 0, live.NoAnnotations && len(c.Annotations) > 0
	for _, r := range d.news(&live.Marks) {
		c.Conditions = append(c.Conditions, o.condition(live, r))
		whys = append(whys, "probe "+r.found.Name+": "+string(r.found.State))
	}
	for _, i := range d.stale(&live.Marks, live.Gates) {
		gone := live.Conditions[i]
		c.Conditions = append(c.Conditions, plan.ConditionChange{Type: gone.Type, Index: i, From: gone.Message, Remove: true})
		whys = append(whys, "condition "+gone.Type+" is nobody's any more")
	}
	return c, strings.Join(whys, ", ")
}

// condition writes one result into a Pod's status.
func (o *Observed) condition(live *Live, r result) plan.ConditionChange {
	c := plan.ConditionChange{
		Type: r.want.Probe.PodConditionType, Status: statusOf(r.found.State), Message: r.found.Message,
		Reason: "Probe" + string(r.found.State), Probed: rfc3339(r.found.LastProbeTime),
	}
	c.Index = slices.IndexFunc(live.Conditions, func(is Condition) bool { return is.Type == c.Type })
	if c.Absent = c.Index < 0; c.Absent {
		c.Index = 0
		c.Among = make([]string, len(live.Conditions))
		for i := range live.Conditions {
			c.Among[i] = live.Conditions[i].Type
		}
	} else {
		c.From = live.Conditions[c.Index].Message
	}
	if c.Absent || live.Conditions[c.Index].Status != c.Status {
		c.Since = cmp.Or(rfc3339(r.found.LastTransitionTime), o.Now.UTC().Format(time.RFC3339))
	}
	return c
}

func rfc3339(t metav1.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// News is a state of a probe that a Pod is told of.
type News struct {
	State   v1beta1.ProbeState
	Message string
}

// NewsOf are the states that a step to a Pod tells it of, and that are not those it had; in the order of markers.
func NewsOf(o Observed, unit plan.Unit) (news []News) {
	at := slices.IndexFunc(o.Pods, func(p Pod) bool { return p.UID == unit.UID })
	if at < 0 || o.Pods[at].Live == nil {
		return nil
	}
	pod := &o.Pods[at]
	found, live := o.found(pod), &pod.Live.Marks
	wants := o.wants(pod)
	for i := range wants {
		w := &wants[i]
		state := found[w.Entry.Name]
		if w.Hold != nil || state == nil || !tells(live, w, state.State) {
			continue
		}
		news = append(news, News{state.State, state.Message})
	}
	return news
}

// tells tells whether a state is another one than what a Pod says.
func tells(m *Marks, w *probe.Want, state v1beta1.ProbeState) bool {
	if t := w.Probe.PodConditionType; t != "" {
		at := slices.IndexFunc(m.Conditions, func(c Condition) bool { return c.Type == t })
		return at < 0 || m.Conditions[at].Status != statusOf(state)
	}
	for _, policy := range w.Probe.MarkerPolicy {
		if policy.State == state && (!contains(m.Labels, policy.Labels) || !contains(m.Annotations, policy.Annotations)) {
			return true
		}
	}
	return false
}

func contains(has, want map[string]string) bool {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if is, ok := has[key]; !ok || is != want[key] {
			return false
		}
	}
	return true
}
