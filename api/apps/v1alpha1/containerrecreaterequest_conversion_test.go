package v1alpha1

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/randfill"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Each case is an object that was stored or sent as v1alpha1, and what v1beta1 makes of it.
func TestContainerRecreateRequestConversion_annotationsBecomeStatus(t *testing.T) {
	const snapshot, acquired = "crr.apps.kruise.io/sync-container-statuses", "crr.apps.kruise.io/unready-acquired"
	tests := map[string]struct {
		annotations, left map[string]string
		status, want      string
	}{
		"OpenKruise's": {
			annotations: map[string]string{snapshot: `[{"name":"a","ready":true,"restartCount":2,"containerID":"containerd://2"}]`, acquired: "2030-01-01T00:00:00Z", "mine": "x"},
			left:        map[string]string{"mine": "x"}, status: `{"phase":"Recreating"}`,
			want: `{"phase":"Recreating","containerStatusSnapshot":[{"name":"a","ready":true,"restartCount":2,"containerID":"containerd://2"}],` +
				`"conditions":[{"type":"PreRecreateGrace","status":"True","lastTransitionTime":"2030-01-01T00:00:00Z","reason":"Acquired","message":""}]}`,
		},
		"the status counts": {
			annotations: map[string]string{snapshot: `[{"name":"b"}]`, acquired: "2031-01-01T00:00:00Z"},
			status: `{"containerStatusSnapshot":[{"name":"a","ready":true,"restartCount":2,"containerID":"containerd://2"}],` +
				`"conditions":[{"type":"PreRecreateGrace","status":"True","lastTransitionTime":"2030-01-01T00:00:00Z","reason":"Acquired","message":""}]}`,
			want: `{"containerStatusSnapshot":[{"name":"a","ready":true,"restartCount":2,"containerID":"containerd://2"}],` +
				`"conditions":[{"type":"PreRecreateGrace","status":"True","lastTransitionTime":"2030-01-01T00:00:00Z","reason":"Acquired","message":""}]}`,
		},
		"what cannot be read stays": {
			annotations: map[string]string{snapshot: "words", acquired: "yesterday"},
			left:        map[string]string{snapshot: "words", acquired: "yesterday"}, status: `{}`, want: `{}`,
		},
		"nothing": {annotations: map[string]string{snapshot: "[]"}, left: map[string]string{snapshot: "[]"}, status: `{}`, want: `{}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spoke, hub := &ContainerRecreateRequest{}, &v1beta1.ContainerRecreateRequest{}
			spoke.Annotations = test.annotations
			read(t, test.status, &spoke.Status)
			if err := spoke.ConvertTo(hub); err != nil {
				t.Fatal(err)
			}
			var want v1beta1.ContainerRecreateRequestStatus
			read(t, test.want, &want)
			if diff := cmp.Diff(asJSON(t, want), asJSON(t, hub.Status)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.left, hub.Annotations); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzContainerRecreateRequestRoundTrip converts made-up objects there and back. What v1alpha1 says more than once is made
// by the conversion, so its way begins at v1beta1, too.
func FuzzContainerRecreateRequestRoundTrip(f *testing.F) {
	for seed := range int64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		fill := filler(seed).Funcs(func(r *v1beta1.ContainerRecreateRequest, c randfill.Continue) {
			c.FillNoCustom(r)
			r.ManagedFields = nil
			if c.Bool() {
				meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{Type: v1beta1.ContainerRecreateRequestPreRecreateGrace, Status: metav1.ConditionTrue, Reason: "Acquired"})
			}
		})
		hub, spoke, back := &v1beta1.ContainerRecreateRequest{}, &ContainerRecreateRequest{}, &v1beta1.ContainerRecreateRequest{}
		fill.Fill(hub)
		before := hub.DeepCopy()
		if err := spoke.ConvertFrom(hub); err != nil {
			t.Fatal(err)
		}
		beforeSpoke := spoke.DeepCopy()
		if err := spoke.ConvertTo(back); err != nil {
			t.Fatal(err)
		}
		expectEqual(t, "v1beta1", before, back)
		expectEqual(t, "input", before, hub)
		expectEqual(t, "input", beforeSpoke, spoke)
		again := &ContainerRecreateRequest{}
		if err := again.ConvertFrom(back); err != nil {
			t.Fatal(err)
		}
		expectEqual(t, "v1alpha1", beforeSpoke, again)
	})
}
