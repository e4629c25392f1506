package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// TestDo_adoptsForAnOwnerThatLives: an owner that the cache still shows may be gone, and the Pod with it.
func TestDo_adoptsForAnOwnerThatLives(t *testing.T) {
	owner := Owner{Resource: schema.GroupVersionResource{Group: "apps.kruise.io", Version: "v1beta1", Resource: "clonesets"}, Kind: "CloneSet", Namespace: "default", Name: "web", UID: "1"}
	for name, c := range map[string]struct {
		uid     types.UID
		leaving bool
		want    string
	}{
		"it lives":            {uid: "1"},
		"it is another one":   {uid: "2", want: "CloneSet web is gone or being deleted"},
		"it is being deleted": {uid: "1", leaving: true, want: "CloneSet web is gone or being deleted"},
		"it is gone":          {want: "may adopt pods"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := testkit.Carrier("orphan")
			api := testkit.NewAPI(pod)
			if c.uid != "" {
				object := &unstructured.Unstructured{}
				object.SetNamespace(owner.Namespace)
				object.SetName(owner.Name)
				object.SetUID(c.uid)
				if c.leaving {
					object.SetDeletionTimestamp(&metav1.Time{Time: testkit.Start()})
				}
				api.PutOwner(owner.Resource, object)
			}
			step := plan.Step{
				Verb: plan.AdoptPod, Unit: plan.Unit{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)},
				Change: plan.Change{Owners: &plan.OwnerChange{To: []byte(`[{"apiVersion":"apps.kruise.io/v1beta1","kind":"CloneSet","name":"web","uid":"1"}]`)}},
			}
			_, err := NewHands(api, 1, func() time.Time { return testkit.Start() }).Do(context.Background(), owner, plan.Plan{Steps: []plan.Step{step, step}})
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
			if got := len(api.Pods()[0].OwnerReferences) > 0; got != (c.want == "") {
				t.Errorf("the pod is adopted: %v", got)
			}
			if looks := api.Calls().LookAtOwner; looks != 1 {
				t.Errorf("%d looks", looks)
			}
		})
	}
}

// TestDo_deletesNoClaimOfAPodThatIsThere: the caches of claims and of Pods are two, and one may be behind the other.
func TestDo_deletesNoClaimOfAPodThatIsThere(t *testing.T) {
	owner := Owner{Resource: schema.GroupVersionResource{Group: "apps.kruise.io", Version: "v1beta1", Resource: "clonesets"}, Kind: "CloneSet", Namespace: "default", Name: "web", UID: "1"}
	for name, there := range map[string]bool{"it is there": true, "it is gone": false} {
		t.Run(name, func(t *testing.T) {
			pod := testkit.Carrier("web-1")
			api := testkit.NewAPI(pod)
			h := NewHands(api, 1, func() time.Time { return testkit.Start() })
			step := plan.Step{
				Verb: plan.DeleteClaim, Unit: plan.Unit{Namespace: pod.Namespace, Name: "data-web-1", UID: "c"},
				Unless: plan.Unit{Namespace: pod.Namespace, Name: pod.Name},
			}
			if !there {
				step.Unless.Name = "web-2"
			}
			did, err := h.Do(context.Background(), owner, plan.Plan{Steps: []plan.Step{step}})
			if err != nil {
				t.Fatal(err)
			}
			marks := h.Marks(owner, plan.DeleteClaim, func(plan.Unit) (string, bool) { return "1", true })
			switch deleted := api.Calls().DeleteClaim; {
			case there && (deleted != 0 || len(did.Refused) != 1 || len(marks) != 1 || marks[0].Refused == ""):
				t.Errorf("%d deletions, refused %+v, marks %+v", deleted, did.Refused, marks)
			case !there && deleted != 1:
				t.Errorf("%d deletions", deleted)
			}
		})
	}
}
