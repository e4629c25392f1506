package cloneset_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
)

const plainSet = `
metadata: {name: a, uid: u1}
spec:
  replicas: 3
  selector: {matchLabels: {app: a}}
  updateStrategy: {rollingUpdate: {maxUnavailable: 20%}}
  template:
    metadata: {labels: {app: a}}
    spec: {containers: [{name: c, image: "c:1"}]}
`

// TestValidate_accepts holds what must not be refused; test/invalid holds what must be.
func TestValidate_accepts(t *testing.T) {
	inPlaceOnly := []string{"maxUnavailable: 20%", "podUpdatePolicy: InPlaceOnly"}
	tests := map[string]struct{ set, old string }{
		"a set":                            {set: plainSet},
		"OnDelete":                         {set: edited("updateStrategy: {", "updateStrategy: {type: OnDelete, ")},
		"nothing unavailable with a surge": {set: edited("20%", "0, maxSurge: 1")},
		"a surge in percent":               {set: edited("20%", "0%, maxSurge: 1%")},
		"neither while there are no Pods":  {set: edited("replicas: 3", "replicas: 0", "20%", "0")},
		"the longest name":                 {set: edited("name: a", "name: "+strings.Repeat("a", 52))},
		"a longer name that is stored":     {set: edited("name: a", "name: "+strings.Repeat("a", 60)), old: edited("name: a", "name: "+strings.Repeat("a", 60))},
		"InPlaceOnly and another image":    {set: edited(append(inPlaceOnly, "c:1", "c:2")...), old: edited(inPlaceOnly...)},
		"InPlaceOnly and another label":    {set: edited(append(inPlaceOnly, "labels: {app: a}", "labels: {app: a, x: z}, annotations: {a: b}")...), old: edited(inPlaceOnly...)},
		"InPlaceOnly and other cpu": {
			set: edited(append(inPlaceOnly, `"c:1"`, `"c:2", resources: {requests: {cpu: 2}, limits: {memory: 1Gi}}`)...),
			old: edited(append(inPlaceOnly, `"c:1"`, `"c:1", resources: {requests: {cpu: 1}, limits: {memory: 2Gi}}`)...),
		},
		"InPlaceIfPossible and anything":     {set: edited("20%", "1, podUpdatePolicy: InPlaceIfPossible", "name: c,", "name: d,"), old: plainSet},
		"OnDelete with InPlaceOnly":          {set: edited("updateStrategy: {", "updateStrategy: {type: OnDelete, ", "20%", "1, podUpdatePolicy: InPlaceOnly", "name: c,", "name: d,"), old: plainSet},
		"expressions":                        {set: edited("{matchLabels: {app: a}}", "{matchExpressions: [{key: app, operator: In, values: [a, b]}, {key: x, operator: DoesNotExist}]}")},
		"label and field, as OpenKruise has": {set: edited("uid: u1", `uid: u1, labels: {apps.kruise.io/cloneset-scaling-exclude-preparing-delete: "true"}`, "replicas: 3", "scaleStrategy: {excludePreparingDelete: true}")},
		"pre-download that is stored": {
			set: edited("uid: u1", `uid: u1, annotations: {apps.kruise.io/image-predownload-parallelism: "5%"}`, "c:1", "c:2"),
			old: edited("uid: u1", `uid: u1, annotations: {apps.kruise.io/image-predownload-parallelism: "5%"}`),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var old *v1beta1.CloneSet
			if test.old != "" {
				old = parsed(t, test.old)
			}
			if errs := cloneset.Validate(parsed(t, test.set), old, nil, true); len(errs) > 0 {
				t.Errorf("Validate() = %v", errs.ToAggregate())
			}
		})
	}
}

// TestValidate_podsToDelete: names that were there before stay right, whatever became of their Pods.
func TestValidate_podsToDelete(t *testing.T) {
	named := map[string]cloneset.NamedPod{
		"own": {Owner: "u1"}, "others": {Owner: "u2"}, "nobodys": {}, "leaving": {Owner: "u1", Leaving: true},
	}
	old := parsed(t, edited("replicas: 3", "scaleStrategy: {podsToDelete: [gone]}"))
	set := parsed(t, edited("replicas: 3", "scaleStrategy: {podsToDelete: [gone, own, others, nobodys, leaving, missing]}"))
	if diff := cmp.Diff([]string{"own", "others", "nobodys", "leaving", "missing"}, cloneset.NewlyNamed(set, old)); diff != "" {
		t.Errorf("NewlyNamed() (-want +got):\n%s", diff)
	}
	want := []string{
		`spec.scaleStrategy.podsToDelete[2]: Invalid value: "others": is not a Pod of this CloneSet`,
		`spec.scaleStrategy.podsToDelete[3]: Invalid value: "nobodys": is not a Pod of this CloneSet`,
		`spec.scaleStrategy.podsToDelete[4]: Invalid value: "leaving": is being deleted already`,
		`spec.scaleStrategy.podsToDelete[5]: Invalid value: "missing": there is no Pod of this name`,
	}
	if diff := cmp.Diff(want, said(cloneset.Validate(set, old, named, true))); diff != "" {
		t.Errorf("Validate() (-want +got):\n%s", diff)
	}
}

// TestValidate_inPlaceOnlyNamesWhatDiffers: what a running Pod cannot take.
func TestValidate_inPlaceOnlyNamesWhatDiffers(t *testing.T) {
	only := []string{"maxUnavailable: 20%", "podUpdatePolicy: InPlaceOnly"}
	for change, want := range map[string]string{
		`[{name: c, image: "c:2", command: [ls]}]`:                 "template.spec.containers[c].command is added",
		`[{name: d, image: "c:1"}]`:                                "template.spec.containers[d] is added",
		`[{name: c, image: "c:1"}, {name: d}]`:                     "template.spec.containers",
		`[{name: c, image: "c:1"}], initContainers: [{name: d}]`:   "template.spec.initContainers",
		`[{name: c, image: "c:1"}], newer: 1`:                      "template.spec.newer",
		`[{name: c, image: "c:1", resources: {limits: {cpu: 1}}}]`: "template.spec.containers[c].resources",
		`[{name: c, image: "c:1"}], nodeSelector: {a: b}`:          "template.spec.nodeSelector",
	} {
		set := parsed(t, edited(append(only, `[{name: c, image: "c:1"}]`, change)...))
		got := said(cloneset.Validate(set, parsed(t, plainSet), nil, true))
		if len(got) != 1 || !strings.HasPrefix(got[0], "spec.template: Forbidden: "+want) || !strings.HasSuffix(got[0], "; with InPlaceOnly no pod is replaced by a new one") {
			t.Errorf("Validate() = %q, want one error about %s", got, want)
		}
	}
}

// FuzzValidate sends whatever decodes: Validate must neither panic nor say something else the second time.
func FuzzValidate(f *testing.F) {
	for _, seed := range []string{plainSet, edited("app: a", "app: a b"), "{}", "spec: {selector: {matchExpressions: [{operator: In}]}, volumeClaimTemplates: [{}], lifecycle: {preDelete: {}}}"} {
		data, err := yaml.YAMLToJSON([]byte(seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s v1beta1.CloneSet
		if json.Unmarshal(data, &s) != nil {
			return
		}
		first := said(cloneset.Validate(&s, nil, nil, true))
		if diff := cmp.Diff(first, said(cloneset.Validate(&s, nil, nil, true))); diff != "" {
			t.Errorf("the second time (-first +second):\n%s", diff)
		}
		if cloneset.SameTemplate(&s, &s) {
			if _, err := cloneset.TemplateProbe(&s); err != nil {
				t.Error(err)
			}
		}
	})
}

func edited(pairs ...string) string {
	text := plainSet
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			panic(fmt.Sprintf("the manifest has no %q", pairs[i]))
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func parsed(t testing.TB, manifest string) *v1beta1.CloneSet {
	t.Helper()
	s := &v1beta1.CloneSet{}
	if err := yaml.UnmarshalStrict([]byte(manifest), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func said(errs field.ErrorList) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}
