package probe

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

type values = map[string]string

// marks is a probe that gives labels in one state.
func marks(name, container string, labels ...values) v1beta1.PodContainerProbe {
	p := exec(name, container, "")
	for i, l := range labels {
		p.MarkerPolicy = append(p.MarkerPolicy, v1beta1.ProbeMarkerPolicy{State: []v1beta1.ProbeState{v1beta1.ProbeSucceeded, v1beta1.ProbeFailed}[i], Labels: l})
	}
	return p
}

func TestRivals(t *testing.T) {
	costs := func(name, value string) v1beta1.PodContainerProbe {
		p := exec(name, "game", "")
		p.MarkerPolicy = []v1beta1.ProbeMarkerPolicy{{State: v1beta1.ProbeFailed, Annotations: values{"cost": value}}}
		return p
	}
	for name, tc := range map[string]struct {
		old, young []v1beta1.PodContainerProbe
		want       []string // of the younger one
	}{
		"another value":                 {old: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"})}, young: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "yes"})}, want: []string{"label idle of old"}},
		"the same value":                {old: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"})}, young: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"})}},
		"the same two values":           {old: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"}, values{"idle": "false"})}, young: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"}, values{"idle": "false"})}, want: []string{"label idle of old"}},
		"one of two values":             {old: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"}, values{"idle": "false"})}, young: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"})}, want: []string{"label idle of old"}},
		"another key":                   {old: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"})}, young: []v1beta1.PodContainerProbe{marks("a", "game", values{"busy": "false"})}},
		"an annotation":                 {old: []v1beta1.PodContainerProbe{costs("a", "1")}, young: []v1beta1.PodContainerProbe{costs("b", "2")}, want: []string{"annotation cost of old"}},
		"a label and an annotation":     {old: []v1beta1.PodContainerProbe{marks("a", "game", values{"cost": "1"})}, young: []v1beta1.PodContainerProbe{costs("b", "2")}},
		"the older one does not run":    {old: []v1beta1.PodContainerProbe{marks("a", "other", values{"idle": "true"})}, young: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "yes"})}},
		"the younger one does not run":  {old: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"})}, young: []v1beta1.PodContainerProbe{marks("a", "other", values{"idle": "yes"})}},
		"two of one marker are in turn": {young: []v1beta1.PodContainerProbe{marks("a", "game", values{"idle": "true"}), marks("b", "game", values{"idle": "yes"})}},
	} {
		t.Run(name, func(t *testing.T) {
			pod, markers := game(), []*Marker{marker(t, "young", 0, tc.young...), marker(t, "old", time.Hour, tc.old...)}
			Sort(markers)
			wants := Wanted(&pod, markers, false)
			var got []string
			for i := range wants {
				for _, r := range Rivals(wants, i) {
					if wants[i].Marker.Name != "young" {
						t.Errorf("the older one has a rival: %+v", r)
					}
					got = append(got, fmt.Sprintf("%s %s of %s", r.What, r.Key, r.Older.Name))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("rivals (-want +got):\n%s", diff)
			}
		})
	}
}
