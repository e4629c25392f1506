package cloneset_test

import (
	"encoding/json"
	"flag"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/sim/node"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the stories in testdata/seq") //nolint:gochecknoglobals // a flag of the test binary

// TestStories plays every story in testdata/seq. The text of a section is the plans that follow, one after the other until
// nothing more is to be done, each of which is carried out.
//
// Pods are called web-1, web-2, … in the order in which they were made. What may be in a world, and what may happen,
// is listed in (*story).sets and (*story).happens.
func TestStories(t *testing.T) {
	testkit.Stories(t, 30, *update, func(t *testing.T) func(name, body string) string {
		t.Helper()
		s := &story{set: newSet(), versions: map[string]string{}, images: node.Images{}, templates: map[string]*v1beta1.PodTemplate{}}
		return func(name, body string) string { return s.section(t, name, body) }
	})
}

type story struct {
	now       time.Duration
	set       *v1beta1.CloneSet
	pods      []*pod
	claims    []*claim
	made      int
	history   revision.History
	templates map[string]*v1beta1.PodTemplate
	versions  map[string]string // revision to v1, v2, …
	images    node.Images
	aliases   *strings.Replacer
	refusal   string // what the API server says to new Pods
	noResize  bool   // it serves no pods/resize
	noAgents  bool   // the gate KruiseDaemon is off
	virtual   bool   // so are all nodes
	requests  []request
	renewals  int // so many had requests
	names     []string
	rollBack  bool // the gate
}

type pod struct {
	*corev1.Pod
	runs    []node.Container
	ready   bool
	origins inplace.Origins
	// putOff is why kubelet does not resize it, refused what the API server said to the last write to it.
	putOff, refused string
}

type claim struct {
	*corev1.PersistentVolumeClaim
	owners string
}

// section tells what follows from something that happens.
func (s *story) section(t *testing.T, name, body string) string {
	t.Helper()
	if name != "world" {
		s.now += 10 * time.Second
		s.happens(t, name)
		return s.rounds(t)
	}
	for line := range strings.Lines(body) {
		if words := strings.Fields(line); len(words) > 0 {
			s.sets(t, words[0], strings.Join(words[1:], " "))
		}
	}
	s.start(t)
	return body
}

func newSet() *v1beta1.CloneSet {
	set := &v1beta1.CloneSet{}
	set.Namespace, set.Name, set.UID, set.Generation = "default", "web", "set-uid", 1
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.Template.Labels = map[string]string{"app": "web"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "web:1"}}
	return set
}

func (s *story) clock() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(s.now) }

// start brings the world to rest: all Pods are made and run. Nothing of that is told.
func (s *story) start(t *testing.T) {
	t.Helper()
	for range 20 {
		p := s.round(t, nil)
		s.kubelet(func(*pod) bool { return true })
		s.now += time.Minute
		if len(p.Steps) == 0 && len(s.pods) > 0 {
			return
		}
	}
}

// rounds plans until there is nothing more to do, and tells each plan and then the status.
func (s *story) rounds(t *testing.T) string {
	t.Helper()
	var told strings.Builder
	for n := 0; ; n++ {
		if n == 10 {
			t.Fatalf("it does not come to rest:\n%s", told.String())
		}
		var tell string
		p := s.round(t, &tell)
		told.WriteString(tell)
		if len(p.Steps) == 0 {
			break
		}
		if n == 0 {
			told.WriteString("then\n")
		}
	}
	return strings.TrimSuffix(told.String(), "then\n") + s.tellStatus()
}

// round makes one plan and carries it out.
func (s *story) round(t *testing.T, told *string) plan.Plan {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s.set.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	facts := cloneset.Facts{
		History: s.history, Templates: s.templates, Now: s.clock(), RollBack: s.rollBack, CanResize: !s.noResize,
		CanRenew: !s.noAgents, NoAgents: s.noAgents,
	}
	if s.virtual {
		facts.Nodes = map[string]map[string]string{"node": {v1beta1.VirtualKubeletLabel: v1beta1.VirtualKubeletType}}
	}
	s.expire()
	for i := range s.requests {
		facts.Requests = append(facts.Requests, s.requests[i].Request)
	}
	if s.refusal != "" {
		facts.Refused = map[string]string{s.set.Status.UpdateRevision: s.refusal}
	}
	for _, p := range s.pods {
		if r, ok := cloneset.Project(p.Pod, string(s.set.UID), selector, p.origins); ok {
			r.Refused = p.refused
			facts.Pods = append(facts.Pods, r)
		}
	}
	for _, c := range s.claims {
		facts.Claims = append(facts.Claims, c.record())
	}
	obs, err := cloneset.Observe(s.set, facts)
	if err != nil {
		t.Fatal(err)
	}
	if s.versions[obs.Set.Update.Name] == "" {
		s.versions[obs.Set.Update.Name] = "v" + strconv.Itoa(len(s.versions)+1)
	}
	p := cloneset.Plan(obs)
	s.set.Status = cloneset.Status(obs, p)
	for i := range p.Steps {
		s.apply(t, &p.Steps[i])
	}
	if told != nil {
		*told = s.tellPlan(p)
	}
	return p
}

func (c *claim) record() cloneset.Claim {
	r := cloneset.Claim{
		Unit: plan.Unit{Namespace: c.Namespace, Name: c.Name, UID: string(c.UID)}, ID: c.Labels[v1beta1.CloneSetInstanceIDLabel],
		OwnersJSON: c.owners,
	}
	if owner := metav1.GetControllerOf(c.PersistentVolumeClaim); owner != nil {
		r.Owner = string(owner.UID)
	}
	return r
}

// apply carries a step out.
func (s *story) apply(t *testing.T, step *plan.Step) {
	t.Helper()
	at := slices.IndexFunc(s.pods, func(p *pod) bool { return p.Name == step.Unit.Name })
	switch step.Verb {
	case plan.CreateRevision, plan.UpdateRevision, plan.DeleteRevision:
		s.revise(t, step)
	case plan.CreatePod:
		for _, c := range step.Create.Claims {
			s.create(t, c.Object)
		}
		s.born(t, step.Create.Pod)
	case plan.DeletePod:
		s.delete(at)
		for _, c := range step.Claims {
			s.deleteClaim(c.Name)
		}
	case plan.DeleteClaim:
		s.deleteClaim(step.Unit.Name)
	case plan.CreateObject, plan.DeleteObject:
		s.request(t, step)
	case plan.UpdateOwner:
		for _, c := range step.Change.Spec {
			if err := json.Unmarshal(c.To, &s.set.Spec.ScaleStrategy.PodsToDelete); err != nil {
				t.Fatal(err)
			}
		}
	default:
		s.pods[at].Pod = applied(t, s.pods[at].Pod, &step.Change)
	}
}

func (s *story) born(t *testing.T, object []byte) {
	t.Helper()
	p := &corev1.Pod{}
	if err := json.Unmarshal(object, p); err != nil {
		t.Fatal(err)
	}
	s.made++
	s.now += time.Second
	p.UID, p.Generation = types.UID("uid-"+strconv.Itoa(s.made)), 1
	p.CreationTimestamp = metav1.NewTime(s.clock())
	p.Status.Phase = corev1.PodPending
	s.names = append(s.names, p.Name, "web-"+strconv.Itoa(s.made))
	s.aliases = strings.NewReplacer(s.names...)
	s.pods = append(s.pods, &pod{Pod: p})
}

// delete has a Pod be gone, unless a finalizer keeps it.
func (s *story) delete(at int) {
	if p := s.pods[at]; len(p.Finalizers) > 0 {
		now := metav1.NewTime(s.clock())
		p.DeletionTimestamp = &now
		return
	}
	s.pods = slices.Delete(s.pods, at, at+1)
}

func (s *story) create(t *testing.T, object []byte) {
	t.Helper()
	c := &claim{PersistentVolumeClaim: &corev1.PersistentVolumeClaim{}}
	if err := json.Unmarshal(object, c.PersistentVolumeClaim); err != nil {
		t.Fatal(err)
	}
	s.claims = append(s.claims, c)
}

func (s *story) deleteClaim(name string) {
	s.claims = slices.DeleteFunc(s.claims, func(c *claim) bool { return c.Name == name })
}

// revise writes a revision.
func (s *story) revise(t *testing.T, step *plan.Step) {
	t.Helper()
	name := step.Unit.Name
	at := slices.IndexFunc(s.history.Records, func(r revision.Record) bool { return r.Name == name })
	switch step.Verb {
	case plan.CreateRevision:
		object := &appsv1.ControllerRevision{}
		object.Data.Raw = step.Revision.Data
		read, err := revision.ReadTemplate(step.Revision.Data)
		if err != nil {
			t.Fatal(err)
		}
		s.templates[name] = read
		s.history.Records = append(s.history.Records, revision.Record{
			Name: name, UID: name, Version: "1", Number: step.Revision.Number, Owner: string(s.set.UID), Hash: revision.TemplateHashOf(object),
		})
	case plan.UpdateRevision:
		s.history.Records[at].Number = step.Revision.Number
	default:
		s.history.Records = slices.Delete(s.history.Records, at, at+1)
		delete(s.templates, name)
	}
}

// find returns the Pods that a word names: all, or one by its alias.
func (s *story) find(t *testing.T, word string) []*pod {
	t.Helper()
	var found []*pod
	for _, p := range s.pods {
		if word == "all" || s.aliases.Replace(p.Name) == word {
			found = append(found, p)
		}
	}
	if len(found) == 0 && word != "all" {
		t.Fatalf("there is no pod %s", word)
	}
	return found
}
