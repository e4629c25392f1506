package inject_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
	"github.com/outrigger-project/outrigger/internal/plan/share"
)

// tb is what helpers need of a test, a fuzz test and a property.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is the input of a golden, ready for injection.
type world struct {
	index      scope.Index[*inject.Set]
	namespaces map[string]map[string]string
	pods       [][]byte
	balances   map[string]map[string]share.Balance // by owner and set
}

// TestPod_goldens runs the cases of testdata that are written in v1beta1. All of them go through both doors
// in internal/app/kubectl, where -update rewrites them.
func TestPod_goldens(t *testing.T) {
	for name, archive := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			w := read(t, archive["in.yaml"])
			var got []string
			for _, pod := range w.pods {
				facts := inject.Facts{Sets: w.matching(t, pod), SortByName: archive["gates"] != ""}
				facts.Balances = w.balancesOf(t, pod, facts.Sets)
				result, err := inject.Pod(pod, facts)
				maps.Copy(facts.Balances, result.Balances)
				if want := strings.TrimSpace(archive["error.txt"]); err != nil || want != "" {
					if err == nil || err.Error() != want {
						t.Fatalf("Pod() = %v, want %s", err, want)
					}
					if result.Patch != nil || result.Sets != nil {
						t.Errorf("an error and a result: %+v", result)
					}
					return
				}
				text, err := yaml.JSONToYAML(patched(t, pod, result.Patch))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(text))
			}
			if diff := cmp.Diff(archive["want.yaml"], strings.Join(got, "---\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPod_saysWhatWasInjected(t *testing.T) {
	sets := []*inject.Set{
		prepare(t, "b", "containers: [{name: b, image: b:1}]"),
		prepare(t, "paused", "injectionStrategy: {paused: true}\ncontainers: [{name: p, image: p:1}]"),
		prepare(t, "a", "containers: [{name: a, image: a:1}]"),
	}
	result, err := inject.Pod([]byte(`{"metadata":{},"spec":{"containers":[{"name":"app"}]}}`), inject.Facts{Sets: sets})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "a"}, result.Sets); diff != "" {
		t.Errorf("Sets (-want +got):\n%s", diff)
	}
}

func TestPod_withoutMetadata(t *testing.T) {
	for _, pod := range []string{`{"spec":{"containers":[{"name":"app"}]}}`, `{"metadata":null,"spec":{"containers":[{"name":"app"}]}}`} {
		result, err := inject.Pod([]byte(pod), inject.Facts{Sets: []*inject.Set{prepare(t, "a", "containers: [{name: a, image: a:1}]")}})
		if err != nil {
			t.Fatal(err)
		}
		var after struct{ Metadata metav1.ObjectMeta }
		if err := json.Unmarshal(patched(t, []byte(pod), result.Patch), &after); err != nil {
			t.Fatal(err)
		}
		if got := after.Metadata.Annotations[v1beta1.SidecarSetInjectedListAnnotation]; got != "a" {
			t.Errorf("injected list = %q, want a", got)
		}
	}
}

func TestPod_notJSON(t *testing.T) {
	set := prepare(t, "a", "containers: [{name: a, image: a:1}]")
	if _, err := inject.Pod([]byte(`{"spec":`), inject.Facts{Sets: []*inject.Set{set}}); err == nil || !strings.HasPrefix(err.Error(), "read pod: ") {
		t.Errorf("Pod() = %v, want an error that says the pod cannot be read", err)
	}
}

func TestPrepare_refusesWhatIsNotSupported(t *testing.T) {
	for want, spec := range map[string]string{
		`spec.containers[0].transferEnv[1].sourceContainerNameFrom.fieldRef.fieldPath: "spec.nodeName"`:       "containers: [{name: a, image: a:1, transferEnv: [{sourceContainerName: x, envName: E}, {sourceContainerNameFrom: {fieldRef: {fieldPath: spec.nodeName}}, envName: E}]}]",
		`transferEnv[0].sourceContainerNameFrom.fieldRef.fieldPath: "metadata.labels['a"`:                     `containers: [{name: a, image: a:1, transferEnv: [{sourceContainerNameFrom: {fieldRef: {fieldPath: "metadata.labels['a"}}, envName: E}]}]`,
		`transferEnv[0].sourceContainerNameFrom.fieldRef.fieldPath: "metadata.labels['']"`:                    `containers: [{name: a, image: a:1, transferEnv: [{sourceContainerNameFrom: {fieldRef: {fieldPath: "metadata.labels['']"}}, envName: E}]}]`,
		`transferEnv[0].sourceContainerNameFrom.fieldRef.fieldPath: "metadata.annotations['kruise.io/sidecar`: `containers: [{name: a, image: a:1, transferEnv: [{sourceContainerNameFrom: {fieldRef: {fieldPath: "metadata.annotations['kruise.io/sidecarset-injected-list']"}}, envName: E}]}]`,
		`spec.selector: "near" is not a valid label selector operator`:                                        "selector: {matchExpressions: [{key: a, operator: near}]}",
	} {
		if _, err := inject.Prepare(parse(t, "s", spec)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "SidecarSet s: ") {
			t.Errorf("Prepare() = %v\nwant SidecarSet s: %s", err, want)
		}
	}
}

func TestPrepare_leavesTheSetAlone(t *testing.T) {
	set := parse(t, "s", "containers: [{name: a, image: a:1, env: [{name: IS_INJECTED, value: x}, {name: B, value: b}], volumeMounts: [{name: v, mountPath: /v}]}]")
	before := set.DeepCopy()
	if _, err := inject.Prepare(set); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, set); diff != "" {
		t.Errorf("Prepare changed the set (-before +after):\n%s", diff)
	}
}

func goldens(t testing.TB) map[string]map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	all := map[string]map[string]string{}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for _, f := range archive.Files {
			files[f.Name] = string(f.Data)
		}
		if files["uses"] == "" {
			all[strings.TrimSuffix(filepath.Base(path), ".txtar")] = files
		}
	}
	return all
}

func read(t testing.TB, in string) *world {
	t.Helper()
	w := &world{namespaces: map[string]map[string]string{}, balances: map[string]map[string]share.Balance{}}
	var sets []*v1beta1.SidecarSet
	var kept []revision.Kept
	for text := range strings.SplitSeq(in, "\n---\n") {
		data, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var meta metav1.PartialObjectMetadata
		if err := json.Unmarshal(data, &meta); err != nil {
			t.Fatal(err)
		}
		switch meta.Kind {
		case "Pod":
			w.pods = append(w.pods, data)
		case "Namespace":
			w.namespaces[meta.Name] = map[string]string{}
			for k, v := range meta.Labels {
				w.namespaces[meta.Name][k] = v
			}
		case "SidecarSet":
			var set v1beta1.SidecarSet
			if err := yaml.UnmarshalStrict([]byte(text), &set); err != nil {
				t.Fatal(err)
			}
			sets = append(sets, &set)
		case "ControllerRevision":
			var r appsv1.ControllerRevision
			if err := json.Unmarshal(data, &r); err != nil {
				t.Fatal(err)
			}
			kept = append(kept, revision.KeptOf(&r))
		default:
			t.Fatalf("kind %q in a golden", meta.Kind)
		}
	}
	for _, set := range sets {
		prepared, err := inject.Prepare(set, kept...)
		if err != nil {
			t.Fatal(err)
		}
		w.index.Put(set.Name, prepared.Scope, prepared)
	}
	return w
}

// balancesOf returns the balances of a Pod's owner, to be changed.
func (w *world) balancesOf(t testing.TB, pod []byte, sets []*inject.Set) map[string]share.Balance {
	t.Helper()
	doc, err := jsonview.Parse(pod)
	if err != nil {
		t.Fatal(err)
	}
	owner := inject.Owner(doc.Get("metadata"), "default")
	if w.balances[owner] == nil {
		w.balances[owner] = map[string]share.Balance{}
		for _, s := range sets {
			w.balances[owner][s.Name] = share.Start(s.Name, owner)
		}
	}
	return w.balances[owner]
}

func (w *world) matching(t testing.TB, pod []byte) []*inject.Set {
	t.Helper()
	var meta metav1.PartialObjectMetadata
	if err := json.Unmarshal(pod, &meta); err != nil {
		t.Fatal(err)
	}
	namespace := meta.Namespace
	if namespace == "" {
		namespace = "default"
	}
	return w.index.Find(meta.Labels, namespace, w.namespaces[namespace])
}

func patched(t tb, pod, patch []byte) []byte {
	t.Helper()
	if patch == nil {
		return pod
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatalf("%v in %s", err, patch)
	}
	after, err := operations.Apply(pod)
	if err != nil {
		t.Fatalf("apply %s\nto %s\n%v", patch, pod, err)
	}
	return after
}

func prepare(t tb, name, spec string) *inject.Set {
	t.Helper()
	s, err := inject.Prepare(parse(t, name, spec))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t tb, name, spec string) *v1beta1.SidecarSet {
	t.Helper()
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := yaml.UnmarshalStrict([]byte(spec), &set.Spec); err != nil {
		t.Fatal(err)
	}
	return set
}
