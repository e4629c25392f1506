package webhook

import (
	"context"
	"errors"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
)

const validCloneSet = `{"apiVersion":"apps.kruise.io/v1beta1","kind":"CloneSet","metadata":{"name":"a","uid":"u1"},` +
	`"spec":{"selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"c:1"}]}}}}`

// apiServer stands for the API server's check of templates.
type apiServer struct {
	Checked
	err    error
	probes []string
}

func (a *apiServer) Check(_ context.Context, namespace string, probe []byte, unknown string) (Checked, error) {
	a.probes = append(a.probes, namespace+" "+unknown+" "+string(probe))
	return a.Checked, a.err
}

// pods stand for those of the namespace.
type pods struct {
	all map[string]cloneset.NamedPod
	err error
}

func (p pods) NamedPods(context.Context, string, []string) (map[string]cloneset.NamedPod, error) {
	return p.all, p.err
}

func TestDefaultCloneSets_fillsInTheTemplate(t *testing.T) {
	const probe = `ns Strict {"apiVersion":"v1","kind":"PodTemplate","metadata":{"generateName":"cloneset-"},` +
		`"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"image":"c:1","name":"c"}]`
	const defaulted = `{"template":{"metadata":{"creationTimestamp":null,"labels":{"app":"a"}},"spec":{"containers":[{"image":"c:1","name":"c","newer":1}],"restartPolicy":"Always"`
	const patch = `[{"op":"replace","path":"/spec/template","value":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"image":"c:1","name":"c","newer":1}],"restartPolicy":"Always"`
	claim := strings.Replace(validCloneSet, `"template":`, `"volumeClaimTemplates":[{"metadata":{"name":"data"}}],"template":`, 1)
	full := strings.NewReplacer(`"image":"c:1"`, `"image":"c:1","newer":1`, `}]}}}}`, `}],"restartPolicy":"Always"}}}}`).Replace(validCloneSet)
	tests := map[string]struct {
		object, old string
		answer      apiServer
		wantProbe   string
		wantPatch   string
	}{
		"at creation":       {object: validCloneSet, answer: apiServer{Checked: Checked{Object: []byte(defaulted + `}}}`)}}, wantProbe: probe + `}}}`, wantPatch: patch + `}}}]`},
		"in v1alpha1":       {object: strings.Replace(validCloneSet, "v1beta1", "v1alpha1", 1), answer: apiServer{Checked: Checked{Object: []byte(defaulted + `}}}`)}}, wantProbe: probe + `}}}`, wantPatch: patch + `}}}]`},
		"nothing to add":    {object: full, answer: apiServer{Checked: Checked{Object: []byte(defaulted + `}}}`)}}, wantProbe: `"newer":1}],"restartPolicy":"Always"}}}`},
		"the same template": {object: strings.Replace(full, `"spec":{`, `"spec":{"replicas":3,`, 1), old: full},
		"another template":  {object: validCloneSet, old: full, answer: apiServer{Checked: Checked{Object: []byte(defaulted + `}}}`)}}, wantProbe: probe, wantPatch: patch + `}}}]`},
		"refused":           {object: validCloneSet, answer: apiServer{Checked: Checked{Refused: field.ErrorList{field.Required(nil, "")}}}, wantProbe: probe},
		"no answer":         {object: validCloneSet, answer: apiServer{err: errors.New("no answer")}, wantProbe: probe},
		"unreadable":        {object: `{"apiVersion":"apps.kruise.io/v1beta1","spec":[]}`},
		"claims are volumes for the check only": {
			object:    claim,
			answer:    apiServer{Checked: Checked{Object: []byte(defaulted + `,"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data"}}]}}}`)}},
			wantProbe: probe + `,"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data"}}]}}}`, wantPatch: patch + `}}}]`,
		},
		"a claim beside volumes": {
			object: strings.Replace(claim, `"containers"`, `"volumes":[{"name":"v","emptyDir":{}}],"containers"`, 1),
			answer: apiServer{Checked: Checked{Object: []byte(defaulted + `,"volumes":[{"name":"v"},{"name":"data"}]}}}`)}}, wantProbe: `"volumes":[{"emptyDir":{},"name":"v"},{"name":"data",`,
			wantPatch: patch + `,"volumes":[{"name":"v"}]}}}]`,
		},
		"a volume of the claim's name": {
			object: strings.Replace(claim, `"containers"`, `"volumes":[{"name":"data","emptyDir":{}}],"containers"`, 1),
			answer: apiServer{Checked: Checked{Object: []byte(defaulted + `,"volumes":[{"name":"data"}]}}}`)}}, wantProbe: `"volumes":[{"emptyDir":{},"name":"data"}]`,
			wantPatch: patch + `,"volumes":[{"name":"data"}]}}}]`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.answer.Warnings = []string{"careful"}
			request := admissionv1.AdmissionRequest{Operation: "CREATE", Namespace: "ns", Object: object(test.object), Options: runtime.RawExtension{Raw: []byte(`{"fieldValidation":"Strict"}`)}}
			if test.old != "" {
				request.Operation, request.OldObject = "UPDATE", object(test.old)
			}
			got := ask(t, DefaultCloneSets(&test.answer, true), request)
			if diff := gocmp.Diff(test.wantPatch, string(got.Patch)); diff != "" || !got.Allowed {
				t.Errorf("allowed %t, patch (-want +got):\n%s", got.Allowed, diff)
			}
			if asked := strings.Join(test.answer.probes, "\n"); !strings.Contains(asked, test.wantProbe) || (asked == "") != (test.wantProbe == "") {
				t.Errorf("the API server was asked\n%s\nwant\n%s", asked, test.wantProbe)
			}
			if warned := len(got.Warnings) > 0; warned != (len(test.answer.Object) > 0) {
				t.Errorf("warnings are %q", got.Warnings)
			}
		})
	}
}

func TestValidateCloneSets_answers(t *testing.T) {
	named := strings.Replace(validCloneSet, `"template":`, `"scaleStrategy":{"podsToDelete":["a-1"]},"template":`, 1)
	other := strings.Replace(validCloneSet, "c:1", "c:2", 1)
	own := pods{all: map[string]cloneset.NamedPod{"a-1": {Owner: "u1"}}}
	refused := Checked{Refused: field.ErrorList{field.Invalid(field.NewPath("spec", "template", "spec"), field.OmitValueType{}, "no")}}
	tests := map[string]struct {
		object, old string
		answer      apiServer
		pods        pods
		wantCode    int32
		wantMessage string
		wantAsked   int
	}{
		"valid":                    {object: validCloneSet, wantCode: 200, wantAsked: 1},
		"in v1alpha1":              {object: strings.Replace(validCloneSet, "v1beta1", "v1alpha1", 1), wantCode: 200, wantAsked: 1},
		"update":                   {object: other, old: validCloneSet, wantCode: 200, wantAsked: 1},
		"update of something else": {object: named, old: validCloneSet, pods: own, wantCode: 200},
		"invalid":                  {object: strings.Replace(validCloneSet, `{"labels":{"app":"a"}}`, `{}`, 1), wantCode: 422, wantMessage: `CloneSet.apps.kruise.io "a" is invalid: spec.template.metadata.labels: Invalid value`},
		"template refused":         {object: validCloneSet, answer: apiServer{Checked: refused}, wantCode: 422, wantMessage: `CloneSet.apps.kruise.io "a" is invalid: spec.template.spec: Invalid value: no`, wantAsked: 1},
		"template not checked":     {object: validCloneSet, answer: apiServer{err: errors.New("no answer")}, wantCode: 503, wantMessage: "no answer", wantAsked: 1},
		"no such Pod":              {object: named, old: validCloneSet, wantCode: 422, wantMessage: `spec.scaleStrategy.podsToDelete[0]: Invalid value: "a-1": there is no Pod of this name`},
		"Pods not read":            {object: named, old: validCloneSet, pods: pods{err: errors.New("no Pods")}, wantCode: 503, wantMessage: "no Pods"},
		"named before":             {object: strings.Replace(named, `"spec":{`, `"spec":{"replicas":2,`, 1), old: named, pods: pods{err: errors.New("not asked for")}, wantCode: 200},
		"unreadable":               {object: strings.Replace(validCloneSet, `"c:1"`, `1`, 1), wantCode: 422, wantMessage: "read CloneSet: pod template"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := admissionv1.AdmissionRequest{Operation: "CREATE", Name: "a", Namespace: "ns", Object: object(test.object)}
			if test.old != "" {
				request.Operation, request.OldObject = "UPDATE", object(test.old)
			}
			got := ask(t, ValidateCloneSets(&test.answer, test.pods, true), request)
			if got.Result.Code != test.wantCode || got.Allowed != (test.wantCode == 200) || !strings.Contains(got.Result.Message, test.wantMessage) {
				t.Errorf("allowed %t with code %d: %s", got.Allowed, got.Result.Code, got.Result.Message)
			}
			if len(test.answer.probes) != test.wantAsked {
				t.Errorf("the API server was asked %d times, want %d", len(test.answer.probes), test.wantAsked)
			}
		})
	}
}

func TestNamedPods_readsOwnerAndDeletion(t *testing.T) {
	yes, now := true, metav1.Now()
	pod := func(name string, change func(*metav1.PartialObjectMetadata)) client.Object {
		p := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
		change(p)
		return p
	}
	scheme := runtime.NewScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	live := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		pod("a", func(p *metav1.PartialObjectMetadata) {
			p.OwnerReferences = []metav1.OwnerReference{{UID: "o", Name: "other"}, {UID: "u1", Name: "set", Controller: &yes}}
		}),
		pod("b", func(p *metav1.PartialObjectMetadata) { p.DeletionTimestamp, p.Finalizers = &now, []string{"x/y"} }),
	).Build()
	got, err := NamedPodsFrom(live).NamedPods(t.Context(), "ns", []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]cloneset.NamedPod{"a": {Owner: types.UID("u1")}, "b": {Leaving: true}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
