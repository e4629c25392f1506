package invalid_test

import (
	"os"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/test/invalid"
)

// valid.yaml says what the rules must leave alone, at both doors and in both versions.
func TestValid_somethingOfEverythingIsAccepted(t *testing.T) {
	data, err := os.ReadFile("valid.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for version, door := range schemaDoors(t) {
		manifest, err := yaml.YAMLToJSON(append([]byte("apiVersion: apps.kruise.io/"+version+"\n"), data...))
		if err != nil {
			t.Fatal(err)
		}
		c := invalid.Case{Version: version, Manifest: manifest}
		for _, e := range append(door.review(t, manifest, nil), validate(t, c)...) {
			t.Errorf("%s: %s", version, e)
		}
	}
}
