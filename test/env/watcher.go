package env

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Watcher looks at Pods through a watch of its own and knows nothing of the product: what it counts comes from
// Pod specs and statuses alone. After every event it takes the whole count again.
type Watcher struct {
	container, image string

	mu   sync.Mutex
	pods map[string]seen
	now  Count
	peak Count
	// changed are the Pods whose image was changed since Expect, in order.
	changed []string
	// wrongs are broken promises, first ones first.
	wrongs []string
	limits Limits
}

// Count is what one look at all Pods gives.
type Count struct {
	Pods int
	// Ready counts Pods whose Ready condition is True.
	Ready int
	// Unavailable counts Pods that are not Ready or whose container does not run what its spec says.
	Unavailable int
	// Updated counts Pods whose spec has the awaited image.
	Updated int
	// Done counts updated Pods that are not unavailable.
	Done int
}

// Limits are promises that are checked at every event. A negative one is not checked.
type Limits struct{ Unavailable, Updated int }

type seen struct {
	uid         string
	image       string
	ready, busy bool
	changes     int // of the container's image in the spec
	otherStarts int32
}

// Watch counts the Pods of a namespace with a label until ctx ends; container is the sidecar's name.
func (e *Env) Watch(ctx context.Context, namespace, selector, container string) (*Watcher, error) {
	w := &Watcher{container: container, pods: map[string]seen{}, limits: Limits{-1, -1}}
	lw := cache.NewFilteredListWatchFromClient(e.Client.CoreV1().RESTClient(), "pods", namespace,
		func(o *metav1.ListOptions) { o.LabelSelector = selector })
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: lw, ObjectType: &corev1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { w.put(o.(*corev1.Pod)) },
			UpdateFunc: func(_, o any) { w.put(o.(*corev1.Pod)) },
			DeleteFunc: w.remove,
		},
	})
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, fmt.Errorf("watch pods of %s: %w", namespace, ctx.Err())
	}
	return w, nil
}

// Expect sets the image that counts as updated and the promises from here on, and forgets the peak.
func (w *Watcher) Expect(image string, limits Limits) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.image, w.limits = image, limits
	for name, p := range w.pods {
		p.changes = 0
		w.pods[name] = p
	}
	w.peak, w.changed = Count{}, nil
	w.count("start")
}

// Now returns the present count.
func (w *Watcher) Now() Count { w.mu.Lock(); defer w.mu.Unlock(); return w.now }

// Peak returns the largest value of each number since Expect.
func (w *Watcher) Peak() Count { w.mu.Lock(); defer w.mu.Unlock(); return w.peak }

// Wrongs returns the promises that were broken.
func (w *Watcher) Wrongs() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.wrongs...)
}

// Changed returns the Pods whose image was changed since Expect, in the order in which that happened.
func (w *Watcher) Changed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.changed...)
}

// MostChanges returns how often the image of one Pod was changed at most since Expect.
func (w *Watcher) MostChanges() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	most := 0
	for _, p := range w.pods {
		most = max(most, p.changes)
	}
	return most
}

func (w *Watcher) put(pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old, known := w.pods[pod.Name]
	p := w.look(pod)
	if known && old.uid == p.uid {
		p.changes = old.changes
		if old.image != p.image {
			p.changes++
			w.changed = append(w.changed, pod.Name)
		}
		if p.changes > 1 {
			w.wrong("%s: its image was changed %d times", pod.Name, p.changes)
		}
		if p.otherStarts > old.otherStarts {
			w.wrong("%s: a container that is not %s restarted", pod.Name, w.container)
		}
	}
	w.pods[pod.Name] = p
	w.count(pod.Name)
}

func (w *Watcher) look(pod *corev1.Pod) seen {
	p := seen{uid: string(pod.UID)}
	for _, c := range pod.Spec.Containers {
		if c.Name == w.container {
			p.image = c.Image
		}
	}
	for _, c := range pod.Status.Conditions {
		p.ready = p.ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}
	p.busy = true
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == w.container {
			p.busy = s.Image != p.image || !s.Ready
		} else {
			p.otherStarts += s.RestartCount
		}
	}
	return p
}

func (w *Watcher) remove(o any) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pods, pod.Name)
	w.count(pod.Name)
}

func (w *Watcher) count(cause string) {
	c := Count{Pods: len(w.pods)}
	for _, p := range w.pods {
		unavailable := !p.ready || p.busy
		if p.ready {
			c.Ready++
		}
		if unavailable {
			c.Unavailable++
		}
		if p.image == w.image {
			c.Updated++
			if !unavailable {
				c.Done++
			}
		}
	}
	w.now = c
	w.peak = Count{
		Pods: max(w.peak.Pods, c.Pods), Ready: max(w.peak.Ready, c.Ready), Unavailable: max(w.peak.Unavailable, c.Unavailable),
		Updated: max(w.peak.Updated, c.Updated), Done: max(w.peak.Done, c.Done),
	}
	if w.limits.Unavailable >= 0 && c.Unavailable > w.limits.Unavailable {
		w.wrong("%d pods are unavailable, more than %d (after an event of %s)", c.Unavailable, w.limits.Unavailable, cause)
	}
	if w.limits.Updated >= 0 && c.Updated > w.limits.Updated {
		w.wrong("%d pods are updated, more than %d (after an event of %s)", c.Updated, w.limits.Updated, cause)
	}
}

func (w *Watcher) wrong(format string, args ...any) {
	if len(w.wrongs) < 20 {
		w.wrongs = append(w.wrongs, fmt.Sprintf(format, args...))
	}
}
