package clone

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// another has requests be made whatever their Pods ask for.
type another struct{ engine.API }

func (d another) Create(ctx context.Context, resource schema.GroupVersionResource, namespace string, object []byte) (metav1.ObjectMeta, error) {
	object = []byte(strings.ReplaceAll(string(object), v1beta1.ContainerRecreateRequestRenewalAnnotation, "nobody/asks"))
	return d.API.Create(ctx, resource, namespace, object)
}

func renewalMutants() map[string]mutant {
	undone := func(q cloneset.Request) bool { return q.Ended == 0 }
	return map[string]mutant{
		"counts a renewal as done before the container is new": {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) {
			p.Progress = p.Progress.Renewed()
		})), "restored"},
		"believes the request and does not look at the pod": {planOf(func(o *cloneset.Observed) {
			o.Requests = slices.Clone(o.Requests)
			for i := range o.Requests {
				o.Requests[i].Before = nil
			}
		}), "restored"},
		"takes a request that failed for one that succeeded": {planOf(func(o *cloneset.Observed) {
			o.Requests = slices.Clone(o.Requests)
			for i := range o.Requests {
				if q := &o.Requests[i]; q.Ended > 0 && !q.Succeeded {
					q.Succeeded, q.Before = true, nil
				}
			}
		}), "restored"},
		"makes a request twice": {planOf(func(o *cloneset.Observed) {
			o.Requests = slices.Clone(o.Requests)
			for i := range o.Requests {
				if q := &o.Requests[i]; undone(*q) && !q.Born { // as if it was over long ago
					q.Ended = 1
				}
			}
		}), "renewed"},
		"does not wait until kubelet has seen the pod": {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) {
			if p.Progress.Renewal != nil {
				renewal := *p.Progress.Renewal
				renewal.From = 0
				p.Progress.Renewal = &renewal
			}
		})), "restored"},
		"forgets that a renewal is done": {planOf(func(o *cloneset.Observed) {
			o.Requests = slices.DeleteFunc(slices.Clone(o.Requests), func(q cloneset.Request) bool { return q.Succeeded })
		}), "renewed"},
		"makes no request": {stepsOf(drop(func(_ cloneset.Observed, s *plan.Step) bool { return s.Verb == plan.CreateObject })), "reached"},
		"forgets requests of the template before": {planOf(func(o *cloneset.Observed) {
			asked := map[string]bool{}
			for i := range o.Pods {
				if r := o.Pods[i].Progress.Renewal; r != nil {
					asked[r.Of(o.Pods[i].Unit.UID)] = true
				}
			}
			if len(asked) == 0 {
				o.Requests = slices.DeleteFunc(slices.Clone(o.Requests), undone)
			}
		}), "renewed"},
		"lets pods serve whose renewal is dropped": {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) {
			if p.Progress.Stage == inplace.Renewing {
				p.Progress.Renewal, p.Progress.Stage = nil, inplace.Complete
			}
		})), "restored"},
		"does not drain for an environment": {stepsOf(eachStep(plan.UpdateInPlace, func(_ cloneset.Observed, s *plan.Step) {
			if len(s.Change.Images)+len(s.Change.Resources) == 0 && len(s.Change.Renews) > 0 {
				s.Change.Conditions = nil
			}
		})), "drained"},
		"asks for nothing in particular": {doorOf(func(api engine.API) engine.API { return another{api} }), "renewed"},
		"renews where there are no agents": {planOf(func(o *cloneset.Observed) {
			for name, diff := range o.Set.From {
				if _, renews := diff.Renews(); !renews && strings.Contains(diff.Recreate, "environment") {
					diff.Recreate = ""
					o.Set.From[name] = diff
				}
			}
		}), ""},
	}
}
