package env

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Watcher looks at Pods through a watch of its own and knows nothing of the product: what it counts comes from
// Pod specs and statuses alone. After every event it takes the whole count again; when the watch was cut off, after
// it has seen all Pods anew.
type Watcher struct {
	sidecar Sidecar
	synced  chan struct{}

	mu   sync.Mutex
	pods map[string]seen
	// image is the one that counts as updated.
	image string
	now   Count
	peak  Count
	// changed are the Pods whose spec was changed since Expect, in order.
	changed []string
	// wrongs are broken promises, first ones first.
	wrongs []string
	limits Limits
}

// Sidecar says which containers of a Pod are the SidecarSet's.
type Sidecar struct {
	// Name is the container's, or that of a pair NAME-1 and NAME-2.
	Name string
	// Empty is the image of the idle one of a pair. Empty: there is no pair but one container.
	Empty string
}

// writes is how many patches one upgrade of a Pod takes: a hot one starts the new container, then empties the old one.
func (s Sidecar) writes() int64 {
	if s.Empty != "" {
		return 2
	}
	return 1
}

func (s Sidecar) has(container string) bool {
	return container == s.Name || s.Empty != "" && (container == s.Name+"-1" || container == s.Name+"-2")
}

// Count is what one look at all Pods gives.
type Count struct {
	Pods int
	// Ready counts Pods whose Ready condition is True.
	Ready int
	// Unavailable counts Pods that are not Ready, or whose sidecar does not run what its spec says, or whose pair is
	// in the middle of a hot upgrade.
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
	images      []string // the sidecar's in the spec, without the empty one
	ready, busy bool
	serves      bool  // a container of the sidecar runs an image that is not the empty one, and may keep it
	generation  int64 // of the Pod's spec: one more with every change of it
	expected    int64 // its generation at Expect
	otherStarts int32
}

// Watch counts the Pods of a namespace with a label until ctx ends; container is the sidecar's name.
func (e *Env) Watch(ctx context.Context, namespace, selector, container string) (*Watcher, error) {
	return e.WatchSidecar(ctx, namespace, selector, Sidecar{Name: container})
}

// WatchSidecar is Watch for sidecars that may be pairs. Of a pair it also promises that from the first time on that
// one of its containers serves there always is one, whatever happens.
func (e *Env) WatchSidecar(ctx context.Context, namespace, selector string, sidecar Sidecar) (*Watcher, error) {
	w := newWatcher(sidecar)
	lw := cache.NewFilteredListWatchFromClient(e.Client.CoreV1().RESTClient(), "pods", namespace,
		func(o *metav1.ListOptions) { o.LabelSelector = selector })
	go cache.NewReflector(lw, &corev1.Pod{}, (*store)(w), 0).RunWithContext(ctx)
	select {
	case <-w.synced:
		return w, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("watch pods of %s: %w", namespace, ctx.Err())
	}
}

func newWatcher(sidecar Sidecar) *Watcher {
	return &Watcher{sidecar: sidecar, synced: make(chan struct{}), pods: map[string]seen{}, limits: Limits{-1, -1}}
}

// Expect sets the image that counts as updated and the promises from here on, and forgets the peak.
func (w *Watcher) Expect(image string, limits Limits) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.image, w.limits = image, limits
	for name, p := range w.pods {
		p.expected = p.generation
		w.pods[name] = p
	}
	w.peak, w.changed = Count{}, nil
	w.count("start")
}

// Allow sets other promises from here on, and goes on counting.
func (w *Watcher) Allow(limits Limits) { w.mu.Lock(); defer w.mu.Unlock(); w.limits = limits }

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

// Changed returns the Pods whose spec was changed since Expect, in the order in which that happened.
func (w *Watcher) Changed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.changed...)
}

// Writes returns the fewest and the most changes that the spec of one Pod has had since Expect.
func (w *Watcher) Writes() (least, most int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	least = math.MaxInt64
	for _, p := range w.pods {
		least, most = min(least, p.generation-p.expected), max(most, p.generation-p.expected)
	}
	return least, most
}

// put takes a new look at a Pod and holds it against the last one.
func (w *Watcher) put(pod *corev1.Pod) {
	old, known := w.pods[pod.Name]
	p := w.look(pod)
	if known && old.uid == p.uid {
		p.expected = old.expected
		if p.generation > old.generation {
			w.changed = append(w.changed, pod.Name)
		}
		if n := p.generation - p.expected; n > w.sidecar.writes() {
			w.wrong("%s: its spec was changed %d times", pod.Name, n)
		}
		if p.otherStarts > old.otherStarts {
			w.wrong("%s: a container that is not %s restarted", pod.Name, w.sidecar.Name)
		}
		if w.sidecar.Empty != "" && old.serves && !p.serves {
			w.wrong("%s: neither container of %s serves", pod.Name, w.sidecar.Name)
		}
	}
	w.pods[pod.Name] = p
}

func (w *Watcher) look(pod *corev1.Pod) seen {
	p := seen{uid: string(pod.UID), generation: pod.Generation, expected: pod.Generation}
	for _, c := range pod.Status.Conditions {
		p.ready = p.ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}
	serving := map[string]string{} // by container, the image of those that are ready
	for _, s := range pod.Status.ContainerStatuses {
		if !w.sidecar.has(s.Name) {
			p.otherStarts += s.RestartCount
		} else if s.Ready {
			serving[s.Name] = s.Image
		}
	}
	w.lookAtSidecar(&p, pod.Spec.Containers, serving)
	return p
}

func (w *Watcher) lookAtSidecar(p *seen, containers []corev1.Container, serving map[string]string) {
	for _, c := range containers {
		if !w.sidecar.has(c.Name) {
			continue
		}
		done := serving[c.Name] == c.Image
		p.busy = p.busy || !done
		if c.Image != w.sidecar.Empty {
			p.images = append(p.images, c.Image)
			p.serves = p.serves || done
		}
	}
	p.busy = p.busy || len(p.images) != 1 // none: not injected; two: in the middle of a hot upgrade
}

// store is the Watcher as its reflector sees it.
type store Watcher

func (s *store) Add(o any) error { return s.Update(o) }

func (s *store) Update(o any) error {
	pod, w := o.(*corev1.Pod), (*Watcher)(s)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put(pod)
	w.count(pod.Name)
	return nil
}

func (s *store) Delete(o any) error {
	pod, w := o.(*corev1.Pod), (*Watcher)(s)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pods, pod.Name)
	w.count(pod.Name)
	return nil
}

// Replace is called first, and when the watch was cut off: what was between is not known, but how often a spec was
// changed is told by its generation.
func (s *store) Replace(list []any, _ string) error {
	w := (*Watcher)(s)
	w.mu.Lock()
	defer w.mu.Unlock()
	there := make(map[string]bool, len(list))
	for _, o := range list {
		pod := o.(*corev1.Pod)
		there[pod.Name] = true
		w.put(pod)
	}
	maps.DeleteFunc(w.pods, func(name string, _ seen) bool { return !there[name] })
	w.count("the look at all of them")
	select {
	case <-w.synced:
	default:
		close(w.synced)
	}
	return nil
}

func (s *store) Resync() error { return nil }

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
		if slices.Contains(p.images, w.image) {
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
