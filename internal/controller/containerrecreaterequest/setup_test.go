package containerrecreaterequest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// TestRecordHandler_wakesTheRequestsThatHaveNews: those of which the agent says something else, and those that it is not told of
// any more.
func TestRecordHandler_wakesTheRequestsThatHaveNews(t *testing.T) {
	record := func(told []string, reports map[string]v1beta1.ContainerRecreateRequestPhase) *v1beta1.NodeContainerRecreate {
		n := &v1beta1.NodeContainerRecreate{}
		for _, name := range told {
			n.Spec.Requests = append(n.Spec.Requests, v1beta1.RecreateOrder{UID: "uid-" + name, Namespace: "shop", Name: name})
			if phase := reports[name]; phase != "" {
				n.Status.Requests = append(n.Status.Requests, v1beta1.RecreateReport{UID: "uid-" + name, Phase: phase})
			}
		}
		return n
	}
	var q queue
	h := recordHandler(&q)
	before := record([]string{"same", "changes", "goes", "begins"}, map[string]v1beta1.ContainerRecreateRequestPhase{"same": "Pending", "changes": "Pending", "goes": "Completed"})
	now := record([]string{"same", "changes", "begins", "new"}, map[string]v1beta1.ContainerRecreateRequestPhase{"same": "Pending", "changes": "Recreating", "begins": "Pending"})
	h.OnUpdate(before, now)
	if diff := cmp.Diff(queue{"changes", "begins", "goes"}, q); diff != "" {
		t.Errorf("looked at after a change (-want +got):\n%s", diff)
	}
	q = nil
	h.OnAdd(now, true)
	if diff := cmp.Diff(queue{"same", "changes", "begins"}, q); diff != "" {
		t.Errorf("looked at at the start (-want +got):\n%s", diff)
	}
	q = nil
	h.OnDelete(now)
	if diff := cmp.Diff(queue{"same", "changes", "begins", "new"}, q); diff != "" {
		t.Errorf("looked at when it is gone (-want +got):\n%s", diff)
	}
}
