package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/outrigger-project/outrigger/internal/plan"
)

func TestEvents_ofWorkloads(t *testing.T) {
	one, seven := steps(1).Steps, steps(7).Steps
	refused := []Refusal{{Step: one[0], Message: "no"}, {Step: one[0], Message: "neither"}}
	claim := []Refusal{{Step: plan.Step{Verb: plan.DeleteClaim, Unit: unit("data-a")}, Message: "no"}}
	var got []string
	for _, e := range []Event{
		SuccessfulCreate(one, "web-2"), SuccessfulCreate(seven, "web-2"), FailedCreate(refused, "web-2"),
		SuccessfulDelete(seven[:2]), FailedDelete(refused), FailedDelete(claim), ScaleUpLimited("2 more pods are wanted"),
		SuccessfulUpdatePodInPlace(one, "web-2"), FailedUpdatePodInPlace(refused[:1], "web-2"),
		SuccessfulUpdatePodReCreate(one, "web-2"), FailedUpdatePodReCreate(refused, "web-2"),
	} {
		got = append(got, e.Type+" "+e.Reason+" ("+e.Action+" "+e.Revision+"): "+e.Note)
	}
	want := []string{
		"Normal SuccessfulCreate (CreatePod web-2): created pod p00",
		"Normal SuccessfulCreate (CreatePod web-2): created 7 pods: p00, p01, p02, p03, p04 and 2 more",
		"Warning FailedCreate (CreatePod web-2): the API server refused to create 2 pods of web-2; ns/p00: no",
		"Normal SuccessfulDelete (DeletePod ): deleted 2 pods: p00, p01",
		"Warning FailedDelete (DeletePod ): the API server refused to delete 2 pods; ns/p00: no",
		"Warning FailedDelete (DeletePod ): the API server refused to delete 1 claim; ns/data-a: no",
		"Warning ScaleUpLimited (CreatePod ): 2 more pods are wanted",
		"Normal SuccessfulUpdatePodInPlace (UpdateInPlace web-2): updated pod p00 in place to web-2",
		"Warning FailedUpdatePodInPlace (UpdateInPlace web-2): the API server refused to update 1 pod in place to web-2; ns/p00: no",
		"Normal SuccessfulUpdatePodReCreate (DeletePod web-2): replaced pod p00 by new ones of web-2",
		"Warning FailedUpdatePodReCreate (DeletePod web-2): the API server refused to replace 2 pods by new ones of web-2; ns/p00: no",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// related is a recorder that notes what an event is related to.
type related struct{ to []runtime.Object }

func (r *related) Eventf(_, to runtime.Object, _, _, _, _ string, _ ...any) { r.to = append(r.to, to) }

func TestSay_anEventWithoutARevisionIsRelatedToNothing(t *testing.T) {
	var r related
	Say(&r, setOwner(), SuccessfulDelete(steps(1).Steps))
	Say(&r, setOwner(), SuccessfulCreate(steps(1).Steps, "web-2"))
	if len(r.to) != 2 || r.to[0] != nil || r.to[1] == nil {
		t.Errorf("related to %v", r.to)
	}
}
