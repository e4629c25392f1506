package nodeimage

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// TestPlan_aPullForAnotherJobIsAnAnswer: a second job asks for an image that is being pulled for the first. The agent ends
// that pull first, and is not taken for dead meanwhile; one that tells nothing is.
func TestPlan_aPullForAnotherJobIsAnAnswer(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(-d)} }
	first, second := int64(0), int64(1)
	ni := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u"}}
	ni.Spec.Images = map[string]v1beta1.NodeImageEntry{"docker.io/library/x": {Tags: []v1beta1.ImageTagSpec{{
		Tag: "1", Version: second, CreatedAt: before(2 * time.Minute),
		OwnerReferences: []v1beta1.ImageTagOwner{{Kind: "ImagePullJob", UID: "A", Version: &first}, {Kind: "ImagePullJob", UID: "B", Version: &second}},
	}}}}
	o := Observed{Node: &Node{Name: "n", Ready: true}, Image: ni, Owners: map[types.UID]Owner{"A": Working, "B": Working}, Now: now}
	tell := func(phase v1beta1.ImagePullPhase, since time.Duration) {
		ni.Status.ImageStatuses = map[string]v1beta1.ImageStatus{"docker.io/library/x": {Tags: []v1beta1.ImageTagStatus{{
			Tag: "1", Version: first, Phase: phase, StartTime: before(since),
		}}}}
	}
	tell(v1beta1.ImagePhasePulling, 3*time.Minute)
	if steps := Plan(o).Steps; len(steps) > 0 {
		t.Errorf("the pull goes on, and the plan is: %s", steps[0].Why)
	}
	tell(v1beta1.ImagePhasePulling, 48*time.Hour)
	if len(Plan(o).Steps) == 0 {
		t.Error("a pull that never ends is waited for")
	}
	tell(v1beta1.ImagePhaseSucceeded, 3*time.Minute)
	if len(Plan(o).Steps) == 0 {
		t.Error("an agent that does not answer the second job is waited for")
	}
}
