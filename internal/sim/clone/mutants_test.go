package clone

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// mutant is wrong on purpose. It names the property that has to catch it; empty: any.
type mutant struct {
	subject Subject
	caught  string
}

// planOf is a Subject whose plans are made from an observation that has been tampered with.
func planOf(tamper func(*cloneset.Observed)) Subject {
	s := Product()
	s.Plan = func(obs cloneset.Observed) plan.Plan {
		obs.Pods = slices.Clone(obs.Pods)
		tamper(&obs)
		return cloneset.Plan(obs)
	}
	return s
}

// stepsOf is a Subject whose plans have been tampered with.
func stepsOf(tamper func(cloneset.Observed, *plan.Plan)) Subject {
	s := Product()
	s.Plan = func(obs cloneset.Observed) plan.Plan {
		p := cloneset.Plan(obs)
		tamper(obs, &p)
		return p
	}
	return s
}

// statusOf is a Subject whose statuses are made from an observation that has been tampered with.
func statusOf(tamper func(*cloneset.Observed)) Subject {
	s := Product()
	s.Status = func(obs cloneset.Observed, p plan.Plan) v1beta1.CloneSetStatus {
		obs.Pods = slices.Clone(obs.Pods)
		tamper(&obs)
		return cloneset.Status(obs, p)
	}
	return s
}

// doorOf is a Subject whose hands talk to the API server through somebody.
func doorOf(door func(engine.API) engine.API) Subject {
	s := Product()
	s.Door = door
	return s
}

func eachPod(do func(o *cloneset.Observed, p *cloneset.Pod)) func(*cloneset.Observed) {
	return func(o *cloneset.Observed) {
		for i := range o.Pods {
			do(o, &o.Pods[i])
		}
	}
}

func eachStep(verb plan.Verb, do func(obs cloneset.Observed, s *plan.Step)) func(cloneset.Observed, *plan.Plan) {
	return func(obs cloneset.Observed, p *plan.Plan) {
		for i := range p.Steps {
			if p.Steps[i].Verb == verb {
				do(obs, &p.Steps[i])
			}
		}
	}
}

// drop leaves steps out.
func drop(out func(obs cloneset.Observed, s *plan.Step) bool) func(cloneset.Observed, *plan.Plan) {
	return func(obs cloneset.Observed, p *plan.Plan) {
		p.Steps = slices.DeleteFunc(slices.Clone(p.Steps), func(s plan.Step) bool { return out(obs, &s) })
	}
}

func find(obs cloneset.Observed, u plan.Unit) *cloneset.Pod {
	for i := range obs.Pods {
		if obs.Pods[i].Unit == u {
			return &obs.Pods[i]
		}
	}
	return &cloneset.Pod{}
}

// through changes requests on their way.
type through struct {
	engine.API
	patch func(subresource string, body []byte) []byte
	twice bool
	any   bool
}

func (d through) Patch(ctx context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, body []byte) (string, error) {
	if d.patch != nil && resource.Resource == "pods" {
		body = d.patch(subresource, body)
	}
	return d.API.Patch(ctx, resource, subresource, namespace, name, body)
}

func (d through) Create(ctx context.Context, resource schema.GroupVersionResource, namespace string, object []byte) (metav1.ObjectMeta, error) {
	made, err := d.API.Create(ctx, resource, namespace, object)
	if d.twice && resource.Resource == "pods" && err != nil {
		pod := &corev1.Pod{}
		if json.Unmarshal(object, pod) != nil {
			return made, err
		}
		id := pod.Labels[v1beta1.CloneSetInstanceIDLabel]
		return d.API.Create(ctx, resource, namespace, []byte(strings.ReplaceAll(string(object), id, id[1:]+id[:1])))
	}
	return made, err
}

func (d through) Delete(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, must metav1.Preconditions) error {
	if d.any {
		must = metav1.Preconditions{}
	}
	return d.API.Delete(ctx, resource, namespace, name, must)
}

// untested takes all tests out of a patch.
func untested(_ string, body []byte) []byte {
	var operations []map[string]any
	if json.Unmarshal(body, &operations) != nil {
		return body
	}
	return jsonOf(slices.DeleteFunc(operations, func(o map[string]any) bool { return o["op"] == "test" }))
}

func planMutants() map[string]mutant {
	return map[string]mutant{
		"ignores the partition": {planOf(func(o *cloneset.Observed) { o.Set.Limits.Keep = 0 }), "partition"},
		"partition off by one":  {planOf(func(o *cloneset.Observed) { o.Set.Limits.Keep = max(0, o.Set.Limits.Keep-1) }), "partition"},
		"never brings back":     {planOf(func(o *cloneset.Observed) { o.Set.Limits.RollBack = false }), "reached"},
		"brings back unasked": {planOf(func(o *cloneset.Observed) {
			o.Set.Limits.RollBack = o.Set.Current.Template != nil && o.Set.Current.Name != o.Set.Update.Name
		}), "cause"},
		"budget off by one":           {planOf(func(o *cloneset.Observed) { o.Set.Limits.MaxUnavailable++ }), "budget"},
		"one pod too many":            {planOf(func(o *cloneset.Observed) { o.Set.Limits.Replicas++ }), ""},
		"surge off by one":            {planOf(func(o *cloneset.Observed) { o.Set.Limits.Surge++ }), "total"},
		"no surge at all":             {planOf(func(o *cloneset.Observed) { o.Set.Limits.Surge = 0 }), "reached"},
		"ignores scaleStrategy":       {planOf(func(o *cloneset.Observed) { o.Set.Limits.ScaleMaxUnavailable = math.MaxInt }), "limited"},
		"updates while paused":        {planOf(func(o *cloneset.Observed) { o.Set.Paused, o.Set.Limits.Frozen = false, false }), "paused"},
		"updates although OnDelete":   {planOf(func(o *cloneset.Observed) { o.Set.OnDelete, o.Set.Limits.Frozen = false, false }), "paused"},
		"recreates what could stay":   {planOf(func(o *cloneset.Observed) { o.Set.Policy = v1beta1.ReCreateCloneSetPodUpdatePolicy }), "in place"},
		"deletes without a cause":     {planOf(func(o *cloneset.Observed) { o.Set.Limits.Replicas = max(0, o.Set.Limits.Replicas-1) }), "cause"},
		"forgets podsToDelete":        {planOf(func(o *cloneset.Observed) { o.Set.Delete = nil }), "reached"},
		"empties podsToDelete early":  {stepsOf(emptied), "names"},
		"ignores the label":           {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) { p.Specified = false })), ""},
		"ignores hooks":               {planOf(func(o *cloneset.Observed) { o.Set.Lifecycle = nil }), "hook"},
		"no grace period":             {planOf(func(o *cloneset.Observed) { o.Set.Grace = 0 }), "drained"},
		"minReadySeconds are nothing": {planOf(func(o *cloneset.Observed) { o.Set.MinReady = 0 }), ""},
		"ignores its own writes":      {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) { p.Unseen = false })), ""},
		"believes that a pod is updated at once": {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) {
			if p.Progress.Stage == inplace.Changing {
				p.Progress = inplace.Progress{Stage: inplace.Complete}
			}
		})), "restored"},
		"counts only updated pods as unavailable": {planOf(func(o *cloneset.Observed) {
			for i := range o.Pods {
				if p := &o.Pods[i]; p.Relation == cloneset.Owned && !p.Ready.True && !strings.HasSuffix(p.Revision, o.Set.Update.Hash) {
					o.Set.Limits.MaxUnavailable++
				}
			}
		}), "budget"},
		"revives what the user has named": {planOf(eachPod(func(o *cloneset.Observed, p *cloneset.Pod) {
			if p.State == v1beta1.LifecycleStatePreparingDelete {
				p.Specified, o.Set.Delete = false, nil
			}
		})), "revived"},
		"adopts what it does not select": {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) {
			if p.Relation == cloneset.Stray {
				p.Relation = cloneset.Orphan
			}
		})), ""},
		"releases what it selects": {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) {
			if p.Specified && p.OwnersJSON == "" {
				p.Relation, p.OwnersJSON = cloneset.Stray, `[]`
			}
		})), ""},
		"makes pods anew whose revision it does not see yet": {planOf(func(o *cloneset.Observed) { o.Set.Late = nil }), "in place"},
		"keeps every revision":                               {planOf(func(o *cloneset.Observed) { o.Revisions.History = nil }), "reached"},
		"does not wait for revisions":                        {planOf(func(o *cloneset.Observed) { o.Set.Waiting = false }), "named"},
		"forgets revisions that are used":                    {stepsOf(forgets), "kept"},
	}
}

func emptied(_ cloneset.Observed, p *plan.Plan) {
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Verb == plan.UpdateOwner {
			s.Change.Spec = slices.Clone(s.Change.Spec)
			s.Change.Spec[0].To = []byte("[]")
			return
		}
	}
}

// forgets has every revision be deleted that is not the newest.
func forgets(obs cloneset.Observed, p *plan.Plan) {
	if len(p.Steps) > 0 || obs.Set.Waiting || len(obs.Revisions.Steps) > 0 {
		return
	}
	for _, r := range obs.Revisions.History {
		if r.Name != obs.Set.Update.Name {
			p.Steps = append(p.Steps, plan.Step{
				Verb: plan.DeleteRevision, Unit: plan.Unit{Name: r.Name, UID: r.UID}, Why: "it is old",
				Revision: &plan.Revision{From: r.Number, Number: r.Number, Version: r.Version},
			})
		}
	}
}

func stepMutants() map[string]mutant {
	return map[string]mutant{
		"does not drain": {stepsOf(eachStep(plan.UpdateInPlace, func(_ cloneset.Observed, s *plan.Step) { s.Change.Conditions = nil })), "drained"},
		"restores before the containers are ready": {stepsOf(func(obs cloneset.Observed, p *plan.Plan) {
			for i := range obs.Pods {
				pod := &obs.Pods[i]
				busy := slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Unit == pod.Unit })
				if c := pod.InPlaceReady; pod.Relation == cloneset.Owned && !pod.Leaving && !pod.Unseen && !busy && c.Gate && c.There && !c.True {
					p.Steps = append(p.Steps, plan.Step{Verb: plan.SetState, Unit: pod.Unit, Why: "it will be ready soon", Change: plan.Change{
						Conditions: []plan.ConditionChange{{Type: string(v1beta1.InPlaceUpdateReady), Status: "True", Index: c.Index}},
					}})
				}
			}
		}), "restored"},
		"never restores": {stepsOf(drop(func(obs cloneset.Observed, s *plan.Step) bool {
			c := find(obs, s.Unit).InPlaceReady
			return s.Verb == plan.SetState && c.There && !c.True
		})), "reached"},
		"deletes available pods first": {planOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) {
			p.Scheduled = p.Scheduled && !p.Ready.True
		})), "order"},
		"never removes the surge pod": {stepsOf(drop(func(_ cloneset.Observed, s *plan.Step) bool {
			return s.Verb == plan.DeletePod && strings.HasPrefix(s.Why, "there are ")
		})), "reached"},
		"deletes a claim with its pod still there": {stepsOf(func(obs cloneset.Observed, p *plan.Plan) {
			if len(p.Steps) == 0 && len(obs.Claims) > 0 && !obs.Claims[0].Leaving {
				p.Steps = append(p.Steps, plan.Step{Verb: plan.DeleteClaim, Unit: obs.Claims[0].Unit, Why: "there are too many"})
			}
		}), "claims"},
		"gives no reason": {stepsOf(func(_ cloneset.Observed, p *plan.Plan) {
			if len(p.Steps) > 0 {
				p.Steps[0].Why = ""
			}
		}), "complete"},
		"leaves finalizers and labels of hooks to chance": {stepsOf(drop(func(obs cloneset.Observed, s *plan.Step) bool {
			return s.Verb == plan.SetState && find(obs, s.Unit).State == v1beta1.LifecycleStatePreparingNormal
		})), "reached"},
		"does not take markPodNotReady seriously": {planOf(func(o *cloneset.Observed) {
			if l := o.Set.Lifecycle.DeepCopy(); l != nil {
				for _, h := range []*v1beta1.LifecycleHook{l.PreDelete, l.InPlaceUpdate} {
					if h != nil {
						h.MarkPodNotReady = false
					}
				}
				o.Set.Lifecycle = l
			}
		}), ""},
		"names pods by another id": {stepsOf(eachStep(plan.CreatePod, func(_ cloneset.Observed, s *plan.Step) {
			s.Create = &plan.Creation{Pod: []byte(strings.Replace(string(s.Create.Pod), `"name":"web-`, `"name":"web-x`, 1)), Claims: s.Create.Claims}
		})), "born"},
		"makes pods of the newest revision only": {planOf(func(o *cloneset.Observed) { o.Set.Current.Template = nil }), ""},
	}
}

func handMutants() map[string]mutant {
	unmarked, unborn := Product(), Product()
	unmarked.Marks = func([]engine.Mark) []engine.Mark { return nil }
	unborn.Births = func(engine.BirthMarks) engine.BirthMarks { return engine.BirthMarks{} }
	return map[string]mutant{
		"forgets its writes":                                  {unmarked, ""},
		"forgets its births":                                  {unborn, "total"},
		"makes a pod of another name when one is there":       {doorOf(func(api engine.API) engine.API { return through{API: api, twice: true} }), ""},
		"patches whatever a pod has become":                   {doorOf(func(api engine.API) engine.API { return through{API: api, patch: untested} }), ""},
		"counts a write before it is seen":                    {statusOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) { p.Unseen = false })), "honest"},
		"counts births as pods":                               {statusOf(eachPod(func(_ *cloneset.Observed, p *cloneset.Pod) { p.Born = false })), "honest"},
		"counts a pod as available while it is being updated": {statusOf(eachPod(changed)), "honest"},
		"calls a revision current when half of the pods are of it": {func() Subject {
			s := Product()
			s.Status = func(obs cloneset.Observed, p plan.Plan) v1beta1.CloneSetStatus {
				st := cloneset.Status(obs, p)
				if 2*st.UpdatedReplicas >= st.Replicas {
					st.CurrentRevision = st.UpdateRevision
				}
				return st
			}
			return s
		}(), "honest"},
		"writes the time into the status": {func() Subject {
			s := Product()
			s.Status = func(obs cloneset.Observed, p plan.Plan) v1beta1.CloneSetStatus {
				st := cloneset.Status(obs, p)
				st.Conditions[0].Message += obs.Now.String()
				return st
			}
			return s
		}(), "quiet"},
	}
}

func changed(_ *cloneset.Observed, p *cloneset.Pod) {
	p.Progress, p.Ready.True, p.InPlaceReady.True, p.State = inplace.Progress{Stage: inplace.Complete}, true, true, v1beta1.LifecycleStateNormal
}

// TestMutants proves that the simulator can fail: every mutant has to be caught, and by the property that is about what
// it does wrong (empty: by any).
func TestMutants(t *testing.T) {
	for _, group := range []map[string]mutant{planMutants(), stepMutants(), handMutants(), resizeMutants(), renewalMutants()} {
		for name, m := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				const most = 4000
				for seed := range uint64(most) {
					v := Run(seed, m.subject, false).Violation
					if v == nil {
						continue
					}
					if property, _, _ := strings.Cut(v.Error(), ":"); m.caught == "" || property == m.caught {
						t.Logf("caught by seed %d: %v", seed, v)
						return
					}
				}
				t.Errorf("%d worlds did not catch it", most)
			})
		}
	}
}
