package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// TestRequests_aResizeThatRestartsComesBetweenDrainAndUpdate: an amount that is there, one that is not, and a list that is not.
func TestRequests_aResizeThatRestartsComesBetweenDrainAndUpdate(t *testing.T) {
	got := story(requestsOf(t, plan.Step{Verb: plan.UpdateInPlace, Unit: unit("a"), Change: plan.Change{
		Images:      []plan.ImageChange{{Container: "c", Index: 1, Init: true, From: "c:1", To: "c:2"}},
		Annotations: []plan.AnnotationChange{{Key: "a/b", From: "old", To: "new"}},
		Conditions:  []plan.ConditionChange{{Type: "InPlaceUpdateReady", Index: 3, Status: "False"}},
		Resources: []plan.ResourceChange{
			{Container: "c", Index: 1, Init: true, List: "requests", Resource: "cpu", From: "100m", To: "200m"},
			{Container: "c", Index: 1, Init: true, List: "requests", Resource: "memory", To: "1Gi"},
			{Container: "c", Index: 1, Init: true, List: "limits", Resource: "cpu", To: "1", NoList: true},
			{Container: "c", Index: 1, Init: true, List: "limits", Resource: "memory", To: "2Gi", NoList: true, Restarts: true},
		},
	}}))
	const before = `  "test","/metadata/uid","uid-a"
  "test","/spec/initContainers/1/name","c"
  "test","/spec/initContainers/1/image","c:1"
`
	const sizes = `  "test","/spec/initContainers/1/name","c"
  "test","/spec/initContainers/1/resources/requests/cpu","100m"
  "test","/spec/initContainers/1/name","c"
  "test","/spec/initContainers/1/resources/requests/memory",null
  "test","/spec/initContainers/1/name","c"
  "test","/spec/initContainers/1/resources/limits",null
  "test","/spec/initContainers/1/name","c"
`
	const annotation = `  "test","/metadata/annotations/a~1b","old"
`
	const drained = `  "test","/status/conditions/3/type","InPlaceUpdateReady"
  "test","/status/conditions/3/status","False"
`
	want := "patch pods/status ns/a\n" + before + sizes + annotation + `  "test","/status/conditions/3/type","InPlaceUpdateReady"
  "add","/status/conditions/3/status","False"
  "add","/status/conditions/3/reason",""
  "add","/status/conditions/3/message",""
patch pods/resize ns/a
` + before + sizes + annotation + drained + `  "add","/spec/initContainers/1/resources/requests/cpu","200m"
  "add","/spec/initContainers/1/resources/requests/memory","1Gi"
  "add","/spec/initContainers/1/resources/limits",{"cpu":"1","memory":"2Gi"}
patch pods ns/a
` + before + annotation + drained + `  "replace","/spec/initContainers/1/image","c:2"
  "add","/metadata/annotations/a~1b","new"
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRequests_aResizeComesFirst: what is refused there leaves the Pod in service.
func TestRequests_aResizeComesFirst(t *testing.T) {
	got := story(requestsOf(t, plan.Step{Verb: plan.UpdateInPlace, Unit: unit("a"), Change: plan.Change{
		Images:     []plan.ImageChange{{Container: "c", From: "c:1", To: "c:2"}},
		Conditions: []plan.ConditionChange{{Type: "InPlaceUpdateReady", Index: 3, Status: "False"}},
		Resources:  []plan.ResourceChange{{Container: "c", List: "requests", Resource: "cpu", From: "100m", To: "200m"}},
	}}))
	const image = `  "test","/spec/containers/0/name","c"
  "test","/spec/containers/0/image","c:1"
`
	want := `patch pods/resize ns/a
  "test","/metadata/uid","uid-a"
` + image + `  "test","/spec/containers/0/name","c"
  "test","/spec/containers/0/resources/requests/cpu","100m"
  "test","/status/conditions/3/type","InPlaceUpdateReady"
  "add","/spec/containers/0/resources/requests/cpu","200m"
patch pods/status ns/a
  "test","/metadata/uid","uid-a"
` + image + `  "test","/status/conditions/3/type","InPlaceUpdateReady"
  "add","/status/conditions/3/status","False"
  "add","/status/conditions/3/reason",""
  "add","/status/conditions/3/message",""
patch pods ns/a
  "test","/metadata/uid","uid-a"
` + image + `  "test","/status/conditions/3/type","InPlaceUpdateReady"
  "test","/status/conditions/3/status","False"
  "replace","/spec/containers/0/image","c:2"
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDo_noResizeServed: an API server that was replaced by an older one has no pods/resize. The Pod is there all the same.
func TestDo_noResizeServed(t *testing.T) {
	h := NewHands(&script{answers: map[string]error{"resize of p00": apierrors.NewNotFound(corev1.Resource("pods"), "p00")}}, 2, time.Now)
	p := steps(1)
	p.Steps[0].Change.Resources = []plan.ResourceChange{{Container: "c", List: "requests", Resource: "cpu", From: "1", To: "2"}}
	did, err := h.Do(t.Context(), owner(), p)
	if err != nil || len(did.Done) > 0 || !did.LookAgain {
		t.Errorf("Do: %+v, %v", did, err)
	}
	marks := h.Marks(owner(), plan.UpdateInPlace, func(plan.Unit) (string, bool) { return "7", true })
	for _, m := range marks {
		if m.Left {
			t.Errorf("the pod counts as gone: %+v", m)
		}
	}
}
