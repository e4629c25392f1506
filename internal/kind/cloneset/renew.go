package cloneset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// Containers whose environment changes and whose image does not start anew by a ContainerRecreateRequest, once the Pod
// says of itself that they are to:
//
//	the Pod is drained, and patched ─ 10 s ─▶ request …-1 ─▶ failed ─ 10 s ─▶ request …-2 ─▶ succeeded ─▶ the Pod is patched, serves
//	      another template: the request is deleted, and until then the Pod does not serve

// requests are those of all Pods, by the renewal that they are for, and by the name of their Pod.
type requests struct{ renewal, pod map[string][]*Request }

func requestsOf(list []Request) (r requests) {
	if len(list) == 0 {
		return r
	}
	r = requests{map[string][]*Request{}, map[string][]*Request{}}
	for i := range list {
		q := &list[i]
		renewal, _ := split(q.Unit.Name)
		r.renewal[renewal] = append(r.renewal[renewal], q)
		pod := renewal[:max(0, len(renewal)-hashLength)]
		r.pod[pod] = append(r.pod[pod], q)
	}
	return r
}

// last is the last try of a Pod's renewal; nil if there was none.
func (r *requests) last(p *Pod) (last *Request, try int) {
	for _, q := range r.renewal[requestsFor(p)] {
		if _, n := split(q.Unit.Name); n > try {
			last, try = q, n
		}
	}
	return last, try
}

// late is a request that may come to a Pod's containers, and is not for what the Pod asks for, or not any more; nil if there
// is none. Since a Pod is patched and its request deleted by two writes, there may be one for a while.
func (r *requests) late(p *Pod) *Request {
	for _, q := range r.pod[podIn(p.Unit.Name)] {
		renewal, _ := split(q.Unit.Name)
		ours := q.Pod == "" || q.Pod == p.Unit.UID // a name has room for the beginning of the Pod's only
		if ours && (q.Born || q.Unit.UID != "") && q.Ended == 0 && (p.Progress.Renewal == nil || renewal != requestsFor(p)) {
			return q
		}
	}
	return nil
}

// stopped tells whether a container is one of before a Pod's renewal.
func (r *requests) stopped(p *Pod, container string) bool {
	return slices.ContainsFunc(r.renewal[requestsFor(p)], func(q *Request) bool { return slices.Contains(q.Before, container) })
}

// afterRenewal is a Pod as it is with its renewal done, if that is done, and tells whether it is: the last request has
// succeeded, and what is observed of the Pod is of after that.
func (d *decision) afterRenewal(p *Pod) (*Pod, bool) {
	if p.Progress.Renewal == nil {
		return p, false
	}
	if last, _ := d.requests.last(p); last == nil || !last.Succeeded {
		return p, false
	}
	for i := range p.Template.Containers {
		c := &p.Template.Containers[i]
		if slices.Contains(p.Progress.Renewal.Containers, c.Name) && d.requests.stopped(p, c.Runs.ContainerID) {
			return p, false
		}
	}
	renewed := *p
	renewed.Progress = p.Progress.Renewed()
	return &renewed, true
}

// renewals makes the requests for Pods that are not written to now, and deletes those that nobody needs any more: until they
// are gone, no Pod is put back into service.
func (d *decision) renewals() {
	for i := range d.obs.Pods {
		p := &d.obs.Pods[i]
		late := d.requests.late(p)
		if p.Progress.Renewal == nil && late == nil || d.fates[i].acted || !p.writable() {
			continue
		}
		at := int32(i) //nolint:gosec // there are fewer Pods than that
		if late != nil {
			d.withdraw(at, late)
		}
		if why := d.stale(p); why != "" {
			if d.fates[i].reason == "" {
				d.hold(at, NotRenewed, why)
			}
		} else if p.Progress.Renewal != nil {
			d.renew(at)
		}
	}
}

// writable tells whether a Pod is ours to write to now.
func (p *Pod) writable() bool {
	return p.Relation == Owned && !p.Leaving && !p.Born && !p.Unseen && p.Refused == ""
}

// withdraw deletes a request for a Pod that does not ask for it any more.
func (d *decision) withdraw(i int32, late *Request) {
	d.hold(i, Renewing, fmt.Sprintf("request %s, of the template before, may still stop its containers, and is deleted", late.Unit.Name))
	if late.Unit.UID != "" && !late.Leaving && !late.Unseen && late.Refused == "" {
		d.steps = append(d.steps, plan.Step{Verb: plan.DeleteObject, Unit: late.Unit, Why: "its pod was given another template since"})
	}
}

// renew has a Pod's renewal go on.
func (d *decision) renew(i int32) {
	p := &d.obs.Pods[i]
	what := "container " + strings.Join(p.Progress.Renewal.Containers, ", ")
	last, try := d.requests.last(p)
	switch {
	case last == nil && p.Progress.Renewal.From > d.now:
		d.wakeIn(time.Unix(p.Progress.Renewal.From, 0).Sub(d.obs.Now))
		d.hold(i, Renewing, what+" starts anew for its new environment when kubelet has surely seen what changed")
	case last == nil:
		d.request(i, 1, p.Progress.Renewal.Containers, what+" starts anew for its new environment")
	case last.Refused != "":
		d.hold(i, RefusedByAPIServer, fmt.Sprintf("%s is to start anew for its new environment, and the API server refused the request for it: %s", what, last.Refused))
	case last.Born || last.Unseen:
		d.hold(i, WaitingForCache, "our request to start its containers anew is not seen yet")
	case last.Ended == 0:
		d.hold(i, Renewing, fmt.Sprintf("%s starts anew for its new environment: request %s %s", what, last.Unit.Name, howFar(last)))
	case !last.Succeeded:
		d.retry(i, last, try)
	}
}

func howFar(q *Request) string {
	if q.Phase == "" {
		return "waits for the node agent"
	}
	return "is " + q.Phase
}

// stale tells why a renewal that has begun does not come to its end: it takes another request, and nobody serves one any
// more. Empty if it goes on.
func (d *decision) stale(p *Pod) string {
	if p.Progress.Renewal == nil || !d.set.NoAgents && !v1beta1.IsVirtual(d.obs.Nodes[p.Node]) {
		return ""
	}
	last, _ := d.requests.last(p)
	if last != nil && last.Refused == "" && (last.Succeeded || last.Ended == 0) {
		return ""
	}
	why := "the feature gate KruiseDaemon is off"
	if !d.set.NoAgents {
		why = fmt.Sprintf("its node %s is virtual", p.Node)
	}
	return fmt.Sprintf("container %s runs with an old environment, and no agent starts it anew: %s", strings.Join(p.Progress.Renewal.Containers, ", "), why)
}

// replaceStale makes Pods anew whose renewal does not come to its end. They do not serve, so it costs nothing of the budget.
func (d *decision) replaceStale() {
	for _, i := range d.members {
		p := &d.obs.Pods[i]
		why := d.stale(p)
		if why == "" || d.comesToItsEnd(i) {
			continue
		}
		switch {
		case d.set.Paused || d.set.OnDelete:
			d.hold(i, Paused, why+"; it is not replaced while nothing is updated")
		case d.set.Policy == v1beta1.InPlaceOnlyCloneSetPodUpdatePolicy:
			d.hold(i, NeedsRecreation, "podUpdatePolicy is InPlaceOnly, but "+why)
		default:
			d.replace(i, p.Revision, "another pod is made in its place: "+why)
		}
	}
}

// comesToItsEnd tells of a Pod that is made anew in its turn, is deleted anyway, or may not be touched now.
func (d *decision) comesToItsEnd(i int32) bool {
	p := &d.obs.Pods[i]
	waits := d.fates[i].reason == WaitsForBudget || d.fates[i].reason == HeldByHook
	return waits || d.toDelete(p) || p.State == v1beta1.LifecycleStatePreparingDelete || d.untouchable(i)
}

// retry makes another request after one that failed, later.
func (d *decision) retry(i int32, last *Request, try int) {
	p := &d.obs.Pods[i]
	left := last.Left
	if len(left) == 0 {
		left = p.Progress.Renewal.Containers
	}
	what := "container " + strings.Join(left, ", ")
	why := fmt.Sprintf("%s did not start anew for its new environment, and runs with the old one: %s", what, last.Why)
	if wait := time.Unix(last.Ended, 0).Add(last.after()).Sub(d.obs.Now); wait > 0 {
		d.wakeIn(wait)
		d.hold(i, NotRenewed, fmt.Sprintf("%s; request %s is followed by another one after %s", why, last.Unit.Name, last.after()))
		return
	}
	d.request(i, try+1, left, why+"; it is tried again")
}

// request makes a request, unless nothing runs yet that could be stopped.
func (d *decision) request(i int32, try int, containers []string, why string) {
	p := &d.obs.Pods[i]
	for _, name := range containers {
		at := slices.IndexFunc(p.Template.Containers, func(c inplace.TemplateContainer) bool { return c.Name == name })
		if at < 0 || p.Template.Containers[at].Runs.ContainerID == "" {
			d.hold(i, Renewing, fmt.Sprintf("container %s starts anew for its new environment when kubelet has started it for the first time", name))
			return
		}
	}
	name := fmt.Sprintf("%s-%d", requestsFor(p), try)
	for slices.Contains(d.obs.Taken, name) { // by a request that a CloneSet left behind with the Pod
		try++
		name = fmt.Sprintf("%s-%d", requestsFor(p), try)
	}
	d.steps = append(d.steps, plan.Step{
		Verb: plan.CreateObject, Unit: plan.Unit{Namespace: p.Unit.Namespace, Name: name}, Target: name, Why: why,
		Create: &plan.Creation{Object: d.set.request(name, p, containers)},
	})
}
