package testkit

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Cache is what an informer has of an API: it may lag behind. It is not safe for concurrent use.
type Cache struct {
	api     *API
	waiting []Event
	pods    map[string]*corev1.Pod
	// Trim is the informer's transform.
	Trim func(any) (any, error)
	// Handle is called for every event, after the cache contains it.
	Handle func(old, now *corev1.Pod)
	// ListKey is the annotation by which Carrying finds Pods: a comma-joined list of names.
	ListKey string
}

// NewCache returns a cache that has not seen anything yet.
func NewCache(api *API) *Cache {
	return &Cache{api: api, pods: map[string]*corev1.Pod{}}
}

// Deliver brings the next n events, all for a negative n, and returns how many there were.
func (c *Cache) Deliver(n int) int {
	events := c.Fetch(n)
	for _, e := range events {
		c.Apply(e)
	}
	return len(events)
}

// Fetch returns the next n events, all for a negative n, with copies of the Pods. They are to be applied in order.
func (c *Cache) Fetch(n int) []Event {
	c.waiting = append(c.waiting, c.api.Events()...)
	if n < 0 || n > len(c.waiting) {
		n = len(c.waiting)
	}
	events := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	for i := range events {
		events[i].New = events[i].New.DeepCopy()
	}
	return events
}

// Apply brings an event that was fetched.
func (c *Cache) Apply(e Event) {
	old := c.pods[e.Key()]
	if e.New == nil {
		delete(c.pods, e.Key())
		c.handle(old, nil)
		return
	}
	now := e.New
	if c.Trim != nil {
		trimmed, err := c.Trim(now)
		if err != nil {
			panic(err)
		}
		now = trimmed.(*corev1.Pod)
	}
	c.pods[e.Key()] = now
	c.handle(old, now)
}

func (c *Cache) handle(old, now *corev1.Pod) {
	if c.Handle != nil && (old != nil || now != nil) {
		c.Handle(old, now)
	}
}

// Pod returns a Pod by namespace/name, or nil.
func (c *Cache) Pod(key string) *corev1.Pod { return c.pods[key] }

// Carrying returns the keys of the Pods whose list has the name, sorted.
func (c *Cache) Carrying(name string) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(c.pods)) {
		if slices.Contains(strings.Split(c.pods[key].Annotations[c.ListKey], ","), name) {
			keys = append(keys, key)
		}
	}
	return keys
}
