package inplace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// A container gets its environment when it starts. If a label or annotation changes that the environment refers to, and
// its image stays, kubelet leaves it alone: a node agent has to stop it, and then kubelet starts it anew. That is a
// renewal. The patch that changes the metadata notes in the Pod's state which containers it concerns (an addition to
// OpenKruise's form), and until a later patch says that it is done, the Pod counts as being updated, whatever runs: of a
// container alone nobody can tell which metadata it was started with.
//
//	patch: labels, "renewal":{"number":1,"containers":["app"]} ── 10 s ──▶ a request, perhaps more ──▶ patch: "renewal":{"number":1}
//
// An image that changes has kubelet start the container anew, but for one case: it changes back before kubelet has
// acted. Then the container is renewed, too.

// Renewal are containers of a Pod that are to start anew although their image stays.
type Renewal struct {
	// ID tells it from others of the same Pod.
	ID string
	// From is when they may be stopped, in seconds since 1970. kubelet begins to work on a Pod with what it knows then, and
	// waits up to a second for what runs: whatever ends meanwhile it starts with the labels and annotations of before.
	From int64
	// Containers in their order, without those that the Pod does not have.
	Containers []string
	// behind is how far the Pod's update is but for it.
	behind Progress
}

// wireRenewal is what a state notes of the last renewal. Its number stays when it is done, so that no two are the same.
type wireRenewal struct {
	Number     int      `json:"number"`
	Containers []string `json:"containers"`
}

// renewal is what a Pod is to be spared until it is done; nil if there is none.
func (p TemplatePod) renewal(state string, wire wireRenewal) *Renewal {
	r := &Renewal{ID: fmt.Sprint(GetText(state, "revision"), "/", GetText(state, "updateTimestamp"), "/", wire.Number)}
	if told, err := time.Parse(time.RFC3339, GetText(state, "updateTimestamp")); err == nil {
		r.From = told.Unix() + patience
	}
	for i := range p.Containers {
		if name := p.Containers[i].Name; slices.Contains(wire.Containers, name) {
			r.Containers = append(r.Containers, name)
		}
	}
	if len(r.Containers) == 0 {
		return nil
	}
	return r
}

// Of names the renewal of a Pod with this UID: of no other Pod, and no other renewal of it.
func (r *Renewal) Of(pod string) string { return pod + "/" + r.ID }

// AskedFor is the renewal that a Pod asks for, by the name that Of gives it; empty if it asks for none.
func AskedFor(pod *corev1.Pod) string {
	p := TemplatePodOf(pod, nil)
	if r := ProgressOf(p).Renewal; r != nil {
		return r.Of(string(pod.UID))
	}
	return ""
}

// before is the progress of a Pod while a renewal is under way.
func (r *Renewal) before(then Progress) Progress {
	r.behind = then
	now := then
	if now.Renewal = r; then.Stage != Changing {
		now.Stage, now.From = Renewing, 0
		now.Why = fmt.Sprintf("container %s starts anew for its new environment", strings.Join(r.Containers, ", "))
	}
	return now
}

// Renewed is how far a Pod's update is when its renewal is done, and only the Pod does not say so yet.
func (p Progress) Renewed() Progress {
	if p.Renewal == nil {
		return p
	}
	renewed := p.Renewal.behind
	renewed.renewed = true
	return renewed
}

// Renewed notes in a Pod that its renewal is done.
func Renewed(p TemplatePod) []plan.AnnotationChange {
	state := p.state()
	return state.write(renewing(state.object(), nil))
}

// renewing notes in a state which containers are to start anew.
func renewing(entry string, containers []string) string {
	record := object(entry, "renewal")
	if len(containers) == 0 {
		if _, some := Get(record, "containers"); !some {
			return entry
		}
		return Set(entry, "renewal", Remove(record, "containers"))
	}
	text, _ := Get(record, "number")
	number, _ := strconv.Atoi(text) // 0 for the first
	return Set(entry, "renewal", toJSON(wireRenewal{Number: number + 1, Containers: containers}))
}

// mayHaveRun tells whether a container may have run an image before its last change, of which this is the record, or have
// been about to.
func mayHaveRun(image, last string) bool {
	changing, _ := Get(last, "changing")
	before := GetText(last, "image")
	return changing != "false" || before == "" || before == image
}

// Renewals are the containers that a change of a Pod has start anew by a renewal, in order.
func (p TemplatePod) Renewals(d Difference, now time.Time) (names []string) {
	all, err := p.all(d, now)
	if err != nil { // Refuses says so
		return nil
	}
	state := p.state().object()
	for _, image := range p.todo(all).Images {
		if p.Containers[p.container(image.Name)].renews(image, state, now) {
			names = append(names, image.Name)
		}
	}
	return names
}

// renews tells whether a container starts anew by a renewal: its image does not change, or changes to one that may still run.
func (c *TemplateContainer) renews(image ContainerImage, state string, now time.Time) bool {
	if !image.Environment || image.To == "" {
		return image.Environment
	}
	last, changed := Get(object(state, "lastContainerStatuses"), c.Name) // one that never changed has run nothing else
	return changed && !c.settled(state, now) && !c.Runs.Ended && mayHaveRun(image.To, last)
}

// all is a change together with what an earlier one has begun and not done yet. Containers to which that gave a new
// environment with their image, and which kubelet has not restarted, get it again: with another image, or if it may leave
// them alone, by a renewal.
func (p TemplatePod) all(d Difference, now time.Time) (Difference, error) {
	earlier, err := p.pending()
	if err != nil {
		return d, err
	}
	d = d.after(earlier)
	state := p.state().object()
	statuses, _ := Get(state, "lastContainerStatuses")
	var again Difference
	for i := range p.Containers {
		c := &p.Containers[i]
		last, _ := Get(statuses, c.Name)
		if _, with := Get(last, "environment"); !with || c.settled(state, now) {
			continue
		}
		another := slices.ContainsFunc(d.Images, func(image ContainerImage) bool {
			return image.Name == c.Name && image.To != "" && image.To != c.Image
		})
		if another || mayHaveRun(c.Image, last) {
			again.Images = append(again.Images, ContainerImage{Name: c.Name, Environment: true})
		}
	}
	return d.after(again), nil
}
