package podprobemarker

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
)

// pods is a cache of Pods of one namespace. It notes which were read.
type pods struct {
	cache

	all  map[string]*kept.Pod
	read []string
}

func (p *pods) Virtual(string) bool { return false }

func (p *pods) Pod(key string) *kept.Pod {
	p.read = append(p.read, key)
	return p.all[key]
}

func (p *pods) InNamespace(string) (keys []string) {
	for key := range p.all {
		keys = append(keys, key)
	}
	return keys
}

func (p *pods) add(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	trimmed, err := kept.Trim(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), Labels: labels}})
	if err != nil {
		t.Fatal(err)
	}
	p.all["ns/"+name] = trimmed.(*kept.Pod)
}

// queue notes which markers are to be looked at.
type queue []string

func (q *queue) AddAfter(item reconcile.Request, _ time.Duration) { *q = append(*q, item.Name) }

func markerOf(name, uid, app string) *v1beta1.PodProbeMarker {
	m := &v1beta1.PodProbeMarker{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid)}}
	m.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	m.Spec.Probes = []v1beta1.PodContainerProbe{{Name: "idle", ContainerName: "game", PodConditionType: "idle"}}
	return m
}

// TestMarkerChanged_looksAtWhatItShares: the other markers look at the Pods again that the one that changed selects, and at no others.
func TestMarkerChanged_looksAtWhatItShares(t *testing.T) {
	first := markerOf("a", "1", "web")
	for name, tc := range map[string]struct {
		old, now *v1beta1.PodProbeMarker
		want     map[string][]string // Pods that are read, by marker
	}{
		"new":       {nil, first, map[string][]string{"same": {"ns/web", "ns/web-db"}, "both": {"ns/web-db"}}},
		"gone":      {first, nil, map[string][]string{"same": {"ns/web", "ns/web-db"}, "both": {"ns/web-db"}}},
		"the same":  {first, first, nil},
		"made anew": {first, markerOf("a", "2", "else"), map[string][]string{"same": {"ns/web", "ns/web-db"}, "both": {"ns/web-db"}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &pods{all: map[string]*kept.Pod{}}
			c.add(t, "web", map[string]string{"app": "web"})
			c.add(t, "web-db", map[string]string{"app": "web", "tier": "db"})
			c.add(t, "db", map[string]string{"app": "other", "tier": "db"})
			r := newReconciler(c, nil, Options{}, time.Now)
			both := markerOf("both", "both", "")
			both.Spec.Selector.MatchLabels = map[string]string{"tier": "db"}
			others := []*v1beta1.PodProbeMarker{markerOf("same", "same", "web"), both, markerOf("apart", "apart", "other")}
			for _, m := range others {
				r.markerChanged(&queue{}, nil, m)
			}
			if tc.old != nil {
				r.markerChanged(&queue{}, nil, tc.old)
			}
			for _, m := range others {
				r.look(types.NamespacedName{Namespace: "ns", Name: m.Name})
			}
			var q queue
			r.markerChanged(&q, tc.old, tc.now)
			var got map[string][]string
			for _, m := range others {
				c.read = nil
				r.look(types.NamespacedName{Namespace: "ns", Name: m.Name})
				if len(c.read) == 0 {
					continue
				}
				if got == nil {
					got = map[string][]string{}
				}
				got[m.Name] = c.read
				if !slices.Contains(q, m.Name) {
					t.Errorf("no look at %s is on its way", m.Name)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}
