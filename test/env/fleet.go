package env

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Fleet watches the Pods of a workload by a watch of its own, knows nothing of the product, and holds what it sees
// against promises, at every event.
type Fleet struct {
	synced chan struct{}

	mu       sync.Mutex
	pods     map[string]Member // by UID
	promises Promises
	wrongs   []string
	// Least and Most are the fewest ready and the most Pods since Promise.
	least, most int
}

// Member is a Pod of a Fleet.
type Member struct {
	Name, UID, IP, Node string
	Images              []string
	Labels              map[string]string
	Ready, Leaving      bool
	Restarts            int32
}

// Promises are what is checked at every event. A negative number is not.
type Promises struct {
	// Ready is how many Pods must be ready at least, Total how many there may be that are not being deleted.
	Ready, Total int
}

// WatchFleet watches the Pods of a namespace with a label until ctx ends.
func (e *Env) WatchFleet(ctx context.Context, namespace, selector string) (*Fleet, error) {
	f := &Fleet{synced: make(chan struct{}), pods: map[string]Member{}, promises: Promises{-1, -1}}
	lw := cache.NewFilteredListWatchFromClient(e.Client.CoreV1().RESTClient(), "pods", namespace,
		func(o *metav1.ListOptions) { o.LabelSelector = selector })
	go cache.NewReflector(lw, &corev1.Pod{}, (*fleetStore)(f), 0).RunWithContext(ctx)
	select {
	case <-f.synced:
		return f, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("watch pods of %s: %w", namespace, ctx.Err())
	}
}

// Promise sets the promises from here on.
func (f *Fleet) Promise(p Promises) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.promises = p
	f.least, f.most = len(f.pods), 0
	f.check("the promise")
}

// Members returns the Pods that are not being deleted, by name.
func (f *Fleet) Members() []Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(slices.Collect(maps.Values(f.pods)), func(m Member) bool { return m.Leaving })
	slices.SortFunc(list, func(a, b Member) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}

// Serving counts the Pods that are ready and have an image.
func (f *Fleet) Serving(image string) (n int) {
	for _, m := range f.Members() {
		if m.Ready && slices.Contains(m.Images, image) {
			n++
		}
	}
	return n
}

// Wrongs returns the promises that were broken, and Extremes the fewest ready and the most Pods since Promise.
func (f *Fleet) Wrongs() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.wrongs)
}

// Extremes returns the fewest ready and the most Pods since Promise.
func (f *Fleet) Extremes() (ready, total int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.least, f.most
}

// check counts after an event.
func (f *Fleet) check(cause string) {
	ready, total := 0, 0
	for _, m := range f.pods {
		if m.Ready {
			ready++
		}
		if !m.Leaving {
			total++
		}
	}
	f.least, f.most = min(f.least, ready), max(f.most, total)
	if f.promises.Ready >= 0 && ready < f.promises.Ready {
		f.wrong("%d pods are ready, fewer than %d (after an event of %s)", ready, f.promises.Ready, cause)
	}
	if f.promises.Total >= 0 && total > f.promises.Total {
		f.wrong("there are %d pods, more than %d (after an event of %s)", total, f.promises.Total, cause)
	}
}

func (f *Fleet) wrong(format string, args ...any) {
	if len(f.wrongs) < 20 {
		f.wrongs = append(f.wrongs, fmt.Sprintf(format, args...))
	}
}

// fleetStore is the Fleet as its reflector sees it.
type fleetStore Fleet

func (s *fleetStore) Add(o any) error { return s.Update(o) }

func (s *fleetStore) Update(o any) error {
	pod, f := o.(*corev1.Pod), (*Fleet)(s)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pods[string(pod.UID)] = member(pod)
	f.check(pod.Name)
	return nil
}

func (s *fleetStore) Delete(o any) error {
	pod, f := o.(*corev1.Pod), (*Fleet)(s)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pods, string(pod.UID))
	f.check(pod.Name)
	return nil
}

// Replace is called first, and when the watch was cut off.
func (s *fleetStore) Replace(list []any, _ string) error {
	f := (*Fleet)(s)
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.pods)
	for _, o := range list {
		pod := o.(*corev1.Pod)
		f.pods[string(pod.UID)] = member(pod)
	}
	f.check("the look at all of them")
	select {
	case <-f.synced:
	default:
		close(f.synced)
	}
	return nil
}

func (s *fleetStore) Resync() error { return nil }

func member(pod *corev1.Pod) Member {
	m := Member{
		Name: pod.Name, UID: string(pod.UID), IP: pod.Status.PodIP, Node: pod.Spec.NodeName, Labels: pod.Labels,
		Leaving: pod.DeletionTimestamp != nil,
	}
	for i := range pod.Spec.Containers {
		m.Images = append(m.Images, pod.Spec.Containers[i].Image)
	}
	for _, c := range pod.Status.Conditions {
		m.Ready = m.Ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && !m.Leaving
	}
	for _, c := range pod.Status.ContainerStatuses {
		m.Restarts += c.RestartCount
	}
	return m
}
