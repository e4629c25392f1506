package cri

import (
	"context"
	"errors"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

// looked is a runtime that answers what the test says.
type looked struct {
	containers []Container
	err        error
	calls      int
}

func (l *looked) Containers(context.Context) ([]Container, error) {
	l.calls++
	return l.containers, l.err
}

func TestView_tellsOfChangesOnly(t *testing.T) {
	runtime := &looked{containers: []Container{{ID: "1", PodUID: "u", Name: "app"}, {ID: "2", PodUID: "v", Name: "app"}}}
	view := newView(runtime, logr.Discard())
	if _, known := view.Containers("u"); known {
		t.Error("known before the first look")
	}
	told := map[string]int{}
	stop := view.Follow("u", func() { told["first"]++ })
	look := func() {
		if err := view.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	look()
	view.Follow("u", func() { told["second"]++ })
	look()
	runtime.containers[0].State = Exited
	look()
	runtime.containers = append(runtime.containers, Container{ID: "3", PodUID: "v"}) // nobody follows v
	look()
	if diff := cmp.Diff(map[string]int{"first": 2, "second": 2}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	runtime.err = errors.New("down")
	if err := view.Look(t.Context()); err == nil {
		t.Error("a runtime that is down is no error")
	}
	if got, known := view.Containers("u"); !known || len(got) != 1 || got[0].State != Exited {
		t.Errorf("what is known is lost while the runtime is down: %v, %t", got, known)
	}
	stop()
	runtime.err = nil
	runtime.containers = nil
	look()
	if told["first"] != 2 || told["second"] != 3 {
		t.Errorf("told after the end: %v", told)
	}
}

func TestView_forgetsWhatNobodyFollowed(t *testing.T) {
	runtime := &looked{}
	view := newView(runtime, logr.Discard())
	view.Follow("u", func() {})()
	if err := view.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	view.Follow("u", func() {})
	if _, known := view.Containers("u"); known {
		t.Error("an old look counts for a new follower")
	}
}
