package simkubelet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/outrigger-project/outrigger/devcluster/internal/behaviour"
)

// world is a kubelet with a made-up API server, in the virtual time of a
// synctest bubble. Every accepted write about a pod is told in one line.
type world struct {
	t      *testing.T
	client *fake.Clientset
	start  time.Time
	story  []string
	// refuse are the numbers of the writes about pods that fail, from 1.
	refuse map[int]bool
	writes int
}

// play runs a kubelet with one node while the script lasts. A bubble ends only
// when all its goroutines have, so a leak fails the test.
func play(t *testing.T, refuse map[int]bool, script func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, client: fake.NewClientset(), start: time.Now(), refuse: refuse}
		w.client.PrependReactor("patch", "pods", w.count)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		cfg := Config{Nodes: 1, NodePrefix: "sim-", Version: "v1.0.0", Workers: 2, Defaults: behaviour.Defaults(), Events: true}
		go func() { ended <- newKubelet(cfg, w.client, slog.New(slog.DiscardHandler)).run(ctx) }()
		w.pass(time.Second) // for the caches to fill
		w.start = time.Now()
		script(w)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the kubelet ended: %v", err)
		}
	})
}

// count refuses the writes it should and tells the others.
func (w *world) count(_ clienttesting.Action) (bool, runtime.Object, error) {
	if w.writes++; w.refuse[w.writes] {
		return true, nil, errors.New("refused by the test")
	}
	return false, nil, nil
}

// pass lets virtual time go by; the first moments of the next second are not
// included.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) create(annotations map[string]string, edits ...func(*corev1.Pod)) {
	w.t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "uid", Generation: 1, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{NodeName: "sim-0", RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "app", Image: "r/app:v1"}}},
	}
	for key, value := range annotations {
		p.Annotations[behaviour.Prefix+key] = value
	}
	for _, edit := range edits {
		edit(p)
	}
	if _, err := w.client.CoreV1().Pods("ns").Create(w.t.Context(), p, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func (w *world) pod() *corev1.Pod {
	w.t.Helper()
	p, err := w.client.CoreV1().Pods("ns").Get(w.t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// change edits the pod in the API server.
func (w *world) change(edit func(*corev1.Pod)) {
	w.t.Helper()
	p := w.pod()
	edit(p)
	p.Generation++
	if _, err := w.client.CoreV1().Pods("ns").Update(w.t.Context(), p, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// look appends the present state to the story, if it is another than before.
func (w *world) look() {
	w.t.Helper()
	p := w.pod()
	line := fmt.Sprintf("%s %s", time.Since(w.start), p.Status.Phase)
	for _, s := range p.Status.ContainerStatuses {
		switch {
		case s.State.Running != nil:
			line += fmt.Sprintf(" running ready=%v #%d", s.Ready, s.RestartCount)
		case s.State.Waiting != nil:
			line += " " + s.State.Waiting.Reason
		case s.State.Terminated != nil:
			line += " exited"
		}
	}
	w.story = append(w.story, line)
}

func (w *world) wants(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.story); diff != "" {
		w.t.Errorf("the story differs (-want +got):\n%s", diff)
	}
}

func TestKubelet_wakesWhenToldTo(t *testing.T) {
	play(t, nil, func(w *world) {
		w.create(map[string]string{"start-delay": "3s", "ready-delay": "2s"})
		w.look()
		w.pass(3*time.Second - time.Millisecond)
		w.look()
		w.pass(time.Millisecond)
		w.look()
		w.pass(2 * time.Second)
		w.look()
		w.wants(
			"0s Pending ContainerCreating",
			"2.999s Pending ContainerCreating",
			"3s Running running ready=false #0",
			"5s Running running ready=true #0",
		)
		if w.writes != 3 {
			t.Errorf("%d writes, want 3", w.writes)
		}
	})
}

// TestKubelet_refusedWritesLoseNothing lets the n-th write fail, for every n
// of a restart in place: each state must still be seen, the gap above all.
func TestKubelet_refusedWritesLoseNothing(t *testing.T) {
	for n := 1; n <= 4; n++ {
		t.Run(fmt.Sprintf("write %d and the next", n), func(t *testing.T) {
			play(t, map[int]bool{n: true, n + 1: true}, func(w *world) {
				w.create(map[string]string{"restart-gap": "10ms"})
				w.pass(5 * time.Second)
				w.look()
				// The gap is shorter than the wait before the next attempt.
				seen := map[string]bool{}
				pods, err := w.client.CoreV1().Pods("ns").Watch(t.Context(), metav1.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				watched := make(chan struct{})
				go func() {
					defer close(watched)
					for e := range pods.ResultChan() {
						if s := e.Object.(*corev1.Pod).Status.ContainerStatuses; len(s) == 1 && s[0].State.Terminated != nil {
							seen["gap"] = true
						}
					}
				}()
				w.change(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "r/app:v2" })
				w.pass(5 * time.Second)
				w.look()
				pods.Stop()
				<-watched
				w.wants("5s Running running ready=true #0", "10s Running running ready=true #1")
				if !seen["gap"] {
					t.Error("the gap was never written")
				}
			})
		})
	}
}

func TestKubelet_writesNothingOnceSettled(t *testing.T) {
	play(t, nil, func(w *world) {
		w.create(map[string]string{"ready-delay": "1s"})
		w.pass(2 * time.Second)
		settled := w.writes
		w.pass(time.Hour)
		if w.writes != settled {
			t.Errorf("%d further writes in an hour", w.writes-settled)
		}
	})
}

func TestKubelet_leavesPodsOfOtherNodesAlone(t *testing.T) {
	play(t, nil, func(w *world) {
		w.create(nil, func(p *corev1.Pod) { p.Spec.NodeName = "real-0" })
		w.pass(time.Minute)
		if w.writes != 0 {
			t.Errorf("%d writes about a pod of another node", w.writes)
		}
	})
}

func TestKubelet_waitsForAConfigMap(t *testing.T) {
	play(t, nil, func(w *world) {
		w.create(nil, func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}}
		})
		w.look()
		w.pass(time.Minute)
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}}
		if _, err := w.client.CoreV1().ConfigMaps("ns").Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.look()
		w.wants("0s Pending CreateContainerConfigError", "1m0s Running running ready=true #0")
	})
}

func TestKubelet_removesADyingPodWithItsUID(t *testing.T) {
	play(t, nil, func(w *world) {
		w.create(nil)
		w.change(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now()} })
		var deletions []metav1.DeleteOptions
		for _, a := range w.client.Actions() {
			if d, ok := a.(clienttesting.DeleteActionImpl); ok && d.Resource.Resource == "pods" {
				deletions = append(deletions, d.DeleteOptions)
			}
		}
		if len(deletions) != 1 {
			t.Fatalf("%d deletions, want 1", len(deletions))
		}
		o := deletions[0]
		if o.GracePeriodSeconds == nil || *o.GracePeriodSeconds != 0 || o.Preconditions == nil || *o.Preconditions.UID != "uid" {
			t.Errorf("delete options %+v, want no grace and the pod's UID", o)
		}
	})
}

// TestKubelet_givesAReusedNameANewLife: a pod of the same name with another
// UID starts from the beginning, even when the deletion in between was missed.
func TestKubelet_givesAReusedNameANewLife(t *testing.T) {
	play(t, nil, func(w *world) {
		w.create(nil)
		w.change(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "r/app:v2" })
		w.look()
		w.change(func(p *corev1.Pod) { p.UID, p.Status = "other", corev1.PodStatus{} })
		w.look()
		w.wants("0s Running running ready=true #1", "0s Running running ready=true #0")
	})
}

func TestKubelet_keepsItsNodeAlive(t *testing.T) {
	play(t, nil, func(w *world) {
		node, err := w.client.CoreV1().Nodes().Get(t.Context(), "sim-0", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c := node.Status.Conditions[0]; c.Type != corev1.NodeReady || c.Status != corev1.ConditionTrue {
			t.Errorf("condition %+v, want Ready", c)
		}
		for range 5 {
			w.pass(17 * time.Second)
			lease, err := w.client.CoordinationV1().Leases(leaseNamespace).Get(t.Context(), "sim-0", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if age := time.Since(lease.Spec.RenewTime.Time); age > renewEvery {
				t.Errorf("after %s the lease is %s old", time.Since(w.start), age)
			}
		}
	})
}

func TestKubelet_tellsEvents(t *testing.T) {
	play(t, nil, func(w *world) {
		w.create(map[string]string{"nonsense": "1"})
		w.pass(time.Second)
		list, err := w.client.CoreV1().Events("ns").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, e := range list.Items {
			got[e.Reason] = e.Message
		}
		want := map[string]string{
			"BadAnnotation": `devcluster.outrigger.dev/nonsense: there is no setting "nonsense"`,
			"Pulled":        `Container image "r/app:v1" already present on machine`,
			"Created":       "Created container: app",
			"Started":       "Started container app",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
