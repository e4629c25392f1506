package webhook

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// TestAdmitted_holdsPodsUntilTheSetIsSeen sends one Pod while a set that selects app=a is awaited. Time is
// virtual.
func TestAdmitted_holdsPodsUntilTheSetIsSeen(t *testing.T) {
	set := func(uid string, generation int64) *v1beta1.SidecarSet {
		return &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: types.UID(uid), Generation: generation}}
	}
	tests := map[string]struct {
		// events happen 10 ms apart, from 10 ms on.
		events  []*v1beta1.SidecarSet
		labels  string
		want    time.Duration
		refused bool
	}{
		"seen":                {events: []*v1beta1.SidecarSet{set("1", 2)}, labels: `{"app":"a"}`, want: 10 * time.Millisecond},
		"seen later already":  {events: []*v1beta1.SidecarSet{set("1", 3)}, labels: `{"app":"a"}`, want: 10 * time.Millisecond},
		"an older one first":  {events: []*v1beta1.SidecarSet{set("1", 1), set("1", 2)}, labels: `{"app":"a"}`, want: 20 * time.Millisecond},
		"made anew meanwhile": {events: []*v1beta1.SidecarSet{set("2", 1)}, labels: `{"app":"a"}`, want: 10 * time.Millisecond},
		"never":               {labels: `{"app":"a"}`, want: patience, refused: true},
		"other labels":        {labels: `{"app":"b"}`},
		"no labels":           {labels: `null`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := NewAdmitted()
				a.Expect(set("1", 2), selecting(t, "a").Scope)
				go func() {
					for _, event := range test.events {
						time.Sleep(10 * time.Millisecond)
						a.Seen(event)
					}
				}()
				body := `{"request":{"object":{"metadata":{"labels":` + test.labels + `}}}}`
				passed := ""
				h := a.Hold(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					data, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					passed = string(data)
				}))
				start := time.Now()
				answer := httptest.NewRecorder()
				h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, PodPath, strings.NewReader(body)))
				if got := time.Since(start); got != test.want || (passed == body) == test.refused {
					t.Errorf("held for %s, want %s; passed on %s", got, test.want, passed)
				}
				if refused := answer.Code == http.StatusServiceUnavailable; refused != test.refused {
					t.Errorf("answered with %d, refused should be %t", answer.Code, test.refused)
				}
			})
		})
	}
}
