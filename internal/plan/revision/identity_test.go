package revision_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	kjson "sigs.k8s.io/json"
)

// A merge patch, such as the garbage collector's for --cascade=orphan, has the API server read the data and write it
// anew, and refuse the patch when that makes it another one.
func TestIdentity_dataIsAsTheAPIServerWritesIt(t *testing.T) {
	workload := identityOf(t, template(t, `{metadata: {labels: {b: "<1>", a: x}}, spec: {newField: {z: 9007199254740993, a: 1}, containers: [{name: web, image: "web:1"}]}}`))
	for kind, data := range map[string][]byte{"workload": workload.Data} {
		var read any
		if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &read); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(data), string(again)); diff != "" {
			t.Errorf("%s: data (-ours +the API server's):\n%s", kind, diff)
		}
	}
}
