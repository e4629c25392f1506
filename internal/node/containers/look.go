package containers

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/node/cri"
)

// job is one request in one look.
type job struct {
	containerrecreaterequest.Node

	order *v1beta1.RecreateOrder
	// told is what the object reports of it, nil if nothing; report is what it is to.
	told   *v1beta1.RecreateReport
	report v1beta1.RecreateReport
	// sandboxes of its containers, by their id.
	sandboxes map[string]string
	// blind: nothing is decided now. Its stop is under way, or nothing is known of its containers.
	blind bool
}

// news tells whether the object does not report what is to be reported.
func (j *job) news() bool {
	if j.told == nil {
		return j.report.Phase != ""
	}
	return !equality.Semantic.DeepEqual(*j.told, j.report)
}

// jobs are the requests of the object, with what is known of their stops, and who goes first.
func (a *Actor) jobs(object *v1beta1.NodeContainerRecreate) []*job {
	a.mu.Lock()
	defer a.mu.Unlock()
	jobs := make([]*job, len(object.Spec.Requests))
	pods := map[string][]*v1beta1.ContainerRecreateRequest{}
	for i := range object.Spec.Requests {
		j := &job{order: &object.Spec.Requests[i]}
		if at := slices.IndexFunc(object.Status.Requests, func(r v1beta1.RecreateReport) bool { return r.UID == j.order.UID }); at >= 0 {
			j.told = &object.Status.Requests[at]
			j.report = *j.told
		}
		j.Node = containerrecreaterequest.Node{Request: containerrecreaterequest.Ordered(j.order, j.told), Runtime: a.runtime.Name(), Now: a.now()}
		jobs[i] = j
		pods[j.order.PodUID] = append(pods[j.order.PodUID], j.Request)
	}
	for _, j := range jobs {
		if first := containerrecreaterequest.First(pods[j.order.PodUID]); first != nil && first != j.Request {
			j.Ahead = first.Name
		}
		switch s := a.stops[j.order.PodUID]; {
		case s == nil:
		case s.told(j):
			delete(a.stops, j.order.PodUID)
		default:
			s.tell(j)
		}
	}
	return jobs
}

// look asks the runtime for the newest containers of Pods for whose requests something may be to do; of the others it asks
// nothing. It returns when to look again. A runtime that does not answer is not asked for the next one.
func (a *Actor) look(ctx context.Context, jobs []*job) time.Duration {
	asked := slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool {
		return j.blind || j.Ahead != "" || !containerrecreaterequest.Open(j.Request)
	})
	if len(asked) == 0 {
		return idle
	}
	all, err := a.runtime.Containers(ctx)
	failed, down := err, err != nil
	for _, j := range asked {
		if !down {
			if err = a.find(ctx, j, all); err != nil {
				failed, down = err, passes(err)
			}
		}
		j.blind = err != nil
	}
	if failed == nil {
		return idle
	}
	a.log.Error(failed, "cannot look at containers; will try again")
	return lookAgainAfter
}

// find fills in the newest containers of a request's Pod.
func (a *Actor) find(ctx context.Context, j *job, all []cri.Container) error {
	newest := map[string]cri.Container{}
	for _, c := range all {
		if string(c.PodUID) == j.order.PodUID {
			newest[c.Name] = c
		}
	}
	j.Containers, j.sandboxes = map[string]containerrecreaterequest.Container{}, map[string]string{}
	for i := range j.order.Containers {
		c, there := newest[j.order.Containers[i].Name]
		if !there {
			continue
		}
		status, err := a.runtime.Status(ctx, c.ID)
		if err != nil {
			return err
		}
		j.sandboxes[c.ID] = c.SandboxID
		j.Containers[c.Name] = containerrecreaterequest.Container{
			ID: c.ID, Namespace: c.PodNamespace, Pod: c.PodName, Started: status.StartedAt, ExitCode: status.ExitCode,
			Running: status.State == cri.Running, Ended: status.State == cri.Exited,
		}
	}
	return nil
}
