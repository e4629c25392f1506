package sidecarset_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// happens does what a section's name says:
//
//	user sets cpu|memory|resizePolicy VALUE
//	user sets image|emptyImage|lifecycle|env|container|only|partition|maxUnavailable|paused|type|selector VALUE
//	user sets weights KEY=VALUE:WEIGHT,…|ordered KEY,…|scatter KEY=VALUE,…
//	user sets annotation POLICY:KEY=VALUE (patchPodMetadata; without a policy: the default)
//	user sets volume|customVersion|revisionHistoryLimit|injectionRevision VALUE
//	user deletes the newest revision    the revision's write is not seen|is seen
//	user deletes POD                    user creates N pods PREFIX
//	kubelet restarts POD…|all           POD… becomes ready|unready
//	kubelet starts POD…|all             which are not ready yet
//	kubelet looks at POD…|all           POD… crashes unseen (is back at once, and not reported before kubelet's next look)
//	somebody patches POD to IMAGE      somebody annotates POD KEY=VALUE|KEY-
//	POD cannot be resized: REASON       POD gets what it was resized to
//	      the manager dies between two writes|comes back
//	the cache stops|catches up          the API server refuses|accepts POD…
//	nothing happens                     a minute passes
func (s *story) happens(t *testing.T, what string) {
	t.Helper()
	words := strings.Fields(what)
	first := words[0] + " " + words[1]
	switch {
	case first == "user sets":
		s.sets(t, words[2], words[3])
	case what == "user deletes the newest revision":
		s.history.Records = s.history.Records[:len(s.history.Records)-1]
	case strings.HasPrefix(what, "the revision's write is "):
		s.history.Unseen = strings.HasSuffix(what, "not seen")
	case first == "user deletes":
		s.pods = slices.DeleteFunc(s.pods, func(p *pod) bool { return slices.Contains(words[2:], p.Name) })
	case first == "user creates":
		n, _ := strconv.Atoi(words[2])
		for range n {
			s.create(t, words[4], map[string]string{"app": "web"})
		}
	case first == "kubelet restarts":
		s.each(t, words[2:], s.restart)
	case first == "kubelet looks":
		s.each(t, words[3:], s.report)
	case strings.HasSuffix(what, " crashes unseen"):
		s.each(t, words[:1], func(p *pod) { p.runs[0].Start(p.runs[0].Image, s.images, s.clock()) })
	case first == "kubelet starts":
		s.each(t, words[2:], s.start)
	case words[len(words)-2] == "becomes":
		s.each(t, words[:len(words)-2], func(p *pod) { s.becomes(p, words[len(words)-1] == "ready") })
	case first == "somebody patches":
		s.each(t, words[2:3], func(p *pod) { p.Spec.Containers[0].Image = words[4]; p.Generation++ })
	case first == "somebody annotates":
		s.each(t, words[2:3], func(p *pod) { p.annotate(words[3]) })
	case strings.Contains(what, " cannot be resized: "):
		s.each(t, words[:1], func(p *pod) { p.resizePending(words[len(words)-1]) })
	case strings.HasSuffix(what, " gets what it was resized to"):
		s.each(t, words[:1], func(p *pod) { p.resizePending("") })
	case first == "the manager":
		s.crashed = words[2] == "dies"
	case what == "the cache stops":
		s.blind = true
	case what == "the cache catches up":
		s.blind = false
		s.each(t, []string{"all"}, func(p *pod) { p.unseen = "" })
	case strings.HasPrefix(what, "the API server refuses "):
		s.each(t, words[4:], func(p *pod) { p.refused = "a policy says no" })
	case strings.HasPrefix(what, "the API server accepts "):
		s.each(t, words[4:], func(p *pod) { p.refused = "" })
	case what == "a minute passes":
		s.now += 50 * time.Second // and the 10 of every event
	case what != "nothing happens":
		t.Fatalf("%q is not a thing that happens", what)
	}
}

// priorityOf reads a priorityStrategy: ordered keys, or weights of labels.
func priorityOf(t *testing.T, what, value string) *v1beta1.UpdatePriorityStrategy {
	t.Helper()
	p := &v1beta1.UpdatePriorityStrategy{}
	for _, term := range strings.Split(value, ",") {
		if what == "ordered" {
			p.OrderPriority = append(p.OrderPriority, v1beta1.UpdatePriorityOrderTerm{OrderedKey: term})
			continue
		}
		label, weight, _ := strings.Cut(term, ":")
		key, value, _ := strings.Cut(label, "=")
		number, err := strconv.Atoi(weight)
		if err != nil {
			t.Fatal(err)
		}
		p.WeightPriority = append(p.WeightPriority, v1beta1.UpdatePriorityWeightTerm{
			Weight: int32(number), MatchSelector: metav1.LabelSelector{MatchLabels: map[string]string{key: value}},
		})
	}
	return p
}

// annotate does KEY=VALUE, or KEY- which removes.
func (p *pod) annotate(what string) {
	p.Annotations = maps.Clone(p.Annotations)
	if key, value, ok := strings.Cut(what, "="); ok {
		p.Annotations[key] = value
	} else {
		delete(p.Annotations, strings.TrimSuffix(what, "-"))
	}
}

// resizePending has kubelet say why it does not give a Pod what it was resized to; empty: it does now.
func (p *pod) resizePending(reason string) {
	p.Status.Conditions = slices.DeleteFunc(slices.Clone(p.Status.Conditions), func(c corev1.PodCondition) bool { return c.Type == corev1.PodResizePending })
	if reason != "" {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: reason})
	}
}

// start has kubelet start the containers of a Pod whose images are new. They are not ready yet.
func (s *story) start(p *pod) {
	before := slices.Clone(p.runs)
	s.restart(p)
	for i := range p.runs {
		p.runs[i].Unready = p.runs[i].ID != before[i].ID
	}
	p.ready = false
	s.report(p)
}

// becomes has all containers of a Pod become ready, or the application's own not.
func (s *story) becomes(p *pod, ready bool) {
	p.ready = ready
	for i := range p.runs {
		p.runs[i].Unready = false
	}
	p.runs[len(p.Spec.Containers)-1].Unready = !ready
	s.report(p)
}

// each finds Pods by name; "all" are all.
func (s *story) each(t *testing.T, names []string, do func(*pod)) {
	t.Helper()
	found := 0
	for _, p := range s.pods {
		if names[0] == "all" || slices.Contains(names, p.Name) {
			found++
			do(p)
		}
	}
	if found == 0 || names[0] != "all" && found != len(names) {
		t.Fatalf("there is no pod among %q", names)
	}
}

// tellPlan words a plan: Pods with the same reason share a line.
func (s *story) tellPlan(p plan.Plan) string {
	var lines []string
	pods := map[string][]string{}
	add := func(verb, why, name string) {
		key := verb + "|" + why
		if pods[key] == nil {
			lines = append(lines, key)
		}
		pods[key] = append(pods[key], name)
	}
	for _, step := range p.Steps {
		switch {
		case step.Verb == plan.SetCondition:
			c := step.Change.Conditions[0]
			add("tell", fmt.Sprintf("%s: %s %s %s %s", step.Why, c.Type, c.Status, c.Reason, c.Message), step.Unit.Name)
		case step.Revision == nil:
			add("take", step.Why+tellResources(step.Change)+tellAnnotations(step.Change), step.Unit.Name)
		case s.told:
			add(string(step.Verb), step.Why, s.versions[step.Target])
		}
	}
	for _, h := range p.Holds {
		add("hold", string(h.Reason)+": "+h.Why, h.Unit.Name)
	}
	var told strings.Builder
	for _, key := range lines {
		verb, why, _ := strings.Cut(key, "|")
		for revision, version := range s.versions {
			why = strings.ReplaceAll(why, revision, version)
		}
		fmt.Fprintf(&told, "%s %s\n     %s\n", verb, short(pods[key]), why)
	}
	if p.WakeAfter > 0 {
		fmt.Fprintf(&told, "look again after %s\n", p.WakeAfter)
	}
	if told.Len() == 0 {
		return "nothing to do\n"
	}
	return told.String()
}

// tellResources tells what is resized.
func tellResources(c plan.Change) (told string) {
	for _, r := range c.Resources {
		told += fmt.Sprintf("\n     %s: %s.%s %s → %s", r.Container, r.List, r.Resource, r.From, r.To)
	}
	return told
}

// tellAnnotations tells what becomes of annotations beside our bookkeeping.
func tellAnnotations(c plan.Change) string {
	told := ""
	for _, a := range c.Annotations {
		switch {
		case strings.HasPrefix(a.Key, "kruise.io/"):
		case a.Unchecked:
			told += fmt.Sprintf("\n     %s=%s, whatever it is", a.Key, a.To)
		case a.Absent:
			told += fmt.Sprintf("\n     %s=%s, if there is none", a.Key, a.To)
		default:
			told += fmt.Sprintf("\n     %s=%s, if it is %s", a.Key, a.To, a.From)
		}
	}
	return told
}

// short writes web-3 web-4 web-5 as web-3…web-5 and counts them.
func short(names []string) string {
	var parts []string
	for i := 0; i < len(names); {
		j, step := i, 0
		for j+1 < len(names) {
			d := number(names[j+1]) - number(names[j])
			if d != 1 && d != -1 || step != 0 && d != step {
				break
			}
			j, step = j+1, d
		}
		if j-i < 2 {
			j = i
			parts = append(parts, names[i])
		} else {
			parts = append(parts, names[i]+"…"+names[j])
		}
		i = j + 1
	}
	text := strings.Join(parts, " ")
	if len(names) > 1 {
		text += fmt.Sprintf(" (%d pods)", len(names))
	}
	return text
}

func number(name string) int {
	n, _ := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	return n
}

func tellStatus(s v1beta1.SidecarSetStatus) string {
	told := fmt.Sprintf("status: %d matched, %d updated, %d ready, %d both\n", s.MatchedPods, s.UpdatedPods, s.ReadyPods, s.UpdatedReadyPods)
	for _, c := range s.Conditions {
		if c.Type == v1beta1.ConditionReady {
			told += fmt.Sprintf("     Ready %s %s: %s\n", c.Status, c.Reason, c.Message)
		} else {
			told += fmt.Sprintf("     %s %s %s\n", c.Type, c.Status, c.Reason)
		}
	}
	return told
}
