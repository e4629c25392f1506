package simkubelet

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/outrigger-project/outrigger/devcluster/internal/podlife"
)

// Events are a courtesy to whoever looks. They may never hold up the pods:
// eventsPerSecond at most are written, after a burst, and what does not fit
// into the queue is dropped.
const (
	eventQueue      = 500
	eventBurst      = 300
	eventsPerSecond = 30
)

// events writes the events of the kubelets, as far as there is time for it.
type events struct {
	client  kubernetes.Interface
	enabled bool
	queue   chan *corev1.Event
	limit   flowcontrol.RateLimiter
	serial  atomic.Uint64
	dropped atomic.Uint64
}

func newEvents(client kubernetes.Interface, enabled bool) *events {
	return &events{
		client: client, enabled: enabled, queue: make(chan *corev1.Event, eventQueue),
		limit: flowcontrol.NewTokenBucketRateLimiter(eventsPerSecond, eventBurst),
	}
}

// tell queues an event about a pod, or drops it.
func (e *events) tell(pod *corev1.Pod, told podlife.Event) {
	if !e.enabled {
		return
	}
	if len(e.queue) == cap(e.queue) { // spares making what would be dropped
		e.dropped.Add(1)
		return
	}
	now := time.Now()
	kind := corev1.EventTypeNormal
	if told.Warning {
		kind = corev1.EventTypeWarning
	}
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: pod.Namespace, Name: fmt.Sprintf("%s.%x-%x", pod.Name, now.UnixNano(), e.serial.Add(1))},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		Reason:         told.Reason, Message: told.Message, Type: kind,
		Source:         corev1.EventSource{Component: "kubelet", Host: pod.Spec.NodeName},
		FirstTimestamp: metav1.NewTime(now), LastTimestamp: metav1.NewTime(now), Count: 1,
		ReportingController: "kubelet", ReportingInstance: pod.Spec.NodeName,
	}
	select {
	case e.queue <- event:
	default:
		e.dropped.Add(1)
	}
}

// run writes queued events until ctx ends. A write that fails (the namespace
// is being deleted, say) drops the event.
func (e *events) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-e.queue:
			if e.limit.Wait(ctx) != nil {
				return
			}
			if _, err := e.client.CoreV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
				e.dropped.Add(1)
			}
		}
	}
}
