package annotation_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"pgregory.net/rapid"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/annotation"
)

const (
	retain    = v1beta1.SidecarSetRetainPatchPolicy
	overwrite = v1beta1.SidecarSetOverwritePatchPolicy
	merge     = v1beta1.SidecarSetMergePatchJSONPatchPolicy
)

func prepare(t interface{ Fatal(...any) }, policy v1beta1.SidecarSetPatchPolicyType, value string) *annotation.Patch {
	all, err := annotation.Prepare([]v1beta1.SidecarSetPatchPodMetadata{{Annotations: map[string]string{"k": value}, PatchPolicy: policy}})
	if err != nil {
		t.Fatal(err)
	}
	return &all[0]
}

func TestApply(t *testing.T) {
	const none = "(none)"
	tests := map[string]struct {
		policy           v1beta1.SidecarSetPatchPolicyType
		given, now, want string
	}{
		"Retain, none":                         {retain, "a", none, "a"},
		"Retain is the default":                {"", "a", "b", "b"},
		"Retain, empty is a value":             {retain, "a", "", ""},
		"Overwrite, none":                      {overwrite, "a", none, "a"},
		"Overwrite":                            {overwrite, "a", "b", "a"},
		"Overwrite with nothing":               {overwrite, "", "b", ""},
		"merge, none: as it is":                {merge, `{"log-agent": 1}`, none, `{"log-agent": 1}`},
		"merge, empty":                         {merge, `{"log-agent": 1}`, "", `{"log-agent": 1}`},
		"merge, scenario row 34":               {merge, `{"log-agent": 1}`, `{"main":2}`, `{"log-agent":1,"main":2}`},
		"merge, nothing to change":             {merge, `{"a":1}`, `{ "b":2, "a":1 }`, `{ "b":2, "a":1 }`},
		"merge, null removes":                  {merge, `{"a":null}`, `{"a":1,"b":2}`, `{"b":2}`},
		"merge, null and none":                 {merge, `{"a":null,"b":{"c":null,"d":1}}`, none, `{"b":{"d":1}}`},
		"merge, deep":                          {merge, `{"a":{"b":{"c":null,"d":1}}}`, `{"a":{"b":{"c":3,"e":4},"f":5}}`, `{"a":{"b":{"d":1,"e":4},"f":5}}`},
		"merge, object instead of another":     {merge, `{"a":{"b":null,"c":1}}`, `{"a":7}`, `{"a":{"c":1}}`},
		"merge, lists are replaced":            {merge, `{"a":[1,null]}`, `{"a":[2,3]}`, `{"a":[1,null]}`},
		"merge, what is no object is replaced": {merge, `{"a":1}`, `[1]`, `{"a":1}`},
		"merge, large numbers and signs stay":  {merge, `{"a":1}`, `{"n":12345678901234567890,"t":"<&>"}`, `{"a":1,"n":12345678901234567890,"t":"<&>"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := prepare(t, test.policy, test.given).Apply(strings.TrimPrefix(test.now, none), test.now != none)
			if err != nil || got != test.want {
				t.Errorf("Apply() = %s, %v; want %s", got, err, test.want)
			}
		})
	}
}

func TestApply_whatIsNotJSONIsAnError(t *testing.T) {
	for _, now := range []string{"{", "main=2", `{"a":1} x`, " "} {
		if got, err := prepare(t, merge, "{}").Apply(now, true); err == nil || !strings.Contains(err.Error(), "not JSON") {
			t.Errorf("Apply(%q) = %q, %v", now, got, err)
		}
		if err := prepare(t, merge, "{}").CheckMerge(annotation.List{{Key: "k", Value: now}}); err == nil {
			t.Errorf("CheckMerge(%q): no error", now)
		}
		if err := prepare(t, overwrite, "{}").CheckMerge(annotation.List{{Key: "k", Value: now}}); err != nil {
			t.Errorf("CheckMerge(%q) of what is overwritten: %v", now, err)
		}
	}
}

func TestPrepare_refuses(t *testing.T) {
	for key, value := range map[string]string{
		"kruise.io/sidecarset-hash": "{}", "kruise.io/sidecarset-injected-list": "{}", "kruise.io/sidecarset-working-hotupgrade-container": "{}",
		"version.sidecarset.kruise.io/a": "{}", "versionalt.sidecarset.kruise.io/a": "{}", "kubectl.kubernetes.io/last-applied-configuration": "{}",
		"a b": "{}", `a"b`: "{}", "a~": "{}", "": "{}",
		"a": "[1]", "b": "x", "c": "null", "d": "", "e": "{} {}",
	} {
		if _, err := annotation.Prepare([]v1beta1.SidecarSetPatchPodMetadata{{Annotations: map[string]string{key: value}, PatchPolicy: merge}}); err == nil ||
			!strings.Contains(err.Error(), "spec.patchPodMetadata[0].annotations["+key+"]: ") {
			t.Errorf("%s: %q: %v", key, value, err)
		}
	}
}

// TestChange_testsWhatItWasMadeFrom: an update that somebody else's write came before must not be applied.
func TestChange_testsWhatItWasMadeFrom(t *testing.T) {
	pod := annotation.Of(map[string]string{"k": `{"a":1}`, "kruise.io/sidecarset-hash": "{}"})
	tests := map[string]struct {
		policy v1beta1.SidecarSetPatchPolicyType
		given  string
		pod    annotation.List
		want   *plan.AnnotationChange
	}{
		"Retain, none":             {retain, "a", nil, &plan.AnnotationChange{Key: "k", Absent: true, To: "a"}},
		"Retain":                   {retain, "a", pod, nil},
		"Overwrite, none":          {overwrite, "a", nil, &plan.AnnotationChange{Key: "k", Unchecked: true, To: "a"}},
		"Overwrite":                {overwrite, "a", pod, &plan.AnnotationChange{Key: "k", Unchecked: true, To: "a"}},
		"merge, none":              {merge, `{"b":2}`, nil, &plan.AnnotationChange{Key: "k", Absent: true, To: `{"b":2}`}},
		"merge":                    {merge, `{"b":2}`, pod, &plan.AnnotationChange{Key: "k", From: `{"a":1}`, To: `{"a":1,"b":2}`}},
		"merge, empty":             {merge, `{"b":2}`, annotation.List{{Key: "k"}}, &plan.AnnotationChange{Key: "k", To: `{"b":2}`}},
		"merge, nothing to change": {merge, `{"a":1}`, pod, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, some, err := prepare(t, test.policy, test.given).Change(test.pod)
			if err != nil || some != (test.want != nil) {
				t.Fatalf("Change() = %+v, %t, %v", got, some, err)
			}
			if diff := cmp.Diff(test.want, &got); some && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOf_leavesOutWhatIsReserved(t *testing.T) {
	got := annotation.Of(map[string]string{"b": "2", "kruise.io/sidecarset-hash": "{}", "a": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}"})
	if diff := cmp.Diff(annotation.List{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if value, has := got.Get("b"); value != "2" || !has {
		t.Errorf("b is %q, %t", value, has)
	}
	if value, has := got.Get("c"); value != "" || has {
		t.Errorf("c is %q, %t", value, has)
	}
}

// TestApply_mergesAsOthersDo compares with another implementation of RFC 7386 (which is wrong about null in lists), and checks that twice is once, also when
// several sets merge into the same annotation.
func TestApply_mergesAsOthersDo(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "b", "c"})
	leaf := rapid.OneOf(rapid.Just(any(nil)), rapid.Just(any("x")), rapid.Just(any(1.0)), rapid.Just(any([]any{1.0, "y"})))
	object := rapid.Map(rapid.MapOfN(name, leaf, 0, 3), func(m map[string]any) any { return m })
	for range 2 {
		object = rapid.Map(rapid.MapOfN(name, rapid.OneOf(leaf, object), 0, 3), func(m map[string]any) any { return m })
	}
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) string {
			data, err := json.MarshalIndent(object.Draw(t, label), "", " ")
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
		now, first, second := text("now"), prepare(t, merge, text("first")), prepare(t, merge, text("second"))
		patch := text("patch")
		got, err := prepare(t, merge, patch).Apply(now, true)
		if err != nil {
			t.Fatal(err)
		}
		want, err := jsonpatch.MergePatch([]byte(now), []byte(patch))
		if err != nil {
			t.Fatal(err)
		}
		var wanted, have any
		if err := errors.Join(json.Unmarshal(want, &wanted), json.Unmarshal([]byte(got), &have)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, have); diff != "" {
			t.Fatalf("%s merged into %s (-want +got):\n%s", patch, now, diff)
		}
		both := func(now string, has bool) string {
			for _, p := range []*annotation.Patch{first, second} {
				if now, err = p.Apply(now, has); err != nil {
					t.Fatal(err)
				}
				has = true
			}
			return now
		}
		for _, once := range []string{both(now, true), both("", false)} {
			if twice := both(once, true); twice != once {
				t.Fatalf("twice is %s, once %s", twice, once)
			}
		}
	})
}

func TestPrepare_isSorted(t *testing.T) {
	all, err := annotation.Prepare([]v1beta1.SidecarSetPatchPodMetadata{
		{Annotations: map[string]string{"c": "", "a": ""}}, {Annotations: map[string]string{"b": "", "d": ""}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for i := range all {
		keys = append(keys, all[i].Key)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, keys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
