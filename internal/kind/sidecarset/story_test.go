package sidecarset_test

import (
	"flag"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/sim"
	"github.com/outrigger-project/outrigger/internal/sim/node"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the stories in testdata/seq") //nolint:gochecknoglobals // a flag of the test binary

// TestStories plays every story in testdata/seq. A story is a txtar file: the section "world" says what there is,
// the name of every other section is something that happens, and its text is the plan that follows, which is then
// carried out. To tell a new one, write the section names and run with -update.
//
// In a world: "10 pods web", with "labelled canary=true" if wanted, settings as in "user sets …", and "revisions told"
// if the story is about these; "grace 3600" gives the Pods that follow a grace period, in seconds; with an "old
// kubelet", nobody says which generation of a Pod was looked at.
// What may happen is listed in (*story).happens.
func TestStories(t *testing.T) {
	testkit.Stories(t, 15, *update, func(t *testing.T) func(name, body string) string {
		t.Helper()
		s := &story{set: &v1beta1.SidecarSet{}, versions: map[string]string{}, images: node.Images{}}
		s.set.Name, s.set.Generation = "logtail", 1
		s.set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
		s.set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "logtail", Image: "logtail:1"}}}
		return func(name, body string) string { return s.section(t, name, body) }
	})
}

// section tells what follows from something that happens.
func (s *story) section(t *testing.T, name, body string) string {
	t.Helper()
	if name == "world" {
		s.make(t, body)
		s.keep(t)
		return body
	}
	s.now += 10 * time.Second
	s.happens(t, name)
	return s.round(t)
}

type story struct {
	now      time.Duration
	set      *v1beta1.SidecarSet
	pods     []*pod
	made     int
	versions map[string]string // revision to v1, v2, …
	blind    bool              // the cache has stopped
	grace    *int64            // of the Pods that are made
	images   node.Images       // of the node
	old      bool              // kubelet does not say which generation it looks at
	fixed    bool              // the cluster does not resize Pods
	crashed  bool              // the manager dies between a resize and the patch that follows
	history  revision.History
	told     bool // revisions are told of, too
}

type pod struct {
	*corev1.Pod
	runs            []node.Container
	origins         inplace.Origins
	ready           bool
	unseen, refused string // the Pod's version before our write; what the API server says
}

func (s *story) clock() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(s.now) }

// make reads the world.
func (s *story) make(t *testing.T, body string) {
	t.Helper()
	for line := range strings.Lines(body) {
		words := strings.Fields(line)
		switch {
		case len(words) >= 3 && words[1] == "pods":
			n, err := strconv.Atoi(words[0])
			if err != nil {
				t.Fatal(err)
			}
			labels := map[string]string{"app": "web"}
			for _, l := range words[3:] {
				if key, value, ok := strings.Cut(l, "="); ok {
					labels[key] = value
				}
			}
			for range n {
				s.create(t, words[2], labels)
			}
		case line == "no pods/resize\n":
			s.fixed = true
		case line == "old kubelet\n":
			s.old = true
		case len(words) == 2 && words[0] == "grace":
			seconds, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			s.grace = &seconds
		case strings.TrimSpace(line) == "revisions told":
			s.told = true
		case len(words) == 2:
			s.sets(t, words[0], words[1])
		case len(words) > 0:
			t.Fatalf("world: %q", line)
		}
	}
}

func (s *story) create(t *testing.T, prefix string, labels map[string]string) {
	t.Helper()
	name := prefix + "-" + strconv.Itoa(s.made)
	s.made++
	s.now += time.Second
	p, err := sim.NewPod(s.set, name, "uid-"+strconv.Itoa(s.made), maps.Clone(labels), s.clock())
	if err != nil {
		t.Fatal(err)
	}
	p.Spec.TerminationGracePeriodSeconds = s.grace
	s.pods = append(s.pods, &pod{Pod: p})
	s.restart(s.pods[len(s.pods)-1])
}

// restart has kubelet bring a Pod to what its spec says, unless an image cannot be pulled. It reports when it begins
// and when it is done.
func (s *story) restart(p *pod) {
	if p.runs == nil {
		p.runs = make([]node.Container, len(node.Beside(p.Pod)))
	}
	s.report(p)
	p.ready = true
	for i, c := range node.Beside(p.Pod) {
		image := c.Image
		switch {
		case node.Bad(image):
			p.ready, p.runs[i].Gone, p.runs[i].Waiting = false, p.runs[i].Image != "", "ErrImagePull"
		case p.runs[i].Image != image || p.runs[i].Gone:
			p.runs[i].Start(image, s.images, s.clock())
		}
	}
	s.report(p)
}

func (s *story) report(p *pod) {
	seen := p.Generation
	if s.old {
		seen = 0
	}
	before := p.Pod
	p.Pod = node.Report(p.Pod, p.runs, p.ready, seen, s.clock())
	p.origins = p.origins.Watch(before, p.Pod)
}

// round plans, tells the plan and the status, and carries the plan out.
func (s *story) round(t *testing.T) string {
	t.Helper()
	var records []sidecarset.Pod
	byName := map[string]*pod{}
	for _, p := range s.pods {
		r, ok := sidecarset.Project(p.Pod, s.set.Name)
		if !ok {
			continue
		}
		r.Know(s.set.Name, p.origins)
		r.Unseen, r.Refused = p.unseen != "", p.refused
		records = append(records, r)
		byName[p.Name] = p
	}
	obs, err := sidecarset.Observe(s.set, records, s.history, s.clock())
	if err != nil {
		t.Fatal(err)
	}
	obs.Set.CanResize = !s.fixed
	if s.versions[obs.Set.Revision] == "" {
		s.versions[obs.Set.Revision] = "v" + strconv.Itoa(len(s.versions)+1)
	}
	p := sidecarset.Plan(obs)
	s.set.Status = sidecarset.Status(obs, p)
	told := s.tellPlan(p) + tellStatus(s.set.Status)
	for _, step := range p.Steps {
		if step.Revision != nil {
			s.revise(step)
			continue
		}
		s.apply(t, byName[step.Unit.Name], step)
	}
	return told
}

// apply carries a step out. In a blind story the Pod's new version is not seen.
func (s *story) apply(t *testing.T, p *pod, step plan.Step) {
	t.Helper()
	for i, part := range sim.Parts(step) {
		if i > 0 && s.crashed {
			break
		}
		next, err := sim.Write(p.Pod, part.Unit.UID, part.Change)
		if err != nil {
			t.Fatalf("%s: %v", step.Unit, err)
		}
		p.Pod = next
	}
	if s.blind {
		p.unseen = "yes"
	}
}

// sets changes the spec.
func (s *story) sets(t *testing.T, what, value string) {
	t.Helper()
	strategy := &s.set.Spec.UpdateStrategy
	number := intstr.Parse(value)
	switch what {
	case "image":
		s.set.Spec.Containers[0].Image = value
	case "cpu", "memory": // requests; "none" takes it away
		requests := &s.set.Spec.Containers[0].Resources.Requests
		*requests = maps.Clone(*requests)
		if *requests == nil {
			*requests = corev1.ResourceList{}
		}
		delete(*requests, corev1.ResourceName(what))
		if value != "none" {
			(*requests)[corev1.ResourceName(what)] = resource.MustParse(value)
		}
	case "resizePolicy": // of memory
		s.set.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.ResourceResizeRestartPolicy(value)}}
	case "emptyImage":
		s.set.Spec.Containers[0].UpgradeStrategy = v1beta1.SidecarContainerUpgradeStrategy{UpgradeType: v1beta1.HotUpgrade, HotUpgradeEmptyImage: value}
	case "lifecycle":
		s.set.Spec.Containers[0].Lifecycle = &v1beta1.SidecarLifecycle{Type: v1beta1.LifecycleType(value)}
	case "env":
		s.set.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LEVEL", Value: value}}
	case "annotation": // POLICY:KEY=VALUE
		policy, annotation, _ := strings.Cut(value, ":")
		key, text, _ := strings.Cut(annotation, "=")
		s.set.Spec.PatchPodMetadata = []v1beta1.SidecarSetPatchPodMetadata{{
			PatchPolicy: v1beta1.SidecarSetPatchPolicyType(policy), Annotations: map[string]string{key: text},
		}}
	case "only": // this container and no other
		name, _, _ := strings.Cut(value, ":")
		s.set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: name, Image: value}}}
	case "container": // one more; "none": the first one alone
		containers := s.set.Spec.Containers[:1]
		if name, _, ok := strings.Cut(value, ":"); ok {
			containers = append(containers, v1beta1.SidecarContainer{Container: corev1.Container{Name: name, Image: value}})
		}
		s.set.Spec.Containers = containers
	case "volume":
		if s.set.Spec.Volumes = nil; value != "none" {
			s.set.Spec.Volumes = []corev1.Volume{{Name: value}}
		}
	case "customVersion":
		s.set.Spec.CustomVersion = value
	case "revisionHistoryLimit":
		limit := int32(number.IntValue())
		s.set.Spec.RevisionHistoryLimit = &limit
	case "injectionRevision":
		s.set.Spec.InjectionStrategy.Revision = &v1beta1.SidecarSetInjectRevision{CustomVersion: &value}
	case "partition":
		strategy.Partition = &number
	case "maxUnavailable":
		strategy.MaxUnavailable = &number
	case "paused":
		strategy.Paused = value == "true"
	case "type":
		strategy.Type = v1beta1.SidecarSetUpdateStrategyType(value)
	case "selector":
		key, label, ok := strings.Cut(value, "=")
		if strategy.Selector = nil; ok {
			strategy.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{key: label}}
		}
	case "weights", "ordered":
		strategy.PriorityStrategy = priorityOf(t, what, value)
	case "scatter":
		strategy.ScatterStrategy = nil
		for _, term := range strings.Split(value, ",") {
			key, label, _ := strings.Cut(term, "=")
			strategy.ScatterStrategy = append(strategy.ScatterStrategy, v1beta1.UpdateScatterTerm{Key: key, Value: label})
		}
	default:
		t.Fatalf("user sets %s?", what)
	}
	s.set.Generation++
}
