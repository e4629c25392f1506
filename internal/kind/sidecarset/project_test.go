package sidecarset_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/sim"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// examplePod is a running Pod with the sidecar logtail.
func examplePod(tb testing.TB) *corev1.Pod {
	tb.Helper()
	set := &v1beta1.SidecarSet{}
	set.Name = "logtail"
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "logtail", Image: "logtail:1"}}}
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pod, err := sim.NewPod(set, "web-0", "uid-1", map[string]string{"app": "web"}, created)
	if err != nil {
		tb.Fatal(err)
	}
	runs := make([]node.Container, 2)
	for i := range runs {
		runs[i].Start(pod.Spec.Containers[i].Image, node.Images{}, created)
	}
	return node.Report(pod, runs, true, 1, created.Add(time.Minute))
}

func TestProject_whichPodsCarryTheSet(t *testing.T) {
	now := metav1.Now()
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"as injected":                   {func(*corev1.Pod) {}, true},
		"pending":                       {func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodPending} }, true},
		"succeeded":                     {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, false},
		"failed":                        {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, false},
		"being deleted":                 {func(p *corev1.Pod) { p.DeletionTimestamp = &now }, false},
		"not injected":                  {func(p *corev1.Pod) { p.Annotations = nil }, false},
		"another set of a similar name": {func(p *corev1.Pod) { p.Annotations[v1beta1.SidecarSetInjectedListAnnotation] = "logtail-2,a-logtail" }, false},
		"the only set":                  {func(p *corev1.Pod) { p.Annotations[v1beta1.SidecarSetInjectedListAnnotation] = "logtail" }, true},
		"one of several, in the middle": {func(p *corev1.Pod) { p.Annotations[v1beta1.SidecarSetInjectedListAnnotation] = "a,logtail,z" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := examplePod(t)
			c.change(pod)
			if _, got := sidecarset.Project(pod, "logtail"); got != c.want {
				t.Errorf("Project tells %v, want %v", got, c.want)
			}
		})
	}
}

func TestProject_record(t *testing.T) {
	pod := examplePod(t)
	pod.ResourceVersion = "7"
	pod.Status.ContainerStatuses[1].RestartCount = 3
	r, _ := sidecarset.Project(pod, "logtail")
	if r.Unit.String() != "default/web-0" || r.Unit.UID != "uid-1" || r.ResourceVersion != "7" {
		t.Errorf("unit %+v at %s", r.Unit, r.ResourceVersion)
	}
	if r.Hash == "" || r.HashWithoutImage == "" || r.Hash == r.HashWithoutImage || r.Unreadable != "" {
		t.Errorf("hashes %q and %q, %s", r.Hash, r.HashWithoutImage, r.Unreadable)
	}
	if len(r.Sidecars) != 1 || r.Sidecars[0].Name != "logtail" || r.Sidecars[0].Runs.ImageID == "" {
		t.Errorf("sidecars %+v", r.Sidecars)
	}
	if !r.Ready || !r.Settled || !r.Scheduled || r.Restarts != 3 || r.ReadySince-r.Created != 60 {
		t.Errorf("record %+v", r)
	}
}

func TestProject_legacyAnnotationNamesNoContainers(t *testing.T) {
	pod := examplePod(t)
	pod.Annotations[v1beta1.SidecarSetHashAnnotation] = `{"logtail":"h1"}`
	pod.Annotations[v1beta1.SidecarSetHashWithoutImageAnnotation] = `{"logtail":"w1"}`
	r, ok := sidecarset.Project(pod, "logtail")
	if !ok || r.Hash != "h1" || r.HashWithoutImage != "w1" || len(r.Sidecars) != 1 || r.Sidecars[0].Name != "logtail" {
		t.Errorf("record %+v, %v", r, ok)
	}
}

func TestPlan_unreadableAnnotationsHoldThePodAndNoOther(t *testing.T) {
	for key, value := range map[string]string{
		v1beta1.SidecarSetHashAnnotation:               `{"logtail":`,
		v1beta1.SidecarSetHashWithoutImageAnnotation:   `[]`,
		v1beta1.SidecarSetInPlaceUpdateStateAnnotation: `"text"`,
	} {
		t.Run(key, func(t *testing.T) {
			obs := rollout(t, 3, "logtail:2")
			pod := examplePod(t)
			pod.Annotations[key] = value
			bad, ok := sidecarset.Project(pod, "logtail")
			if !ok {
				t.Fatal("the pod does not match")
			}
			obs.Pods = append(obs.Pods, bad)
			obs.Set.MaxUnavailable = 1
			p := sidecarset.Plan(obs)
			if len(p.Steps) != 1 || p.Steps[0].Unit == bad.Unit {
				t.Errorf("steps %+v", p.Steps)
			}
			last := p.Holds[len(p.Holds)-1]
			if last.Unit != bad.Unit || last.Reason != sidecarset.UnreadableAnnotation || !strings.Contains(last.Why, key) {
				t.Errorf("hold %+v", last)
			}
		})
	}
}
