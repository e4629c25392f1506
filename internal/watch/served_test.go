package watch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// server is an API server's discovery.
type server struct {
	discovery.ServerResourcesInterface

	serves []string
	err    error
}

func (s server) ServerResourcesForGroupVersion(version string) (*metav1.APIResourceList, error) {
	list := &metav1.APIResourceList{GroupVersion: version}
	for _, name := range s.serves {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
	}
	return list, s.err
}

func TestServed(t *testing.T) {
	v := schema.GroupVersion{Group: "apps.kruise.io", Version: "v1beta1"}
	for name, tc := range map[string]struct {
		server server
		want   []string
		fails  bool
	}{
		"some":                    {server: server{serves: []string{"a", "b"}}, want: []string{"a", "b"}},
		"not even the version":    {server: server{err: apierrors.NewNotFound(schema.GroupResource{}, "")}},
		"it does not know itself": {server: server{err: apierrors.NewInternalError(errors.New("boom"))}, fails: true},
	} {
		got, err := served(tc.server, v)
		if diff := cmp.Diff(tc.want, got); diff != "" || (err != nil) != tc.fails {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestPart_lacks(t *testing.T) {
	forbidden := errors.New("forbidden")
	for name, c := range map[string]struct {
		also error
		want []string
	}{"nothing": {}, "something else": {forbidden, []string{"forbidden"}}} {
		part := Part{Needs: []string{"a"}, Also: func() error { return c.also }}
		if diff := cmp.Diff(c.want, part.lacks([]string{"a"}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestStarter_startsEachPartOnceWhenItLacksNothing: whatever the API server says in between.
func TestStarter_startsEachPartOnceWhenItLacksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		part := func(name string, needs ...string) Part {
			return Part{name, needs, nil, func() error { events = append(events, name); return nil }}
		}
		answers := [][]string{{"a"}, {"a"}, nil, {"c", "a"}, {"a", "b", "c"}}
		s := &starter{
			log:   funcr.New(func(_, text string) { events = append(events, text) }, funcr.Options{}),
			every: time.Minute, left: []Part{part("A", "a"), part("AB", "a", "b"), part("C", "c")},
			ask: func() ([]string, error) {
				var answer []string
				answer, answers = answers[0], answers[1:]
				if answer == nil {
					return nil, errors.New("away")
				}
				return answer, nil
			},
		}
		if started, err := s.start([]string{"a"}); err != nil || len(started) != 1 || !slices.Equal(s.left[0].lacks([]string{"a"}), []string{"b"}) {
			t.Errorf("at first %v are started, %v; left %v", started, err, s.left)
		}
		begin := time.Now()
		if err := s.Start(t.Context()); err != nil {
			t.Error(err)
		}
		got := strings.Join(events, "\n")
		want := `A
C
"level"=0 "msg"="started: what was missing is there now" "what"="C"
AB
"level"=0 "msg"="started: what was missing is there now" "what"="AB"`
		if diff := cmp.Diff(want, got); diff != "" || len(answers) > 0 || time.Since(begin) < 5*time.Minute {
			t.Errorf("after %s, %d answers not asked for (-want +got):\n%s", time.Since(begin), len(answers), diff)
		}
	})
}

// TestStarter_ends with the manager, and when a part cannot be set up.
func TestStarter_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		s := &starter{
			log: funcr.New(func(string, string) {}, funcr.Options{}), every: time.Minute,
			left: []Part{{"A", []string{"a"}, nil, func() error { return broken }}}, ask: func() ([]string, error) { return nil, nil },
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := s.Start(ctx); err != nil || len(s.left) != 1 {
			t.Errorf("Start() = %v, left %v", err, s.left)
		}
		s.ask = func() ([]string, error) { return []string{"a"}, nil }
		if err := s.Start(t.Context()); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "start A: ") {
			t.Errorf("Start() = %v", err)
		}
	})
}
