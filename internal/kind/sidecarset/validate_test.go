package sidecarset_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

const twoContainers = `
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}}
  containers: [{name: c1, image: "c:1", volumeMounts: [{name: v, mountPath: /v}]}, {name: c2, image: "c:1"}]
  initContainers: [{name: i, image: "i:1"}]
  volumes: [{name: v, emptyDir: {}}]
`

// canary is one of the SidecarSet base, and the same otherwise.
var canary = changed("name: a}", `name: a, annotations: {apps.kruise.io/sidecarset-canary: "true", apps.kruise.io/sidecarset-base: base}}`, //nolint:gochecknoglobals // a constant
	"spec:", "spec:\n  updateStrategy: {type: NotUpdate}")

// TestValidate_accepts holds what must not be refused; test/invalid holds what must be.
func TestValidate_accepts(t *testing.T) {
	tests := map[string]struct{ set, old, other string }{
		"a set":                        {set: twoContainers},
		"something of everything":      {set: read(t, "../../../test/invalid/valid_sidecarset.yaml")},
		"itself among the others":      {set: twoContainers, other: twoContainers},
		"another set of other Pods":    {set: twoContainers, other: changed("app: a}", "app: b}", "name: a}", "name: b}")},
		"other Pods by namespace":      {set: changed("spec:", "spec:\n  namespaceSelector: {matchLabels: {env: x}}"), other: changed("name: a}", "name: b}", "spec:", "spec:\n  namespaceSelector: {matchLabels: {env: y}}")},
		"the same volume, the same":    {set: twoContainers, other: changed("name: a}", "name: b}", "name: c1", "name: d1", "name: c2", "name: d2", "name: i,", "name: j,")},
		"a container more":             {set: twoContainers, old: changed(`, {name: c2, image: "c:1"}`, "")},
		"a container less":             {set: changed(`, {name: c2, image: "c:1"}`, ""), old: twoContainers},
		"nothing unavailable":          {set: changed("spec:", "spec:\n  updateStrategy: {maxUnavailable: 0}")},
		"everything kept":              {set: changed("spec:", "spec:\n  updateStrategy: {partition: 100%}")},
		"partition 0% with a selector": {set: changed("spec:", "spec:\n  updateStrategy: {partition: 0%, selector: {matchLabels: {x: y}}}")},
		"both, but not updated":        {set: changed("spec:", "spec:\n  updateStrategy: {type: NotUpdate, partition: 3, selector: {matchLabels: {x: y}}}")},
		"a canary and its base":        {set: canary, other: changed("name: a}", "name: base}")},
		"a base and its canary":        {set: changed("name: a}", "name: base}"), other: canary},
		"a canary whose base is gone":  {set: canary, old: canary},
		"a canary that says it is not": {set: changed("name: a}", `name: a, annotations: {apps.kruise.io/sidecarset-canary: "false"}}`)},
		"priority and scatter":         {set: changed("spec:", "spec:\n  updateStrategy: {priorityStrategy: {weightPriority: [{weight: 0, matchSelector: {matchLabels: {x: y}}}, {weight: 100, matchSelector: {matchExpressions: [{key: x, operator: Exists}]}}]}, scatterStrategy: [{key: x}, {key: x, value: y}, {key: z, value: \"*\"}]}")},
		"ordered keys":                 {set: changed("spec:", "spec:\n  updateStrategy: {priorityStrategy: {orderPriority: [{orderedKey: x}, {orderedKey: example.com/y}]}}")},
		"no image policy, no probes":   {set: changed("containers:", "containers: ", "i:1", "registry.example/i@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")},
		"an annotation that the other retains": {
			set:   changed("spec:", "spec:\n  patchPodMetadata: [{annotations: {a: b}, patchPolicy: Overwrite}]"),
			other: changed("name: a}", "name: b}", "name: c1", "name: d1", "name: c2", "name: d2", "name: i,", "name: j,", "spec:", "spec:\n  patchPodMetadata: [{annotations: {a: c}}]"),
		},
		"an annotation that both merge into": {
			set:   changed("spec:", "spec:\n  patchPodMetadata: [{annotations: {a: '{}'}, patchPolicy: MergePatchJson}]"),
			other: changed("name: a}", "name: b}", "name: c1", "name: d1", "name: c2", "name: d2", "name: i,", "name: j,", "spec:", "spec:\n  patchPodMetadata: [{annotations: {a: '{}'}, patchPolicy: MergePatchJson}]"),
		},
		"an annotation that both overwrite, of other Pods": {
			set:   changed("spec:", "spec:\n  patchPodMetadata: [{annotations: {a: b}, patchPolicy: Overwrite}]"),
			other: changed("app: a}", "app: b}", "name: a}", "name: b}", "spec:", "spec:\n  patchPodMetadata: [{annotations: {a: c}, patchPolicy: Overwrite}]"),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var old *v1beta1.SidecarSet
			var others []sidecarset.Other
			if test.old != "" {
				old = set(t, test.old)
			}
			if test.other != "" {
				others = among(t, test.other)
			}
			if errs := sidecarset.Validate(set(t, test.set), old, others); len(errs) > 0 {
				t.Errorf("Validate() = %v", errs.ToAggregate())
			}
		})
	}
}

// TestValidate_numbers: what the schema says as ^(100|[0-9]{1,2})%$.
func TestValidate_numbers(t *testing.T) {
	for text, valid := range map[string]bool{
		"0": true, "1000": true, "-1": false, `"0%"`: true, `"7%"`: true, `"07%"`: true, `"99%"`: true, `"100%"`: true,
		`"101%"`: false, `"007%"`: false, `"5"`: false, `"%"`: false, `""`: false, `"+5%"`: false, `"-5%"`: false, `"1.5%"`: false, `"5%%"`: false,
	} {
		errs := sidecarset.Validate(set(t, changed("spec:", "spec:\n  updateStrategy: {maxUnavailable: "+text+"}")), nil, nil)
		if (len(errs) == 0) != valid {
			t.Errorf("maxUnavailable %s: %v", text, errs)
		}
	}
}

// A base that was deleted leaves canaries behind, and what comes in its place must not be a canary.
func TestValidate_theNameOfABaseIsNoCanarys(t *testing.T) {
	base := set(t, strings.NewReplacer("name: a,", "name: base,", "sidecarset-base: base", "sidecarset-base: c").Replace(canary))
	others := among(t, canary, changed("name: a}", "name: c}"))
	want := []string{`metadata.annotations[apps.kruise.io/sidecarset-canary]: Invalid value: "true": base is the base of SidecarSet a, so it cannot be a canary`}
	got := slices.DeleteFunc(texts(sidecarset.Validate(base, nil, others)), func(text string) bool { return !strings.HasPrefix(text, "metadata.") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Validate() (-want +got):\n%s", diff)
	}
}

func among(t testing.TB, manifests ...string) []sidecarset.Other {
	t.Helper()
	var all []sidecarset.Other
	for _, manifest := range manifests {
		o := set(t, manifest)
		s, err := scope.Of(&o.Spec)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sidecarset.Other{Set: o, Scope: s})
	}
	return all
}

// TestValidate_metadata: test/invalid has the cases that go through the schema first.
func TestValidate_metadata(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	for want, patches := range map[string][]v1beta1.SidecarSetPatchPodMetadata{
		"spec.patchPodMetadata: Too long: may not be more than 65536 bytes": {{Annotations: map[string]string{"a": long}}},
		"spec.patchPodMetadata[0].annotations: Required value":              {{}},
		`spec.patchPodMetadata[0].patchPolicy: Unsupported value: "x"`:      {{Annotations: map[string]string{"a": ""}, PatchPolicy: "x"}},
		`spec.patchPodMetadata[0].annotations[a b]: Invalid value: "a b"`:   {{Annotations: map[string]string{"a b": ""}}},
		`spec.patchPodMetadata[1].annotations[a]: Duplicate value: "a"`:     {{Annotations: map[string]string{"a": ""}}, {Annotations: map[string]string{"a": ""}}},
		"spec.patchPodMetadata[0].annotations[kruise.io/sidecarset-hash]":   {{Annotations: map[string]string{"kruise.io/sidecarset-hash": ""}}},
	} {
		s := set(t, twoContainers)
		s.Spec.PatchPodMetadata = patches
		if errs := sidecarset.Validate(s, nil, nil); len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("Validate() = %v, want %s", errs, want)
		}
	}
}

// FuzzValidate sends whatever decodes: Validate must neither panic nor say something else the second time.
func FuzzValidate(f *testing.F) {
	for _, seed := range []string{twoContainers, changed("app: a", "app: a b"), "{}", "spec: {selector: {matchExpressions: [{operator: In}]}, volumes: [{}]}"} {
		data, err := yaml.YAMLToJSON([]byte(seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s v1beta1.SidecarSet
		if json.Unmarshal(data, &s) != nil {
			return
		}
		first := texts(sidecarset.ValidateAlone(&s))
		if diff := cmp.Diff(first, texts(sidecarset.Validate(&s, &s, nil))); diff != "" {
			t.Errorf("as an update of itself (-create +update):\n%s", diff)
		}
	})
}

func changed(pairs ...string) string {
	text := twoContainers
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			panic(fmt.Sprintf("the manifest has no %q", pairs[i]))
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func set(t testing.TB, manifest string) *v1beta1.SidecarSet {
	t.Helper()
	s := &v1beta1.SidecarSet{}
	if err := yaml.UnmarshalStrict([]byte(manifest), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func texts(errs field.ErrorList) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}
