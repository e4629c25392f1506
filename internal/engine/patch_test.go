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
	got := bodies(t, step)[0]
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
	if diff := cmp.Diff(strings.ReplaceAll(want, "\n", ""), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPatch_conditionIsWrittenWhereItWasSeen(t *testing.T) {
	condition := plan.ConditionChange{
		Type: "Upgradable", Status: "False", Reason: "R", Message: `{"a":false}`, Since: "2030-01-01T00:00:00Z",
	}
	seen, kept, absent := condition, condition, condition
	seen.Index, seen.From = 4, `{"a":true}`
	kept.Index, kept.Since = 2, ""
	absent.Absent, absent.Version = true, "1007"
	among := absent
	among.Among = []string{"Ready", "PodScheduled"}
	for name, tc := range map[string]struct {
		change plan.ConditionChange
		want   string
	}{
		"there": {seen, `[
{"op":"test","path":"/metadata/uid","value":"u-1"},
{"op":"test","path":"/status/conditions/4/type","value":"Upgradable"},
{"op":"test","path":"/status/conditions/4/message","value":"{\"a\":true}"},
{"op":"add","path":"/status/conditions/4/status","value":"False"},
{"op":"add","path":"/status/conditions/4/reason","value":"R"},
{"op":"add","path":"/status/conditions/4/message","value":"{\"a\":false}"},
{"op":"add","path":"/status/conditions/4/lastTransitionTime","value":"2030-01-01T00:00:00Z"}
]`},
		"there, no message, the same status": {kept, `[
{"op":"test","path":"/metadata/uid","value":"u-1"},
{"op":"test","path":"/status/conditions/2/type","value":"Upgradable"},
{"op":"add","path":"/status/conditions/2/status","value":"False"},
{"op":"add","path":"/status/conditions/2/reason","value":"R"},
{"op":"add","path":"/status/conditions/2/message","value":"{\"a\":false}"}
]`},
		"absent": {absent, `[
{"op":"test","path":"/metadata/uid","value":"u-1"},
{"op":"test","path":"/metadata/resourceVersion","value":"1007"},
{"op":"add","path":"/status/conditions/-","value":{"lastTransitionTime":"2030-01-01T00:00:00Z","message":"{\"a\":false}","reason":"R","status":"False","type":"Upgradable"}}
]`},
		"absent, among others that are known": {among, `[
{"op":"test","path":"/metadata/uid","value":"u-1"},
{"op":"test","path":"/status/conditions/0/type","value":"Ready"},
{"op":"test","path":"/status/conditions/1/type","value":"PodScheduled"},
{"op":"add","path":"/status/conditions/-","value":{}},
{"op":"test","path":"/status/conditions/2","value":{}},
{"op":"replace","path":"/status/conditions/2","value":{"lastTransitionTime":"2030-01-01T00:00:00Z","message":"{\"a\":false}","reason":"R","status":"False","type":"Upgradable"}}
]`},
	} {
		t.Run(name, func(t *testing.T) {
			got := bodies(t, plan.Step{Verb: plan.SetCondition, Unit: plan.Unit{UID: "u-1"}, Change: plan.Change{Conditions: []plan.ConditionChange{tc.change}}})[0]
			if diff := cmp.Diff(strings.ReplaceAll(tc.want, "\n", ""), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPatch_unknownVerbIsAnError(t *testing.T) {
	for _, verb := range []plan.Verb{"Explode", plan.SetCondition} { // the latter without a condition
		if _, err := Requests(owner(), &plan.Step{Verb: verb}); err == nil {
			t.Errorf("%s: no error", verb)
		}
	}
}
