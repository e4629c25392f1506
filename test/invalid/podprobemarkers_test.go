package invalid_test

import (
	"strings"
	"testing"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/podprobemarker"
	"github.com/outrigger-project/outrigger/test/invalid"
)

func validatePodProbeMarker(t *testing.T, c invalid.Case) []string {
	t.Helper()
	marker, old := &v1beta1.PodProbeMarker{}, (*v1beta1.PodProbeMarker)(nil)
	decode(t, c.Manifest, marker)
	if c.Old != nil {
		old = &v1beta1.PodProbeMarker{}
		decode(t, c.Old, old)
	}
	var others []*v1beta1.PodProbeMarker
	for _, data := range c.Others {
		other := &v1beta1.PodProbeMarker{}
		decode(t, data, other)
		others = append(others, other)
	}
	return texts(podprobemarker.Validate(marker, old, others))
}

// TestPodProbeMarkers_validateKnowsTheRulesOfTheSchema: where there is no schema, Validate alone says what is wrong, but
// for the types of fields.
func TestPodProbeMarkers_validateKnowsTheRulesOfTheSchema(t *testing.T) {
	for _, c := range all(t, invalid.PodProbeMarkers()) {
		if text := strings.Join(c.Want, "\n"); strings.Contains(text, "unknown field") || strings.Contains(text, "must be of type") {
			continue
		}
		if errs := validatePodProbeMarker(t, c); len(errs) == 0 {
			t.Errorf("%s: Validate finds nothing; the schema says %q", c.Name, c.Want)
		}
	}
}

// TestPodProbeMarkers_otherPodsMayHaveTheSameType: two markers are in conflict only where they may select the same Pods, and one
// that is there already keeps what it has.
func TestPodProbeMarkers_otherPodsMayHaveTheSameType(t *testing.T) {
	marker, other := &v1beta1.PodProbeMarker{}, &v1beta1.PodProbeMarker{}
	decode(t, invalid.PodProbeMarkers().Valid("v1beta1"), marker)
	decode(t, invalid.PodProbeMarkers().Valid("v1beta1"), other)
	other.Name = "other"
	others := []*v1beta1.PodProbeMarker{marker, other}
	if errs := podprobemarker.Validate(marker, marker, others); len(errs) > 0 {
		t.Errorf("one that is there is not left alone: %v", errs)
	}
	other.Spec.Selector.MatchLabels["app"] = "shop"
	if errs := podprobemarker.Validate(marker, nil, others); len(errs) > 0 {
		t.Errorf("selectors that exclude each other: %v", errs)
	}
}
