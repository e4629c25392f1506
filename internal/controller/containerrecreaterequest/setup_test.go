package containerrecreaterequest

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
)

type queue []string

func (q *queue) AddAfter(item reconcile.Request, _ time.Duration) { *q = append(*q, item.Name) }

// TestPodHandler_wakesTheRequestsOfThePod: no others, and none that has let its Pod go.
func TestPodHandler_wakesTheRequestsOfThePod(t *testing.T) {
	requests := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{byPod: podOf})
	add := func(name, pod string, over bool, finalizers ...string) {
		r := &v1beta1.ContainerRecreateRequest{}
		r.Name, r.Namespace, r.Finalizers = name, "shop", finalizers
		r.Labels = map[string]string{v1beta1.ContainerRecreateRequestPodUIDLabel: pod}
		if over {
			r.Status.CompletionTime = &metav1.Time{Time: time.Unix(1, 0)}
		}
		if err := requests.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	add("open", "u1", false)
	add("over", "u1", true)
	add("cleaning", "u1", true, v1beta1.ContainerRecreateRequestUnreadyAcquired)
	add("other", "u2", false)
	for what, change := range map[string]func(toolscache.ResourceEventHandler, *kept.Pod){
		"changed": func(h toolscache.ResourceEventHandler, p *kept.Pod) { h.OnUpdate(p, p) },
		"deleted": func(h toolscache.ResourceEventHandler, p *kept.Pod) { h.OnDelete(p) },
	} {
		var q queue
		pod := &kept.Pod{}
		pod.Name, pod.Namespace, pod.UID = "web", "shop", types.UID("u1")
		change(podHandler(requests)(&q), pod)
		if len(q) != 2 || q[0] == q[1] || q[0] == "over" || q[1] == "over" || q[0] == "other" || q[1] == "other" {
			t.Errorf("when the Pod is %s, %v are looked at", what, q)
		}
	}
}
