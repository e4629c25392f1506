package env

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// half is a container of a hot pair: what its spec names, what runs, and whether that is ready.
type half struct {
	spec, runs string
	ready      bool
}

func hotPod(generation int64, first, second half) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "1", Generation: generation},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "mesh-1", Image: first.spec}, {Name: "mesh-2", Image: second.spec}, {Name: "app", Image: "app:1"}}},
		Status: corev1.PodStatus{
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{
				{Name: "mesh-1", Image: first.runs, Ready: first.ready}, {Name: "mesh-2", Image: second.runs, Ready: second.ready}, {Name: "app", Ready: true},
			},
		},
	}
	return pod
}

// TestWatcher_hotPair: a watcher that sees no wrong is worth nothing, so here is every wrong of a hot upgrade.
func TestWatcher_hotPair(t *testing.T) {
	old, idle := half{"mesh:1", "mesh:1", true}, half{"empty", "empty", true}
	starts, serves := half{"mesh:2", "empty", true}, half{"mesh:2", "mesh:2", true}
	emptied := half{"empty", "mesh:1", true}
	restarted := hotPod(2, old, starts)
	restarted.Status.ContainerStatuses[2].RestartCount = 1
	tests := map[string]struct {
		pods []*corev1.Pod
		want string // part of the first wrong; empty: none
		last Count
	}{
		"a good one": {
			pods: []*corev1.Pod{hotPod(2, old, starts), hotPod(2, old, half{"mesh:2", "mesh:2", false}), hotPod(2, old, serves), hotPod(3, emptied, serves), hotPod(3, idle, serves)},
			last: Count{Pods: 1, Ready: 1, Updated: 1, Done: 1},
		},
		"under way": {
			pods: []*corev1.Pod{hotPod(2, old, serves)},
			last: Count{Pods: 1, Ready: 1, Unavailable: 1, Updated: 1},
		},
		"the old one is emptied too early": {
			pods: []*corev1.Pod{hotPod(2, old, starts), hotPod(3, emptied, starts)},
			want: "web: neither container of mesh serves",
			last: Count{Pods: 1, Ready: 1, Unavailable: 1, Updated: 1},
		},
		"the old one is not ready any more": {
			pods: []*corev1.Pod{hotPod(2, half{"mesh:1", "mesh:1", false}, starts)},
			want: "web: neither container of mesh serves",
			last: Count{Pods: 1, Ready: 1, Unavailable: 1, Updated: 1},
		},
		"a third patch": {
			pods: []*corev1.Pod{hotPod(4, idle, serves)},
			want: "web: its spec was changed 3 times",
			last: Count{Pods: 1, Ready: 1, Updated: 1, Done: 1},
		},
		"the application restarts": {
			pods: []*corev1.Pod{restarted},
			want: "web: a container that is not mesh restarted",
			last: Count{Pods: 1, Ready: 1, Unavailable: 1, Updated: 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWatcher(Sidecar{Name: "mesh", Empty: "empty"})
			if err := (*store)(w).Replace([]any{hotPod(1, old, idle)}, ""); err != nil {
				t.Fatal(err)
			}
			w.Expect("mesh:2", Limits{-1, -1})
			for _, pod := range tt.pods {
				if err := (*store)(w).Update(pod); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(w.Wrongs(), "; "); (got == "") != (tt.want == "") || !strings.HasPrefix(got, tt.want) {
				t.Errorf("wrongs are %q, want %q", got, tt.want)
			}
			if got := w.Now(); got != tt.last {
				t.Errorf("count is %+v, want %+v", got, tt.last)
			}
		})
	}
}

// TestWatcher_looksAnew: after a watch was cut off all Pods are counted together, not one after the other, and Pods
// that have gone are gone.
func TestWatcher_looksAnew(t *testing.T) {
	pod := func(name string, generation int64, runs string) *corev1.Pod {
		p := hotPod(generation, half{}, half{})
		p.Name, p.Spec.Containers[0] = name, corev1.Container{Name: "logtail", Image: "logtail:2"}
		p.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "logtail", Image: runs, Ready: true}
		return p
	}
	w := newWatcher(Sidecar{Name: "logtail"})
	look := func(pods ...any) {
		t.Helper()
		if err := (*store)(w).Replace(pods, ""); err != nil {
			t.Fatal(err)
		}
	}
	look(pod("a", 1, "logtail:2"), pod("b", 1, "logtail:1"), pod("gone", 1, "logtail:2"))
	w.Expect("logtail:2", Limits{Unavailable: 1, Updated: -1})
	look(pod("a", 2, "logtail:1"), pod("b", 1, "logtail:2"))
	if got, want := w.Now(), (Count{Pods: 2, Ready: 2, Unavailable: 1, Updated: 2, Done: 1}); got != want || len(w.Wrongs()) > 0 {
		t.Errorf("count is %+v, want %+v; wrongs %v", got, want, w.Wrongs())
	}
	if least, most := w.Writes(); least != 0 || most != 1 {
		t.Errorf("%d to %d writes, want 0 to 1", least, most)
	}
	look(pod("a", 2, "logtail:1"), pod("b", 1, "logtail:1"))
	if got := strings.Join(w.Wrongs(), "; "); !strings.HasPrefix(got, "2 pods are unavailable, more than 1") {
		t.Errorf("wrongs are %q", got)
	}
}
