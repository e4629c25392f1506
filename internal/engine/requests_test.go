package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// requestsOf are the requests of a step that can be carried out.
func requestsOf(t *testing.T, s plan.Step) []Request {
	t.Helper()
	requests, err := Requests(setOwner(), &s)
	if err != nil {
		t.Fatal(err)
	}
	return requests
}

// bodies are what they send.
func bodies(t *testing.T, s plan.Step) (bodies []string) {
	t.Helper()
	for _, r := range requestsOf(t, s) {
		bodies = append(bodies, string(r.Body))
	}
	return bodies
}

// story tells requests one per line: call, place and what is sent.
func story(requests []Request) string {
	text := ""
	for _, r := range requests {
		text += fmt.Sprintf("%s %s", r.Call, r.Resource.Resource)
		if r.Subresource != "" {
			text += "/" + r.Subresource
		}
		text += " " + r.Namespace + "/" + r.Name
		if r.Call == Delete {
			text += " that is " + r.UID + r.Version
		}
		text += "\n" + strings.NewReplacer(`[{"op":`, "  ", `},{"op":`, "\n  ", `"path":`, "", `"value":`, "").Replace(strings.TrimSuffix(string(r.Body), "}]")) + "\n"
	}
	return strings.ReplaceAll(text, "\n\n", "\n")
}

func TestRequests_aDrainComesFirstAndTestsWhatTheUpdateTests(t *testing.T) {
	got := story(requestsOf(t, plan.Step{Verb: plan.UpdateInPlace, Unit: unit("a"), Change: plan.Change{
		Images:        []plan.ImageChange{{Container: "web", From: "web:1", To: "web:2"}},
		Labels:        []plan.LabelChange{{Key: "rev", From: "1", To: "2"}, {Key: "new", Absent: true, To: "x"}, {Key: "old", From: "y", Remove: true}},
		Annotations:   []plan.AnnotationChange{{Key: "state", Absent: true, To: "{}"}},
		NoAnnotations: true,
		Conditions: []plan.ConditionChange{
			{Type: "InPlaceUpdateReady", Index: 3, Status: "False", Reason: "StartInPlaceUpdate", Since: "now"},
			{Type: "Ready", Index: 1, Status: "False", From: "fine", Reason: "R"},
		},
		Finalizers: &plan.FinalizerChange{To: []string{"a/b"}},
	}}))
	want := `patch pods/status ns/a
  "test","/metadata/uid","uid-a"
  "test","/spec/containers/0/name","web"
  "test","/spec/containers/0/image","web:1"
  "test","/metadata/labels/rev","1"
  "test","/metadata/labels/new",null
  "test","/metadata/labels/old","y"
  "test","/metadata/annotations",null
  "test","/status/conditions/3/type","InPlaceUpdateReady"
  "test","/status/conditions/1/type","Ready"
  "test","/status/conditions/1/message","fine"
  "test","/metadata/finalizers",null
  "add","/status/conditions/3/status","False"
  "add","/status/conditions/3/reason","StartInPlaceUpdate"
  "add","/status/conditions/3/message",""
  "add","/status/conditions/3/lastTransitionTime","now"
  "add","/status/conditions/1/status","False"
  "add","/status/conditions/1/reason","R"
  "add","/status/conditions/1/message",""
patch pods ns/a
  "test","/metadata/uid","uid-a"
  "test","/spec/containers/0/name","web"
  "test","/spec/containers/0/image","web:1"
  "test","/metadata/labels/rev","1"
  "test","/metadata/labels/new",null
  "test","/metadata/labels/old","y"
  "test","/metadata/annotations",null
  "test","/status/conditions/3/type","InPlaceUpdateReady"
  "test","/status/conditions/3/status","False"
  "test","/status/conditions/1/type","Ready"
  "test","/status/conditions/1/status","False"
  "test","/metadata/finalizers",null
  "replace","/spec/containers/0/image","web:2"
  "add","/metadata/labels/rev","2"
  "add","/metadata/labels/new","x"
  "remove","/metadata/labels/old",null
  "add","/metadata/annotations",{"state":"{}"}
  "add","/metadata/finalizers",["a/b"]
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRequests_ofEachVerb(t *testing.T) {
	absent := func(kind string) plan.ConditionChange {
		return plan.ConditionChange{Type: kind, Status: "True", Since: "now", Absent: true, Version: "7"}
	}
	owners := &plan.OwnerChange{From: []byte(`[{"uid":"x"}]`), To: []byte(`[{"uid":"x"},{"uid":"y"}]`)}
	for name, tc := range map[string]struct {
		step plan.Step
		want string
	}{
		"a drain alone": {plan.Step{Verb: plan.UpdateInPlace, Change: plan.Change{Conditions: []plan.ConditionChange{{Type: "C", Status: "False"}}}}, `patch pods/status ns/a
  "test","/metadata/uid","uid-a"
  "test","/status/conditions/0/type","C"
  "add","/status/conditions/0/status","False"
  "add","/status/conditions/0/reason",""
  "add","/status/conditions/0/message",""
`},
		"a state is one request": {plan.Step{Verb: plan.SetState, Change: plan.Change{
			Labels:     []plan.LabelChange{{Key: "state", From: "Updating", To: "Normal"}},
			Conditions: []plan.ConditionChange{absent("InPlaceUpdateReady"), absent("KruisePodReady")},
		}}, `patch pods/status ns/a
  "test","/metadata/uid","uid-a"
  "test","/metadata/labels/state","Updating"
  "test","/metadata/resourceVersion","7"
  "add","/metadata/labels/state","Normal"
  "add","/status/conditions/-",{"lastTransitionTime":"now","message":"","reason":"","status":"True","type":"InPlaceUpdateReady"}
  "add","/status/conditions/-",{"lastTransitionTime":"now","message":"","reason":"","status":"True","type":"KruisePodReady"}
`},
		"an adoption": {plan.Step{Verb: plan.AdoptPod, Change: plan.Change{Owners: owners, Labels: []plan.LabelChange{{Key: "id", Absent: true, To: "b"}}}}, `patch pods ns/a
  "test","/metadata/uid","uid-a"
  "test","/metadata/labels/id",null
  "test","/metadata/ownerReferences",[{"uid":"x"}]
  "add","/metadata/labels/id","b"
  "add","/metadata/ownerReferences",[{"uid":"x"},{"uid":"y"}]
`},
		"a release of the last owner": {plan.Step{Verb: plan.ReleasePod, Change: plan.Change{Owners: &plan.OwnerChange{From: owners.From}}}, `patch pods ns/a
  "test","/metadata/uid","uid-a"
  "test","/metadata/ownerReferences",[{"uid":"x"}]
  "remove","/metadata/ownerReferences",null
`},
		"a claim that is kept": {plan.Step{Verb: plan.KeepClaim, Change: plan.Change{Owners: &plan.OwnerChange{To: owners.To}}}, `patch persistentvolumeclaims ns/a
  "test","/metadata/uid","uid-a"
  "test","/metadata/ownerReferences",null
  "add","/metadata/ownerReferences",[{"uid":"x"},{"uid":"y"}]
`},
		"a claim that is not": {plan.Step{Verb: plan.DeleteClaim}, "delete persistentvolumeclaims ns/a that is uid-a\n"},
		"a pod and its claims": {plan.Step{Verb: plan.DeletePod, Claims: []plan.Unit{unit("data-a"), unit("log-a")}},
			"delete pods ns/a that is uid-a\ndelete persistentvolumeclaims ns/data-a that is uid-data-a\ndelete persistentvolumeclaims ns/log-a that is uid-log-a\n"},
		"a new pod": {plan.Step{Verb: plan.CreatePod, Create: &plan.Creation{Pod: []byte(`{"p":1}`), Claims: []plan.NewClaim{{Name: "data-a", Object: []byte(`{"c":1}`)}}}},
			"create persistentvolumeclaims ns/data-a\n{\"c\":1}\ncreate pods ns/a\n{\"p\":1}\n"},
		"the owner": {plan.Step{Verb: plan.UpdateOwner, Change: plan.Change{Spec: []plan.SpecChange{
			{Path: "/scaleStrategy/podsToDelete", From: []byte(`["a","b"]`), To: []byte(`["b"]`)},
			{Path: "/scaleStrategy/none", From: []byte(`["a"]`)},
		}}}, `patch tests ns/a
  "test","/metadata/uid","uid-a"
  "test","/spec/scaleStrategy/podsToDelete",["a","b"]
  "test","/spec/scaleStrategy/none",["a"]
  "add","/spec/scaleStrategy/podsToDelete",["b"]
  "remove","/spec/scaleStrategy/none",null
`},
	} {
		t.Run(name, func(t *testing.T) {
			tc.step.Unit = unit("a")
			if diff := cmp.Diff(tc.want, story(requestsOf(t, tc.step))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRequests_nothingIsLeftOutInSilence: a step that asks for more than its verb does, or lacks what it needs, is an error.
func TestRequests_nothingIsLeftOutInSilence(t *testing.T) {
	image := []plan.ImageChange{{Container: "web"}}
	for want, s := range map[string]plan.Step{
		`verb "Explode" is not known`:                             {Verb: "Explode"},
		"this verb does not write images":                         {Verb: plan.SetState, Change: plan.Change{Images: image}},
		"this verb does not write spec":                           {Verb: plan.UpdateInPlace, Change: plan.Change{Spec: []plan.SpecChange{{}}}},
		"this verb does not write conditions":                     {Verb: plan.ResetContainer, Change: plan.Change{Conditions: []plan.ConditionChange{{}}}},
		"this verb does not write finalizers":                     {Verb: plan.AdoptPod, Change: plan.Change{Finalizers: &plan.FinalizerChange{}}},
		"this verb does not write labels":                         {Verb: plan.DeletePod, Change: plan.Change{Labels: []plan.LabelChange{{}}}},
		"there is no condition":                                   {Verb: plan.SetCondition},
		"there is nothing to write":                               {Verb: plan.SetState},
		"there are no owners":                                     {Verb: plan.ReleasePod},
		"there is no pod to create":                               {Verb: plan.CreatePod, Create: &plan.Creation{}},
		"what is deleted must have a UID":                         {Verb: plan.DeletePod, Claims: []plan.Unit{{Name: "data"}}},
		"label a is to be removed, and is not there":              {Verb: plan.SetState, Change: plan.Change{Labels: []plan.LabelChange{{Key: "a", Absent: true, Remove: true}}}},
		"annotation a is to be removed, and need not be there":    {Verb: plan.SetState, Change: plan.Change{Annotations: []plan.AnnotationChange{{Key: "a", Unchecked: true, Remove: true}}}},
		"annotation b is to be removed, and there is none at all": {Verb: plan.SetState, Change: plan.Change{NoAnnotations: true, Annotations: []plan.AnnotationChange{{Key: "b", From: "x", Remove: true}}}},
	} {
		s.Unit = unit("a")
		if _, err := Requests(setOwner(), &s); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
