package invalid_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/test/invalid"
)

// bySchema is the part of a table that is refused even with the manager stopped.
const bySchema = 0.9

// atLeast is how many cases a table has.
func atLeast(resource string) int {
	return map[string]int{"sidecarsets": 150, "clonesets": 120, "containerrecreaterequests": 60, "imagepulljobs": 65, "imagelistpulljobs": 15, "nodeimages": 20, "podprobemarkers": 120}[resource]
}

func TestInvalid_isRefusedAtTheRightDoor(t *testing.T) {
	for _, table := range invalid.Tables() {
		t.Run(table.Resource, func(t *testing.T) { refusedAtTheRightDoor(t, table) })
	}
}

func refusedAtTheRightDoor(t *testing.T, table invalid.Table) {
	doors := schemaDoors(t, table.Resource)
	cases := all(t, table)
	refusedBySchema := 0
	for _, c := range cases {
		if c.By == invalid.Schema {
			refusedBySchema++
		}
		t.Run(c.Name, func(t *testing.T) {
			door := doors[c.Version]
			for _, other := range append(c.Others, c.Old) {
				if other == nil {
					continue
				}
				if errs := door.review(t, other, nil); len(errs) > 0 {
					t.Fatalf("what exists already is invalid itself: %v", errs)
				}
			}
			errs := door.review(t, c.Manifest, c.Old)
			if c.By == invalid.Webhook {
				if len(errs) > 0 {
					t.Fatalf("the schema refuses it already: %v", errs)
				}
				errs = validate(t, table, c)
			}
			expect(t, errs, c.Want)
		})
	}
	t.Logf("%d cases, %d of them refused by schema and CEL", len(cases), refusedBySchema)
	if want := atLeast(table.Resource); len(cases) < want || float64(refusedBySchema) < bySchema*float64(len(cases)) {
		t.Errorf("%d cases, of which %d by schema; want at least %d, and %.0f%% by schema", len(cases), refusedBySchema, want, 100*bySchema)
	}
}

func TestValid_isAccepted(t *testing.T) {
	for _, table := range invalid.Tables() {
		for version, door := range schemaDoors(t, table.Resource) {
			c := invalid.Case{Version: version, Manifest: table.Valid(version)}
			if errs := append(door.review(t, c.Manifest, nil), validate(t, table, c)...); len(errs) > 0 {
				t.Errorf("%s of %s: %v", table.Resource, version, errs)
			}
		}
	}
}

// The rules of the schema must not refuse what users have: the examples, which are valid manifests.
func TestValid_examplesPassTheSchema(t *testing.T) {
	doors := map[string]map[string]schemaDoor{
		"SidecarSet": schemaDoors(t, "sidecarsets"), "CloneSet": schemaDoors(t, "clonesets"),
		"PodProbeMarker": schemaDoors(t, "podprobemarkers"), "ContainerRecreateRequest": schemaDoors(t, "containerrecreaterequests"),
	}
	for _, name := range []string{"01-logtail-sidecarset", "02-volume-merge", "03-gray-release", "04-cloneset-surge", "05-podprobemarker", "06-sidecarset-versions", "09-hot-upgrade", "10-native-sidecar"} {
		data, err := os.ReadFile("../../examples/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for i, document := range strings.Split(string(data), "\n---\n") {
			object, err := yaml.YAMLToJSON([]byte(document))
			if err != nil {
				t.Fatal(err)
			}
			var u unstructured.Unstructured
			if err := json.Unmarshal(object, &u.Object); err != nil || doors[u.GetKind()] == nil {
				continue
			}
			u.SetNamespace("default") // as kubectl does, where there is none
			if u.GetKind() == "SidecarSet" {
				u.SetNamespace("")
			}
			if object, err = u.MarshalJSON(); err != nil {
				t.Fatal(err)
			}
			if errs := doors[u.GetKind()][u.GroupVersionKind().Version].review(t, object, nil); len(errs) > 0 {
				t.Errorf("%s, document %d: %v", name, i+1, errs)
			}
		}
	}
}

func all(t *testing.T, table invalid.Table) []invalid.Case {
	t.Helper()
	cases, err := table.All()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] || len(c.Want) == 0 {
			t.Fatalf("case %q is there twice or wants nothing", c.Name)
		}
		seen[c.Name] = true
	}
	return cases
}

func expect(t *testing.T, errs []string, want []string) {
	t.Helper()
	if len(errs) == 0 {
		t.Fatalf("was accepted; want a refusal with %q", want)
	}
	text := strings.Join(errs, "\n")
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the answer does not contain\n  %s\nbut is\n%s", w, text)
		}
	}
}

// schemaDoor does what the API server does with a custom resource of one version: find unknown fields, prune,
// default, check schema, lists and CEL.
type schemaDoor struct {
	structural *schema.Structural
	strategy   strategy
}

type strategy interface {
	Validate(context.Context, runtime.Object) field.ErrorList
	ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList
}

func schemaDoors(t *testing.T, resource string) map[string]schemaDoor {
	t.Helper()
	data, err := os.ReadFile("../../config/crd/apps.kruise.io_" + resource + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(data, crd); err != nil {
		t.Fatal(err)
	}
	doors := map[string]schemaDoor{}
	for _, v := range crd.Spec.Versions {
		internal := &apiextensions.CustomResourceValidation{}
		if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(v.Schema, internal, nil); err != nil {
			t.Fatal(err)
		}
		structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
		if err != nil {
			t.Fatal(err)
		}
		validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
		if err != nil {
			t.Fatal(err)
		}
		kind := runtimeschema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Spec.Names.Kind}
		doors[v.Name] = schemaDoor{structural, customresource.NewStrategy(unstructuredTyper{}, crd.Spec.Scope == apiextensionsv1.NamespaceScoped, kind, validator, validator, structural,
			&apiextensions.CustomResourceSubresourceStatus{}, nil, nil)}
	}
	return doors
}

func (d schemaDoor) review(t *testing.T, manifest, old []byte) []string {
	t.Helper()
	set, unknown := d.decode(t, manifest)
	if len(unknown) > 0 {
		return unknown // as kubectl has the API server do (fieldValidation Strict)
	}
	var errs field.ErrorList
	if old == nil {
		errs = d.strategy.Validate(t.Context(), set)
	} else {
		before, _ := d.decode(t, old)
		before.SetResourceVersion("1")
		set.SetResourceVersion("1")
		errs = d.strategy.ValidateUpdate(t.Context(), set, before)
	}
	return texts(errs)
}

func (d schemaDoor) decode(t *testing.T, manifest []byte) (set *unstructured.Unstructured, unknown []string) {
	t.Helper()
	set = &unstructured.Unstructured{}
	if err := set.UnmarshalJSON(manifest); err != nil {
		t.Fatal(err)
	}
	for _, at := range pruning.PruneWithOptions(set.Object, d.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		unknown = append(unknown, fmt.Sprintf("unknown field %q", at))
	}
	defaulting.Default(set.Object, d.structural)
	return set, unknown
}

type unstructuredTyper struct{ runtime.ObjectTyper }

func texts(errs field.ErrorList) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}
