package testkit

import (
	"maps"
	"slices"
)

// Cache is what an informer has of an API: it may lag behind, and keeps of every Pod a P, to which Trim turns it.
// It is not safe for concurrent use.
type Cache[P any] struct {
	// Trim is the informer's transform.
	Trim func(any) (any, error)
	// Handle is called for every event, after the cache contains it: without old for a new Pod, without now for
	// one that is gone.
	Handle func(old, now *P)
	// Lists returns the names by which Carrying finds a Pod.
	Lists func(*P) []string

	api     *API
	waiting []Event
	pods    map[string]*P
}

// NewCache returns a cache that has not seen anything yet.
func NewCache[P any](api *API) *Cache[P] {
	return &Cache[P]{api: api, pods: map[string]*P{}}
}

// Deliver brings the next n events, all for a negative n, and returns how many there were.
func (c *Cache[P]) Deliver(n int) int {
	events := c.Fetch(n)
	for _, e := range events {
		c.Apply(e)
	}
	return len(events)
}

// Fetch returns the next n events, all for a negative n, with copies of the Pods. They are to be applied in order.
func (c *Cache[P]) Fetch(n int) []Event {
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
func (c *Cache[P]) Apply(e Event) {
	old := c.pods[e.Key()]
	if e.New == nil {
		delete(c.pods, e.Key())
		c.handle(old, nil)
		return
	}
	trimmed, err := c.Trim(e.New)
	if err != nil {
		panic(err)
	}
	now := trimmed.(*P)
	c.pods[e.Key()] = now
	c.handle(old, now)
}

func (c *Cache[P]) handle(old, now *P) {
	if c.Handle != nil && (old != nil || now != nil) {
		c.Handle(old, now)
	}
}

// Pod returns a Pod by namespace/name, or nil.
func (c *Cache[P]) Pod(key string) *P { return c.pods[key] }

// Carrying returns the keys of the Pods whose list has the name, sorted.
func (c *Cache[P]) Carrying(name string) []string {
	return c.Keys(func(p *P) bool { return slices.Contains(c.Lists(p), name) })
}

// Keys returns the keys of the Pods that something is true of, sorted.
func (c *Cache[P]) Keys(is func(*P) bool) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(c.pods)) {
		if is(c.pods[key]) {
			keys = append(keys, key)
		}
	}
	return keys
}
