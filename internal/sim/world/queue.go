package world

import "time"

// event is something that will happen.
type event struct {
	at   time.Duration
	seq  int
	what func()
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap of events: the next one is the first. (container/heap would allocate for every event.)
type queue []event

func (q *queue) push(e event) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if h[parent].before(&h[i]) {
			return
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
}

func (q *queue) pop() event {
	h := *q
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	*q = h
	for i := 0; ; {
		least := 2*i + 1
		if least >= last {
			return first
		}
		if right := least + 1; right < last && h[right].before(&h[least]) {
			least = right
		}
		if h[i].before(&h[least]) {
			return first
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
