package inplace

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
)

func cpuOf(name, to string) []ContainerResource {
	return []ContainerResource{{Name: name, Kind: "requests", Resource: "cpu", To: to}}
}

func TestTemplateChange_resizeAloneRestartsNothing(t *testing.T) {
	f := newFake(t, nil, "injected i:1", "web web:1 1", "log log:1 2")
	f.size("web", "500m", "")
	d := Difference{Resources: append(cpuOf("web", "1"), cpuOf("log", "1")...)}
	if f.Restarts(d, f.now) || f.Refuses(d) != "" {
		t.Fatalf("restarts, or refuses: %s", f.Refuses(d))
	}
	c := f.version(30).Change(f.TemplatePod, d)
	want := []plan.ResourceChange{
		{Container: "web", Index: 1, List: "requests", Resource: "cpu", From: "500m", To: "1"},
		{Container: "log", Index: 2, List: "requests", Resource: "cpu", To: "1", NoList: true},
	}
	if diff := cmp.Diff(want, c.Resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	f.patch(c)
	f.expect(Changing, "i:1 web:1 log:1")
	if GetText(f.annotations[stateKey], "revision") != "web-2" || object(f.annotations[stateKey], "nextContainerResources") != "{}" {
		t.Errorf("state %s", f.annotations[stateKey])
	}
	f.resize("web")
	f.expect(Changing, "i:1 web:1 log:1")
	f.Trouble = Trouble{"Deferred", "no room"}
	if p := ProgressOf(f.TemplatePod); p.Stage != Deferred || !p.Serves || p.Why != "kubelet does not give it the new cpu and memory (Deferred: no room); it runs with the old" {
		t.Errorf("progress %+v", p)
	}
	f.Trouble = Trouble{}
	f.resize("log")
	f.expect(Complete, "i:1 web:1 log:1")
	if again := f.version(0).Change(f.TemplatePod, d); again.Resources != nil {
		t.Errorf("done twice: %+v", again.Resources)
	}
}

// Who finds a Pod with the new cpu and the old revision goes on with the revision, and waits for kubelet all the same.
func TestTemplateChange_goesOnAfterTheResize(t *testing.T) {
	f := newFake(t, nil, "web web:1")
	f.size("web", "1", "")
	d := webTo2().And(cpuOf("web", "2"))
	first := f.version(0).Change(f.TemplatePod, d)
	f.patch(plan.Change{Resources: first.Resources})
	f.expect(Changing, "web:1")
	second := f.version(0).Change(f.TemplatePod, d)
	if second.Resources != nil || len(second.Images) != 1 {
		t.Errorf("the second time: %+v", second)
	}
	f.patch(second)
	f.run("web")
	f.expect(Changing, "web:2")
	f.resize("web")
	f.expect(Complete, "web:2")
}

// A container gets its cpu with its image, in its turn; one that does not restart at once.
func TestTemplateChange_resizesInBatches(t *testing.T) {
	f := newFake(t, nil, "web web:1 5", "log log:1 9", "side side:1 1", "slow slow:1 2")
	for _, name := range []string{"web", "log", "side", "slow"} {
		f.size(name, "1", "")
	}
	f.Containers[3].Size.Restarts[0] = true
	d := Difference{Images: []ContainerImage{{Name: "web", To: "web:2"}, {Name: "log", To: "log:2"}}}
	for _, name := range []string{"web", "log", "side", "slow"} {
		d = d.And(cpuOf(name, "2"))
	}
	if !f.Restarts(d, f.now) {
		t.Fatal("restarts nothing")
	}
	sizes := func(want string) {
		t.Helper()
		got := ""
		for i := range f.Containers {
			got += f.Containers[i].Size.Of[0]
		}
		if got != want {
			t.Errorf("cpu %s, want %s; state %s", got, want, f.annotations[stateKey])
		}
	}
	settle := func() {
		t.Helper()
		for _, c := range f.Containers {
			f.run(c.Name)
			f.ready(c.Name)
			f.resize(c.Name)
		}
	}
	f.patch(f.version(0).Change(f.TemplatePod, d))
	f.expect(Changing, "web:1 log:2 side:1 slow:1")
	sizes("1221")
	if got := object(f.annotations[stateKey], "nextContainerResources"); got != `{"slow":{"requests":{"cpu":"2"}},"web":{"requests":{"cpu":"2"}}}` {
		t.Errorf("what comes next: %s", got)
	}
	f.run("log")
	f.ready("log")
	f.expect(Changing, "web:1 log:2 side:1 slow:1") // side does not have its cpu
	settle()
	f.expect(NextBatch, "web:1 log:2 side:1 slow:1")
	f.proceed()
	sizes("2221")
	settle()
	f.expect(NextBatch, "web:2 log:2 side:1 slow:1") // only a size is left
	if c := f.proceed(); !c.Restarts() {
		t.Errorf("the last batch restarts a container: %+v", c)
	}
	sizes("2222")
	settle()
	f.expect(Complete, "web:2 log:2 side:1 slow:1")
}

// What cannot be given does not keep the batch from coming that takes it back.
func TestTemplateChange_goesBackInALaterBatch(t *testing.T) {
	f := newFake(t, nil, "web web:1 1", "log log:1 2")
	f.size("web", "1", "")
	f.patch(f.version(0).Change(f.TemplatePod, Difference{}.And(cpuOf("web", "100"))))
	f.Trouble = Trouble{Reason: "Infeasible"}
	f.expect(Deferred, "web:1 log:1")
	d := Difference{Images: []ContainerImage{{Name: "web", To: "web:2"}, {Name: "log", To: "log:2"}}}
	f.patch(TemplateVersion{Revision: "web-3", Now: f.now}.Change(f.TemplatePod, d.And(cpuOf("web", "1"))))
	f.expect(Changing, "web:1 log:2")
	f.run("log")
	f.ready("log")
	f.expect(NextBatch, "web:1 log:2")
	if c := f.proceed(); len(c.Resources) != 1 || len(c.Images) != 1 {
		t.Errorf("the last batch: %+v", c)
	}
}

// Batches may not take the Pod through another QoS class, which the API server would refuse.
func TestTemplateChange_batchesKeepTheClass(t *testing.T) {
	f := newFake(t, nil, "a a:1 1", "b b:1 2")
	guaranteed := func(name, amount, memory string) {
		c := &f.Containers[f.container(name)]
		c.Size.Of, c.Size.Requests, c.Size.Limits = [4]string{amount, memory, amount, memory}, true, true
	}
	guaranteed("a", "1", "1Gi")
	guaranteed("b", "1", "1Gi")
	f.Containers[0].Size.Of[0] = "500m"
	f.measure()
	d := Difference{Images: []ContainerImage{{Name: "a", To: "a:2"}, {Name: "b", To: "b:2"}}}
	d = d.And(cpuOf("b", "500m")).And(cpuOf("a", "500m"))
	f.patch(f.version(0).Change(f.TemplatePod, d)) // b is in the first batch, and a is less than Guaranteed already
	f.expect(Changing, "a:1 b:2")

	f = newFake(t, nil, "a a:1 1", "b b:1 2")
	guaranteed("a", "1", "1Gi")
	guaranteed("b", "1", "1Gi")
	f.Containers[1].Size.Of[0] = "500m"
	f.measure()
	d.Resources = append(cpuOf("b", "1"), cpuOf("a", "500m")...)
	if why := f.Refuses(d); why != "" {
		t.Fatal(why)
	}
	c := f.version(0).Change(f.TemplatePod, d)
	if len(c.Images) != 1 || len(c.Resources) != 2 {
		t.Errorf("change %+v", c)
	}
	f.patch(c)
}

func TestGrace_keepsTheResizeBack(t *testing.T) {
	f := newFake(t, nil, "web web:1")
	f.size("web", "1", "")
	f.patch(f.version(10).Change(f.TemplatePod, webTo2().And(cpuOf("web", "2"))))
	f.expect(Draining, "web:1")
	if got := object(f.annotations[graceKey], "containerResources"); got != `{"web":{"requests":{"cpu":"2"}}}` || f.Containers[0].Size.Of[0] != "1" {
		t.Errorf("grace annotation %s", f.annotations[graceKey])
	}
	if back := f.Strays(Sizes{"web": {"1"}}); back != nil {
		t.Errorf("strays: %v", back)
	}
	f.now = f.now.Add(11e9)
	if c := f.proceed(); len(c.Resources) != 1 || len(c.Images) != 1 {
		t.Errorf("after the grace period: %+v", c)
	}
}

func TestStrays(t *testing.T) {
	f := newFake(t, nil, "web web:1")
	f.size("web", "1", "2")
	own := Sizes{"web": {"1000m", "", "2", ""}}
	if back := f.Strays(own); back != nil {
		t.Errorf("nothing is ours, and %v", back)
	}
	f.patch(plan.Change{Resources: []plan.ResourceChange{{Container: "web", List: "requests", Resource: "cpu", From: "1", To: "1500m"}}})
	if diff := cmp.Diff(cpuOf("web", "1000m"), f.Strays(own)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.Containers[0].Size.Of[2] = "3" // somebody else's
	if diff := cmp.Diff(cpuOf("web", "1000m"), f.Strays(own)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if back := f.Strays(Sizes{"web": {"1500m", "", "2", ""}}); back != nil {
		t.Errorf("the other revision's: %v", back)
	}
}

func TestGiven(t *testing.T) {
	c := sized("1", "", "", "1Gi")
	reported := func(of corev1.Container) *corev1.ContainerStatus {
		return &corev1.ContainerStatus{Resources: &of.Resources}
	}
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Generation: 2}, Status: corev1.PodStatus{ObservedGeneration: 2}}
		if change != nil {
			change(p)
		}
		return p
	}
	none := corev1.Container{}
	for name, tc := range map[string]struct {
		pod    *corev1.Pod
		c      *corev1.Container
		status *corev1.ContainerStatus
		want   bool
	}{
		"the same, written otherwise": {pod(nil), &c, reported(sized("1000m", "2", "", "1024Mi")), true},
		"another request":             {pod(nil), &c, reported(sized("2", "", "", "1Gi")), false},
		"no limit":                    {pod(nil), &c, reported(sized("1", "", "", "")), false},
		"not reported":                {pod(nil), &c, &corev1.ContainerStatus{}, false},
		"no status":                   {pod(nil), &c, nil, false},
		"nothing to give":             {pod(nil), &none, nil, true},
		"of an earlier spec":          {pod(func(p *corev1.Pod) { p.Generation = 3 }), &c, reported(c), false},
		"kubelet is at it": {pod(func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodResizeInProgress, Status: corev1.ConditionTrue}}
		}), &c, reported(c), false},
	} {
		if got := Given(tc.pod, tc.c, tc.status); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
