package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// TestAdmitted_neverMissesASetThatWasAdmitted sends one Pod while generation 2 of a set that selects it is awaited.
// Time is virtual.
func TestAdmitted_neverMissesASetThatWasAdmitted(t *testing.T) {
	version := func(uid string, generation int64) *v1beta1.SidecarSet {
		set := setOf("agent", nil)
		set.UID, set.Generation = types.UID(uid), generation
		return set
	}
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "sidecarsets"}, "agent")
	tests := map[string]struct {
		// events reach the Pod webhook 10 ms apart, from 10 ms on.
		events []*v1beta1.SidecarSet
		// live is what the API server answers.
		live     *v1beta1.SidecarSet
		liveErr  error
		labels   string
		wantHeld time.Duration
		wantCode int
		want     bool // injected
	}{
		"the watch shows it":             {events: []*v1beta1.SidecarSet{version("1", 2)}, wantHeld: 10 * time.Millisecond, want: true},
		"the watch shows a later one":    {events: []*v1beta1.SidecarSet{version("1", 3)}, wantHeld: 10 * time.Millisecond, want: true},
		"an older one first":             {events: []*v1beta1.SidecarSet{version("1", 1), version("1", 2)}, wantHeld: 20 * time.Millisecond, want: true},
		"made anew meanwhile":            {events: []*v1beta1.SidecarSet{version("2", 1)}, wantHeld: 10 * time.Millisecond, want: true},
		"the watch is late":              {live: version("1", 2), wantHeld: watchDelay, want: true},
		"it was refused after us":        {liveErr: missing, wantHeld: watchDelay},
		"the API server does not answer": {liveErr: errors.New("no route"), wantHeld: watchDelay, wantCode: http.StatusServiceUnavailable},
		"other labels":                   {labels: `{"app":"db"}`},
		"no labels":                      {labels: `null`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pods := &PodHandler{}
				a := NewAdmitted(func(context.Context, string) (*v1beta1.SidecarSet, error) { return test.live, test.liveErr })
				awaited := version("1", 2)
				s, err := scope.Of(&awaited.Spec)
				if err != nil {
					t.Fatal(err)
				}
				a.Expect(awaited, s)
				go func() {
					for _, event := range test.events {
						time.Sleep(10 * time.Millisecond)
						put(t, pods, event)
						a.Seen(event)
					}
				}()
				pod := webPod
				if test.labels != "" {
					pod = strings.Replace(pod, `{"app":"web"}`, test.labels, 1)
				}
				start, answer := time.Now(), httptest.NewRecorder()
				a.Hold(pods).ServeHTTP(answer, httptest.NewRequest(http.MethodPost, PodPath, strings.NewReader(string(review("CREATE", "shop", []byte(pod))))))
				if held := time.Since(start); held != test.wantHeld {
					t.Errorf("held for %s, want %s", held, test.wantHeld)
				}
				if want := max(test.wantCode, http.StatusOK); answer.Code != want {
					t.Errorf("answered with %d, want %d", answer.Code, want)
				}
				if got := strings.Contains(answer.Body.String(), `"patch":`); got != test.want {
					t.Errorf("injected = %t, want %t: %s", got, test.want, answer.Body)
				}
			})
		})
	}
}

// TestAdmitted_takesTheFreshVersion: what the API server has takes the place of what the watch has shown so far.
func TestAdmitted_takesTheFreshVersion(t *testing.T) {
	old, fresh := setOf("agent", nil), setOf("agent", nil)
	fresh.Generation, fresh.Spec.Containers[0].Image = 2, "i:2"
	pods := podHandler(t, old)
	a := NewAdmitted(func(context.Context, string) (*v1beta1.SidecarSet, error) { return fresh, nil })
	s, err := scope.Of(&fresh.Spec)
	if err != nil {
		t.Fatal(err)
	}
	a.Expect(fresh, s)
	answer := httptest.NewRecorder()
	a.Hold(pods).ServeHTTP(answer, httptest.NewRequest(http.MethodPost, PodPath, strings.NewReader(string(review("CREATE", "shop", []byte(webPod))))))
	var reviewed admissionv1.AdmissionReview
	if err := json.Unmarshal(answer.Body.Bytes(), &reviewed); err != nil {
		t.Fatal(err)
	}
	patch := string(reviewed.Response.Patch)
	if !strings.Contains(patch, `"i:2"`) || strings.Contains(patch, `"i:1"`) {
		t.Errorf("the patch is %s", patch)
	}
}
