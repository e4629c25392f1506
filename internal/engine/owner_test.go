package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// TestRequests_theOwnerItself: its labels and finalizers are changed as they were seen, and it is deleted by its UID.
func TestRequests_theOwnerItself(t *testing.T) {
	u := unit("a")
	got := story(requestsOf(t, plan.Step{Verb: plan.UpdateOwner, Unit: u, Change: plan.Change{
		Labels:     []plan.LabelChange{{Key: "active", From: "true", Remove: true}},
		Finalizers: &plan.FinalizerChange{From: []string{"a/b", "c/d"}, To: []string{"c/d"}},
	}})) + story(requestsOf(t, plan.Step{Verb: plan.DeleteOwner, Unit: u}))
	name := setOwner().Resource.Resource + " " + u.Namespace + "/" + u.Name
	want := "patch " + name + `
  "test","/metadata/uid","` + u.UID + `"
  "test","/metadata/labels/active","true"
  "test","/metadata/finalizers",["a/b","c/d"]
  "remove","/metadata/labels/active",null
  "add","/metadata/finalizers",["c/d"]
delete ` + name + " that is " + u.UID + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := Requests(setOwner(), &plan.Step{Verb: plan.DeleteOwner, Unit: plan.Unit{Name: "a"}}); err == nil {
		t.Error("an owner without a UID is deleted")
	}
}

// TestPatch_anEmptyMessageIsTestedWhereOthersWriteOne: what somebody else has added meanwhile is not overwritten.
func TestPatch_anEmptyMessageIsTestedWhereOthersWriteOne(t *testing.T) {
	condition := plan.ConditionChange{Type: "KruisePodReady", Status: "False", Reason: "R", Message: "[1]", Index: 2, Exactly: true}
	got := story(requestsOf(t, plan.Step{Verb: plan.SetState, Unit: unit("a"), Change: plan.Change{Conditions: []plan.ConditionChange{condition}}}))
	want := `patch pods/status ` + unit("a").String() + `
  "test","/metadata/uid","` + unit("a").UID + `"
  "test","/status/conditions/2/type","KruisePodReady"
  "test","/status/conditions/2/message",null
  "add","/status/conditions/2/status","False"
  "add","/status/conditions/2/reason","R"
  "add","/status/conditions/2/message","[1]"
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReport_testsTheVersion: a status that somebody else writes too is written to what was observed only.
func TestReport_testsTheVersion(t *testing.T) {
	s := &statuses{}
	r := NewReporter[progress](s, testkit.Start)
	o := Owner{Kind: "Test", Name: "a", UID: "u-1", Version: "7"}
	if wait, err := r.Report(t.Context(), o, progress{1}, progress{2}, true); err != nil || wait != 0 {
		t.Fatal(wait, err)
	}
	const want = `[{"op":"test","path":"/metadata/uid","value":"u-1"},{"op":"test","path":"/metadata/resourceVersion","value":"7"},` +
		`{"op":"add","path":"/status","value":{"done":2}}]`
	if len(s.got) != 1 || s.got[0] != want {
		t.Errorf("it sends %s, want %s", s.got, want)
	}
	s.answer = testkit.DoesNotApply(errors.New("a test failed"))
	if wait, err := r.Report(t.Context(), o, progress{1}, progress{2}, true); err != nil || wait < time.Millisecond {
		t.Errorf("after a lost race it comes again after %s, %v", wait, err)
	}
}
