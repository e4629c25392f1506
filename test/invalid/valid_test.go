package invalid_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/internal/webhook"
	"github.com/outrigger-project/outrigger/test/invalid"
)

// valid_<kind>.yaml says what the rules must leave alone, at both doors and in both versions.
func TestValid_somethingOfEverythingIsAccepted(t *testing.T) {
	for version, door := range schemaDoors(t, "sidecarsets") {
		c := invalid.Case{Version: version, Manifest: mutated(t, rich(t, version, "valid_sidecarset.yaml"))}
		for _, e := range append(door.review(t, c.Manifest, nil), validate(t, invalid.SidecarSets(), c)...) {
			t.Errorf("SidecarSet of %s: %s", version, e)
		}
	}
	for version, door := range schemaDoors(t, "clonesets") {
		c := invalid.Case{Version: version, Manifest: rich(t, version, "valid_cloneset_"+version+".yaml")}
		for _, e := range append(door.review(t, c.Manifest, nil), validate(t, invalid.CloneSets(), c)...) {
			t.Errorf("CloneSet of %s: %s", version, e)
		}
	}
	for version, door := range schemaDoors(t, "podprobemarkers") {
		c := invalid.Case{Version: version, Manifest: rich(t, version, "valid_podprobemarker.yaml")}
		for _, e := range append(door.review(t, c.Manifest, nil), validate(t, invalid.PodProbeMarkers(), c)...) {
			t.Errorf("PodProbeMarker of %s: %s", version, e)
		}
		defaulted, _ := door.decode(t, c.Manifest)
		probes, _, _ := unstructured.NestedSlice(defaulted.Object, "spec", "probes")
		if scheme, _, _ := unstructured.NestedString(probes[1].(map[string]any), "probe", "httpGet", "scheme"); scheme != "HTTP" {
			t.Errorf("PodProbeMarker of %s: scheme %q, want HTTP", version, scheme)
		}
	}
	for version, door := range schemaDoors(t, "containerrecreaterequests") {
		c := invalid.Case{Version: version, Manifest: rich(t, version, "valid_containerrecreaterequest.yaml")}
		for _, e := range append(door.review(t, c.Manifest, nil), validate(t, invalid.ContainerRecreateRequests(), c)...) {
			t.Errorf("ContainerRecreateRequest of %s: %s", version, e)
		}
	}
}

// With the manager stopped nobody makes text of a number with a fraction; then the schema says what it takes.
func TestValid_fractionsNeedTheMutatingWebhook(t *testing.T) {
	for version, door := range schemaDoors(t, "sidecarsets") {
		got := strings.Join(door.review(t, rich(t, version, "valid_sidecarset.yaml"), nil), "\n")
		want := `].resources.limits.cpu in body must be of type integer,string: "number"`
		if !strings.Contains(got, want) {
			t.Errorf("%s: the answer is\n%s\nwant\n%s in it", version, got, want)
		}
	}
}

func rich(t *testing.T, version, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := yaml.YAMLToJSON(append([]byte("apiVersion: apps.kruise.io/"+version+"\n"), data...))
	if err != nil {
		t.Fatal(err)
	}
	return manifest
}

// mutated is what the mutating webhook makes of a SidecarSet.
func mutated(t *testing.T, manifest []byte) []byte {
	t.Helper()
	answer := webhook.StampSidecarSets().(*admission.Webhook).Handle(t.Context(), admission.Request{
		AdmissionRequest: admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: manifest}},
	})
	if !answer.Allowed {
		t.Fatal(answer.Result)
	}
	operations, err := json.Marshal(answer.Patches)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(operations)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := patch.Apply(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
