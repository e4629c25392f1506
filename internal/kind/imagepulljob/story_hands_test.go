package imagepulljob_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// keep is one look of the controller of NodeImages.
func (s *story) keep(name string) (wake time.Duration) {
	o := nodeimage.Observed{Image: s.images[name], Owners: map[types.UID]nodeimage.Owner{}, Now: s.now}
	if n := s.nodes[name]; n != nil {
		o.Node = &n.Node
	}
	for _, job := range s.jobs {
		o.Owners[job.UID] = nodeimage.Working
		if job.Status.CompletionTime != nil {
			o.Owners[job.UID] = nodeimage.Ended
		}
	}
	p := nodeimage.Plan(o)
	for i := range p.Steps {
		step := &p.Steps[i]
		s.say("manager: %s %s: %s", step.Verb, step.Unit, step.Why)
		s.carryOut(name, step)
	}
	return p.WakeAfter
}

// carryOut does to a NodeImage what the engine and the API server would.
func (s *story) carryOut(name string, step *plan.Step) {
	switch step.Verb {
	case plan.CreateObject:
		ni := &v1beta1.NodeImage{}
		s.read(step.Create.Object, ni)
		ni.UID, ni.CreationTimestamp = types.UID("ni-"+name), metav1.NewTime(s.now)
		s.images[name] = ni
	case plan.DeleteObject:
		delete(s.images, name)
	case plan.PatchObject:
		ni := s.images[name].DeepCopy()
		for _, change := range step.Change.Spec {
			key := strings.NewReplacer("~1", "/", "~0", "~").Replace(strings.TrimPrefix(change.Path, "/images/"))
			if len(change.To) == 0 {
				delete(ni.Spec.Images, key)
				continue
			}
			var entry v1beta1.NodeImageEntry
			s.read(change.To, &entry)
			if ni.Spec.Images == nil {
				ni.Spec.Images = map[string]v1beta1.NodeImageEntry{}
			}
			ni.Spec.Images[key] = entry
		}
		s.images[name] = ni
	case plan.PatchObjectStatus:
		ni := s.images[name].DeepCopy()
		ni.Status = v1beta1.NodeImageStatus{}
		s.read(step.Change.Status[0].To, &ni.Status)
		s.images[name] = ni
	default:
		s.t.Fatalf("nobody does %s", step.Verb)
	}
}

func (s *story) read(data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		s.t.Fatal(err)
	}
}

// pull is one look of the agent of a node.
func (s *story) pull(name string) {
	n, ni := s.nodes[name], s.images[name]
	if n == nil || ni == nil || n.silent || !n.Ready {
		return
	}
	if ni.Status.FirstSyncStatus == nil {
		s.tell(name, nil)
		s.say("agent of %s: is there", name)
		ni = s.images[name]
	}
	pulls := nodeimage.Pulls(ni)
	maps.DeleteFunc(n.pulling, func(ref image.Ref, _ int64) bool {
		given := !slices.ContainsFunc(pulls, func(p nodeimage.Pull) bool { return p.Ref == ref })
		if given {
			s.say("agent of %s: gives up %s, which nobody asks for", name, ref)
		}
		return given
	})
	for _, p := range pulls {
		switch _, runs := n.pulling[p.Ref]; {
		case runs:
		case n.has[p.Ref] && !p.Always:
			s.say("agent of %s: has %s", name, p.Ref)
			s.tell(name, map[image.Ref]nodeimage.Result{p.Ref: {Version: p.Version, Phase: v1beta1.ImagePhaseSucceeded, Started: s.now, Ended: s.now}})
		default:
			n.pulling[p.Ref] = p.Version
			s.say("agent of %s: pulls %s", name, p.Ref)
		}
	}
}

func (s *story) tell(name string, results map[image.Ref]nodeimage.Result) {
	ni := s.images[name].DeepCopy()
	ni.Status = nodeimage.Merge(ni, results)
	if ni.Status.FirstSyncStatus == nil {
		ni.Status.FirstSyncStatus = &v1beta1.SyncStatus{SyncAt: metav1.NewTime(s.now), Status: v1beta1.SyncStatusSucceeded}
	}
	s.images[name] = ni
}

// tells is what comes of the one pull of a node.
func (s *story) tells(name, what string) {
	n := s.nodes[name]
	if n == nil || len(n.pulling) != 1 {
		s.t.Fatalf("%s %s: it does not pull one image", name, what)
	}
	for ref, version := range maps.Clone(n.pulling) {
		r := nodeimage.Result{Version: version, Phase: v1beta1.ImagePhaseSucceeded, Started: s.now, Ended: s.now}
		switch what {
		case "begins":
			r.Phase, r.Ended = v1beta1.ImagePhasePulling, time.Time{}
		case "fails":
			r.Phase, r.Message = v1beta1.ImagePhaseFailed, "manifest unknown"
		case "pulled":
			n.has[ref] = true
		default:
			s.t.Fatalf("nothing is known of %q", what)
		}
		if image.Finished(r.Phase) {
			delete(n.pulling, ref)
		}
		s.tell(name, map[image.Ref]nodeimage.Result{ref: r})
		s.say("agent of %s: %s %s", name, ref, r.Phase)
	}
}

// work is one look of the controller of ImagePullJobs.
func (s *story) work(job *v1beta1.ImagePullJob, waits *strings.Builder) (wake time.Duration) {
	o := s.observe(job)
	p := imagepulljob.Plan(o)
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Verb == plan.DeleteOwner {
			s.say("manager: %s %s: %s", step.Verb, step.Unit, step.Why)
			delete(s.jobs, job.Name)
			return 0
		}
		s.say("manager: %s %s for %s, %s: %s", step.Verb, step.Unit, job.Name, step.Target, step.Why)
		s.carryOut(step.Unit.Name, step)
	}
	for _, h := range p.Holds {
		fmt.Fprintf(waits, "%s waits for node %s, %s: %s\n", job.Name, h.Unit.Name, h.Reason, h.Why)
	}
	if len(p.Steps) > 0 {
		return 0 // the status when it is seen
	}
	status := imagepulljob.Status(o)
	if equality.Semantic.DeepEqual(status, job.Status) {
		return p.WakeAfter
	}
	job.Status = status
	s.say("manager: status of %s: %d of %d, %d active, %d failed: %s", job.Name, status.Succeeded, status.Desired, status.Active, status.Failed, status.Message)
	for _, r := range status.NodeReasons {
		fmt.Fprintf(&s.text, "  %s %s: %s\n", r.Node, r.Reason, r.Message)
	}
	return p.WakeAfter
}

func (s *story) observe(job *v1beta1.ImagePullJob) imagepulljob.Observed {
	all := map[string]imagepulljob.Candidate{}
	for name, n := range s.nodes {
		all[name] = imagepulljob.Candidate{Name: name, Node: true, Ready: n.Ready, Since: n.Since, DiskPressure: n.DiskPressure, Image: s.images[name]}
	}
	o, err := imagepulljob.Observe(job, imagepulljob.Facts{Candidates: all, TagTTL: time.Minute, Now: s.now})
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}
