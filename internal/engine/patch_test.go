package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan"
)

func TestPatch_testsEverythingItWasMadeFrom(t *testing.T) {
	step := plan.Step{
		Verb: plan.UpdateInPlace,
		Unit: plan.Unit{Namespace: "ns", Name: "web-1", UID: "u-1"},
		Change: plan.Change{
			Images: []plan.ImageChange{{Container: "logtail", Index: 2, From: "logtail:1", To: "logtail:2"}},
			Annotations: []plan.AnnotationChange{
				{Key: "kruise.io/hash", From: `{"a":1}`, To: `{"a":2}`},
				{Key: "kruise.io/st~te", Absent: true, To: "new"},
				{Key: "any", Unchecked: true, To: "thing"},
			},
		},
	}
	got, err := Patch(step)
	if err != nil {
		t.Fatal(err)
	}
	want := `[
{"op":"test","path":"/metadata/uid","value":"u-1"},
{"op":"test","path":"/spec/containers/2/name","value":"logtail"},
{"op":"test","path":"/spec/containers/2/image","value":"logtail:1"},
{"op":"test","path":"/metadata/annotations/kruise.io~1hash","value":"{\"a\":1}"},
{"op":"test","path":"/metadata/annotations/kruise.io~1st~0te","value":null},
{"op":"replace","path":"/spec/containers/2/image","value":"logtail:2"},
{"op":"add","path":"/metadata/annotations/kruise.io~1hash","value":"{\"a\":2}"},
{"op":"add","path":"/metadata/annotations/kruise.io~1st~0te","value":"new"},
{"op":"add","path":"/metadata/annotations/any","value":"thing"}
]`
	if diff := cmp.Diff(strings.ReplaceAll(want, "\n", ""), string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPatch_unknownVerbIsAnError(t *testing.T) {
	if _, err := Patch(plan.Step{Verb: "Explode"}); err == nil {
		t.Error("no error")
	}
}
