package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/internal/testkit"
)

type progress struct {
	Done int `json:"done"`
}

// statuses takes statuses, or answers with an error.
type statuses struct {
	got    []string
	answer error
}

func (s *statuses) Patch(_ context.Context, _ schema.GroupVersionResource, _, _, _ string, patch []byte) (string, error) {
	if s.answer != nil {
		return "", s.answer
	}
	s.got = append(s.got, string(patch))
	return "100", nil
}

func TestReport_writesOnChangeAndAtMostOncePerSecond(t *testing.T) {
	now := testkit.Start()
	s := &statuses{}
	r := NewReporter[progress](s, func() time.Time { return now })
	o := Owner{Kind: "Test", Name: "a", UID: "u-1"}
	report := func(have, want int, urgent bool) time.Duration {
		t.Helper()
		wait, err := r.Report(t.Context(), o, progress{have}, progress{want}, urgent)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	if report(0, 0, false); len(s.got) != 0 {
		t.Error("wrote a status that did not change")
	}
	if report(0, 1, false); len(s.got) != 1 || s.got[0] != `[{"op":"test","path":"/metadata/uid","value":"u-1"},{"op":"add","path":"/status","value":{"done":1}}]` {
		t.Errorf("wrote %q", s.got)
	}
	now = now.Add(300 * time.Millisecond)
	if wait := report(1, 2, false); wait != 700*time.Millisecond || len(s.got) != 1 {
		t.Errorf("waits %s after %d writes", wait, len(s.got))
	}
	if report(1, 2, true); len(s.got) != 2 {
		t.Error("an urgent status waited")
	}
	now = now.Add(time.Second)
	if report(2, 3, false); len(s.got) != 3 {
		t.Error("a status waited longer than a second")
	}
}

func TestReport_currentIsOursUntilTheCacheHasIt(t *testing.T) {
	r := NewReporter[progress](&statuses{}, testkit.Start)
	o := Owner{Kind: "Test", Name: "a", UID: "u-1"}
	if _, err := r.Report(t.Context(), o, progress{0}, progress{5}, false); err != nil {
		t.Fatal(err)
	}
	if got := r.Current(o, "99", progress{0}); got.Done != 5 {
		t.Errorf("the cache is behind: %v", got)
	}
	if got := r.Current(o, "100", progress{6}); got.Done != 6 {
		t.Errorf("the cache has it, and what came after: %v", got)
	}
	o.UID = "u-2"
	if got := r.Current(o, "99", progress{0}); got.Done != 0 {
		t.Errorf("another owner of the same name: %v", got)
	}
}

func TestReport_answers(t *testing.T) {
	sets := schema.GroupResource{Resource: "tests"}
	tests := map[string]struct {
		answer error
		fails  bool
	}{
		"gone":              {apierrors.NewNotFound(sets, "a"), false},
		"made anew":         {testkit.DoesNotApply(errors.New("test failed")), false},
		"conflict":          {apierrors.NewConflict(sets, "a", errors.New("x")), true},
		"forbidden":         {apierrors.NewForbidden(sets, "a", errors.New("x")), true},
		"connection lost":   {errors.New("EOF"), true},
		"too many requests": {apierrors.NewTooManyRequests("x", 3), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := NewReporter[progress](&statuses{answer: tc.answer}, testkit.Start)
			wait, err := r.Report(t.Context(), Owner{}, progress{0}, progress{1}, false)
			if (err != nil) != tc.fails {
				t.Errorf("error %v", err)
			}
			if err == nil && wait != StatusInterval {
				t.Errorf("looks again after %s, want %s", wait, StatusInterval)
			}
			if got := r.Current(Owner{}, "1", progress{0}); got.Done != 0 {
				t.Errorf("remembers a status that was not written: %v", got)
			}
		})
	}
}

func TestEvents_fitIntoWhatTheServerAccepts(t *testing.T) {
	long := make([]byte, 5000)
	for i := range long {
		long[i] = 'x'
	}
	var note string
	rec := recorder(func(text string) { note = text })
	Say(rec, Owner{}, RefusedPods([]Refusal{{Message: string(long)}}, "r-1"))
	if len(note) > 1024 || len(note) < 1000 {
		t.Errorf("a note of %d bytes", len(note))
	}
}

type recorder func(note string)

func (r recorder) Eventf(_, _ runtime.Object, _, _, _, note string, args ...any) {
	r(fmt.Sprintf(note, args...))
}
