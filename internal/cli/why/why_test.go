package why_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/cli/why"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the goldens") //nolint:gochecknoglobals // a flag of the test binary

// world is what a cluster holds: the Pods are web-0, web-1 … and carry the set logtail as it is when they are made.
type world struct {
	facts why.Facts
	set   *v1beta1.SidecarSet
	pods  []*corev1.Pod
}

func worldOf(pods int) *world {
	set := testkit.SidecarSet("logtail", "logtail:1", intstr.FromInt32(1))
	set.CreationTimestamp = metav1.NewTime(testkit.Start().Add(-2 * time.Hour))
	set.Status.ObservedGeneration = 1
	w := &world{set: set, facts: why.Facts{
		Now:        testkit.Start(),
		Sets:       map[string]*v1beta1.SidecarSet{"logtail": set},
		Namespaces: map[string]labels.Set{"default": {"kubernetes.io/metadata.name": "default", "env": "prod"}},
	}}
	for i := range pods {
		w.pods = append(w.pods, testkit.Carrier(fmt.Sprintf("web-%d", i), set))
	}
	return w
}

// image changes the set's image, which makes a new version.
func (w *world) image(image string) { w.set.Spec.Containers[0].Image = image }

// other adds a set that selects these labels, in namespaces of these labels if there are any.
func (w *world) other(name string, pods, namespaces map[string]string) *v1beta1.SidecarSet {
	set := testkit.SidecarSet(name, "agent:1", intstr.FromInt32(1))
	set.CreationTimestamp = metav1.NewTime(testkit.Start().Add(-2 * time.Hour))
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: pods}
	if namespaces != nil {
		set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: namespaces}
	}
	w.facts.Sets[name] = set
	return set
}

// upgrade carries out what the plan does now.
func (w *world) upgrade(t *testing.T) {
	t.Helper()
	obs, err := sidecarset.Observe(w.set, w.look(t).Members, revision.History{}, w.facts.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range sidecarset.Plan(obs).Steps {
		for _, pod := range w.pods {
			if pod.Name != step.Unit.Name {
				continue
			}
			for _, c := range step.Change.Images {
				pod.Spec.Containers[c.Index].Image = c.To
			}
			for _, a := range step.Change.Annotations {
				pod.Annotations[a.Key] = a.To
			}
		}
	}
}

// restart is kubelet running the sidecar that a Pod's spec names.
func restart(pod *corev1.Pod, imageID string) {
	status := &pod.Status.ContainerStatuses[0]
	status.Image, status.ImageID, status.ContainerID = pod.Spec.Containers[0].Image, imageID, "containerd://new"
	status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(testkit.Start())}
}

func unready(pod *corev1.Pod) { pod.Status.Conditions[1].Status = corev1.ConditionFalse }

func (w *world) look(t *testing.T) *why.Fleet {
	t.Helper()
	s, err := scope.Of(&w.set.Spec)
	if err != nil {
		t.Fatal(err)
	}
	fleet := &why.Fleet{Canaries: why.CanariesOf(w.set.Name, w.facts.Sets)}
	for _, pod := range w.pods {
		fleet.Add(pod, w.set.Name, s, w.facts.Namespaces[pod.Namespace])
	}
	return fleet
}

// pod and set are the reports.
func (w *world) pod(t *testing.T, i int) fmt.Stringer {
	return w.narrowed(t, i, "", false)
}

func (w *world) narrowed(t *testing.T, i int, only string, all bool) fmt.Stringer {
	t.Helper()
	if w.facts.Fleets == nil {
		w.facts.Fleets = map[string]*why.Fleet{"logtail": w.look(t)}
	}
	return why.OfPod(w.facts, w.pods[i], only, all)
}

func (w *world) report(t *testing.T) fmt.Stringer {
	t.Helper()
	if w.facts.Fleets == nil {
		w.facts.Fleets = map[string]*why.Fleet{"logtail": w.look(t)}
	}
	r, err := why.OfSet(w.facts, w.set)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func half() *intstr.IntOrString { v := intstr.FromString("50%"); return &v }

type cases map[string]func(*testing.T) fmt.Stringer

// upgrades are of Pods that carry the set.
func upgrades() cases {
	return cases{
		"newest": func(t *testing.T) fmt.Stringer { return worldOf(1).pod(t, 0) },
		"held-by-partition": func(t *testing.T) fmt.Stringer {
			w := worldOf(4)
			w.image("logtail:2")
			w.set.Spec.UpdateStrategy.Partition = half()
			w.upgrade(t)
			restart(w.pods[0], "sha256:new")
			w.upgrade(t)
			restart(w.pods[1], "sha256:new")
			return w.pod(t, 3)
		},
		"older-revision": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			w.image("logtail:2")
			version := "v1"
			w.set.Spec.InjectionStrategy.Revision = &v1beta1.SidecarSetInjectRevision{CustomVersion: &version}
			return w.pod(t, 0)
		},
		"held-by-budget": func(t *testing.T) fmt.Stringer {
			w := worldOf(3)
			w.image("logtail:2")
			w.upgrade(t)
			unready(w.pods[0])
			return w.pod(t, 2)
		},
		"kubelet-cannot-pull": func(t *testing.T) fmt.Stringer {
			w := worldOf(3)
			w.image("logtail:2")
			w.upgrade(t)
			unready(w.pods[0])
			w.pods[0].Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{
				Reason: "ImagePullBackOff", Message: `Back-off pulling image "logtail:2"`,
			}
			return w.pod(t, 0)
		},
		"kubelet-in-doubt": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			w.image("logtail:2")
			w.upgrade(t)
			w.image("logtail:3")
			w.upgrade(t)
			restart(w.pods[0], "sha256:logtail:1")
			return w.pod(t, 0)
		},
		"next": func(t *testing.T) fmt.Stringer {
			w := worldOf(2)
			w.image("logtail:2")
			w.set.Generation = 2
			return w.pod(t, 0)
		},
		"needs-recreation": func(t *testing.T) fmt.Stringer {
			w := worldOf(2)
			w.set.Spec.Containers = append(w.set.Spec.Containers, v1beta1.SidecarContainer{Container: corev1.Container{Name: "rotate", Image: "rotate:1"}})
			return w.pod(t, 0)
		},
		"paused-and-bookkeeping": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			w.image("logtail:2")
			w.pods[0].Spec.Containers[0].Image = "logtail:2"
			w.set.Spec.UpdateStrategy.Paused = true
			return w.pod(t, 0)
		},
		"unreadable": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			w.pods[0].Annotations[v1beta1.SidecarSetHashAnnotation] = "oops"
			return w.pod(t, 0)
		},
	}
}

// injections are of Pods that do not, or whose set or Pods cannot be seen.
func injections() cases {
	return cases{
		"not-injected": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			web := map[string]string{"app": "web"}
			w.other("later", web, nil).CreationTimestamp = metav1.NewTime(testkit.Start())
			w.other("paused", web, nil).Spec.InjectionStrategy.Paused = true
			w.other("unknown-cause", web, nil)
			w.other("other-label", map[string]string{"app": "db"}, nil)
			w.other("other-namespace", web, map[string]string{"kubernetes.io/metadata.name": "shop"})
			w.other("other-env", web, map[string]string{"env": "test"})
			return w.pod(t, 0)
		},
		"canary-instead": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			w.other("base", map[string]string{"app": "web"}, nil)
			w.set.Annotations = map[string]string{v1beta1.SidecarSetCanaryAnnotation: "true", v1beta1.SidecarSetBaseAnnotation: "base"}
			return w.pod(t, 0)
		},
		"injected-and-gone": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			delete(w.facts.Sets, "logtail")
			return w.pod(t, 0)
		},
		"injected-and-not-matching": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			w.pods[0].Labels["app"] = "quarantine"
			w.image("logtail:2")
			return w.pod(t, 0)
		},
		"deleting": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			w.pods[0].DeletionTimestamp = &metav1.Time{Time: testkit.Start()}
			return w.pod(t, 0)
		},
		"pods-not-readable": func(t *testing.T) fmt.Stringer {
			w := worldOf(2)
			w.image("logtail:2")
			w.facts.Fleets = map[string]*why.Fleet{"logtail": {Unknown: "read its pods: pods is forbidden"}}
			return w.pod(t, 0)
		},
		"no-sets": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			w.facts.Sets, w.pods[0].Annotations = nil, nil
			return w.pod(t, 0)
		},
		"ten-thousand-sets": func(t *testing.T) fmt.Stringer { return many(10_000).pod(t, 0) },
		"one-set-of-many":   func(t *testing.T) fmt.Stringer { return many(10_000).narrowed(t, 0, "s-4711", false) },
		"all-of-many":       func(t *testing.T) fmt.Stringer { return many(15).narrowed(t, 0, "", true) },
	}
}

// rollouts are of sets.
func rollouts() cases {
	return cases{
		"set-moving": func(t *testing.T) fmt.Stringer {
			w := worldOf(8)
			w.image("logtail:2")
			w.set.Spec.UpdateStrategy.Partition = half()
			w.upgrade(t)
			canary := w.other("canary", map[string]string{"app": "web"}, nil)
			canary.Annotations = map[string]string{v1beta1.SidecarSetCanaryAnnotation: "true", v1beta1.SidecarSetBaseAnnotation: "logtail"}
			w.pods = append(w.pods, testkit.Carrier("bare"), testkit.Carrier("has-the-canary", canary))
			unready(w.pods[4])
			return w.report(t)
		},
		"set-older-revision": func(t *testing.T) fmt.Stringer {
			w := worldOf(2)
			name := "logtail-x"
			w.set.Spec.InjectionStrategy.Revision = &v1beta1.SidecarSetInjectRevision{RevisionName: &name, Policy: v1beta1.PartialRevisionPolicy}
			return w.report(t)
		},
		"set-next": func(t *testing.T) fmt.Stringer {
			w := worldOf(6)
			w.image("logtail:2")
			w.set.Spec.UpdateStrategy.MaxUnavailable = half()
			w.pods[5].Annotations[v1beta1.SidecarSetHashWithoutImageAnnotation] = `{"logtail":{"hash":"other"}}`
			return w.report(t)
		},
		"set-conflicting": func(t *testing.T) fmt.Stringer {
			w := worldOf(2)
			w.set.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080}}
			for _, app := range []string{"web", "db"} {
				proxy := w.other("proxy-"+app, map[string]string{"app": app}, nil)
				proxy.Spec.Containers[0].Name = "proxy"
				proxy.Spec.Containers[0].Ports = w.set.Spec.Containers[0].Ports
			}
			return w.report(t)
		},
		"set-reached": func(t *testing.T) fmt.Stringer { return worldOf(2).report(t) },
		"set-pods-not-readable": func(t *testing.T) fmt.Stringer {
			w := worldOf(1)
			w.facts.Fleets = map[string]*why.Fleet{"logtail": {Unknown: "read its pods: pods is forbidden"}}
			return w.report(t)
		},
	}
}

// TestReports compares reports with testdata; -update rewrites them, then read them.
func TestReports(t *testing.T) {
	all := upgrades()
	maps.Copy(all, injections())
	maps.Copy(all, rollouts())
	for name, build := range all {
		t.Run(name, func(t *testing.T) { compare(t, name, build(t)) })
	}
	goldens, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range goldens {
		if all[strings.TrimSuffix(filepath.Base(path), ".txt")] == nil {
			t.Errorf("nothing reads %s", path)
		}
	}
}

// many is a world with n sets that do not match: by namespace, by label, and one in a thousand nearly.
func many(n int) *world {
	w := worldOf(1)
	for i := range n {
		name := fmt.Sprintf("s-%04d", i)
		switch {
		case i%1000 == 7:
			w.other(name, map[string]string{"app": "web", "tier": "front"}, nil)
		case i%2 == 0:
			w.other(name, map[string]string{"app": name}, nil)
		default:
			w.other(name, map[string]string{"app": name}, map[string]string{"kubernetes.io/metadata.name": name})
		}
	}
	return w
}

// compare compares a report's text and its JSON with the golden.
func compare(t *testing.T, name string, r fmt.Stringer) {
	t.Helper()
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got := r.String() + "\n--- as JSON\n" + string(data) + "\n"
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
