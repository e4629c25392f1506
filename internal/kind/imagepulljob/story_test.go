package imagepulljob_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/plan/image"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the stories in testdata/seq") //nolint:gochecknoglobals // a flag of the test binary

// TestStories tells every story in testdata/seq: the lives of ImagePullJobs and of the NodeImages that they push into. Each line of
// the world, and each section, is an event (see (*story).happens); the text of a section is every write that follows from it, with the
// time since the story began, and what is waited for, when that has changed. What one asks to look at again later is looked at then.
func TestStories(t *testing.T) {
	testkit.Stories(t, 6, *update, func(t *testing.T) func(name, body string) string {
		t.Helper()
		begun := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		s := &story{t: t, begun: begun, now: begun, nodes: map[string]*node{}, images: map[string]*v1beta1.NodeImage{}, jobs: map[string]*v1beta1.ImagePullJob{}}
		return func(name, body string) string {
			if name != "world" {
				return s.happens(strings.Fields(name))
			}
			for line := range strings.Lines(body) {
				s.happens(strings.Fields(line))
			}
			return body
		}
	})
}

// story is a cluster whose manager and agents see everything at once.
type story struct {
	t          *testing.T
	begun, now time.Time
	nodes      map[string]*node
	images     map[string]*v1beta1.NodeImage
	jobs       map[string]*v1beta1.ImagePullJob
	text       strings.Builder
	waits      string
}

// node is a machine with its agent.
type node struct {
	nodeimage.Node

	silent  bool
	pulling map[image.Ref]int64
	has     map[image.Ref]bool
}

// happens lets one thing happen, and tells what follows:
//
//	D later                       so much time passes
//	node NAME                     a node is ready, and its agent runs
//	node NAME lost|back|full|gone|silent|answers    (full: DiskPressure; silent: it is ready and its agent is not there)
//	job NAME image=REF KEY=VALUE...   a job is made: parallelism, ttl, deadline, always (see create)
//	job NAME deleted
//	NAME begins|pulled|fails      what the agent of a node tells of the image that it pulls
func (s *story) happens(words []string) string {
	s.text.Reset()
	switch {
	case words[0] == "node":
		s.node(words[1], words[2:])
	case words[0] == "job" && words[2] == "deleted":
		delete(s.jobs, words[1])
	case words[0] == "job":
		s.create(words[1], words[2:])
	case words[1] == "later":
		d, err := time.ParseDuration(words[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.pass(s.now.Add(d))
	default:
		s.tells(words[0], words[1])
	}
	s.act()
	return s.text.String()
}

// pass lets time pass, from one moment at which something is to be looked at to the next.
func (s *story) pass(until time.Time) {
	for {
		wake := s.act()
		if wake == 0 || s.now.Add(wake).After(until) {
			s.now = until
			return
		}
		s.now = s.now.Add(wake)
	}
}

func (s *story) node(name string, what []string) {
	n := s.nodes[name]
	if len(what) == 0 {
		n = &node{Node: nodeimage.Node{Name: name, UID: types.UID(name), Ready: true, Since: s.now}, pulling: map[image.Ref]int64{}, has: map[image.Ref]bool{}}
		s.nodes[name] = n
		return
	}
	switch what[0] {
	case "lost", "back":
		n.Ready, n.Since = what[0] == "back", s.now
	case "full":
		n.DiskPressure = true
	case "gone":
		delete(s.nodes, name)
	case "silent", "answers":
		n.silent = what[0] == "silent"
	default:
		s.t.Fatalf("nothing is known of %q", what)
	}
}

// create makes a job whose nodes have 30 s for a pull, and one try.
func (s *story) create(name string, words []string) {
	job := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(s.now)}}
	timeout := int32(30)
	job.Spec.PullPolicy = &v1beta1.PullPolicy{TimeoutSeconds: &timeout, BackoffLimit: new(int32)}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil && key != "image" && key != "always" {
			s.t.Fatal(err)
		}
		count := int32(n)
		switch key {
		case "image":
			job.Spec.Image = v1beta1.ImageReference(value)
		case "always":
			job.Spec.ImagePullPolicy = v1beta1.PullAlways
		case "parallelism":
			number := intstr.FromInt32(count)
			job.Spec.Parallelism = &number
		case "ttl":
			job.Spec.CompletionPolicy.TTLSecondsAfterFinished = &count
		case "deadline":
			job.Spec.CompletionPolicy.ActiveDeadlineSeconds = &n
		default:
			s.t.Fatalf("a job has no %q", word)
		}
	}
	s.jobs[name] = job
}

// act has everybody do what they have to, until there is nothing more to be done now, and returns when there is.
func (s *story) act() (wake time.Duration) {
	for range 50 {
		before := s.text.Len()
		var waits strings.Builder
		wake = 0
		for _, name := range s.names() {
			wake = sooner(wake, s.keep(name))
			s.pull(name)
		}
		for _, name := range slices.Sorted(maps.Keys(s.jobs)) {
			wake = sooner(wake, s.work(s.jobs[name], &waits))
		}
		if s.text.Len() == before {
			if s.waits != waits.String() {
				s.waits = waits.String()
				s.text.WriteString(s.waits)
			}
			return wake
		}
	}
	s.t.Fatalf("there is no end to it:\n%s", s.text.String())
	return 0
}

// names are those of nodes and of NodeImages.
func (s *story) names() []string {
	all := slices.Concat(slices.Collect(maps.Keys(s.nodes)), slices.Collect(maps.Keys(s.images)))
	slices.Sort(all)
	return slices.Compact(all)
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

func (s *story) say(format string, args ...any) {
	fmt.Fprintf(&s.text, "%s ", s.now.Sub(s.begun))
	fmt.Fprintf(&s.text, format+"\n", args...)
}
