package scope_test

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"pgregory.net/rapid"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// oldestServer is the oldest Kubernetes whose CEL environment must understand the conditions.
const oldestServer = "1.30"

// evaluator evaluates match conditions with the API server's own code and cost budget.
func evaluator(condition string) func(podLabels labels.Set, namespace string) (bool, error) {
	compiler := cel.NewConditionCompiler(environment.MustBaseEnvSet(version.MustParseGeneric(oldestServer)))
	fail := admissionregistrationv1.Fail
	matcher := matchconditions.NewMatcher(compiler.CompileCondition(
		[]cel.ExpressionAccessor{&matchconditions.MatchCondition{Name: "c", Expression: condition}},
		cel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.NewExpressions), &fail, "webhook", "admit", "pods")
	return func(podLabels labels.Set, namespace string) (bool, error) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "p", Labels: podLabels}}
		kind := corev1.SchemeGroupVersion.WithKind("Pod")
		attributes := admission.NewAttributesRecord(pod, nil, kind, namespace, "p",
			corev1.SchemeGroupVersion.WithResource("pods"), "", admission.Create, &metav1.CreateOptions{}, false, nil)
		result := matcher.Match(context.Background(), &admission.VersionedAttributes{
			Attributes: attributes, VersionedObject: admission.NewLazyObject(pod), VersionedKind: kind,
		}, nil, nil)
		return result.Matches, result.Error
	}
}

func TestMatchCondition_text(t *testing.T) {
	tests := map[string]struct {
		sets []v1beta1.SidecarSetSpec
		want string
	}{
		"no sets": {want: "false"},
		"one label": {
			sets: []v1beta1.SidecarSetSpec{labelled("app", "nginx")},
			want: `object.metadata.?labels[?'app'].orValue('') in ['nginx']`,
		},
		"a namespace by name": {
			sets: []v1beta1.SidecarSetSpec{namespaced(labelled("app", "nginx"), "ns-1")},
			want: `(object.metadata.?labels[?'app'].orValue('') in ['nginx'] && request.namespace in ['ns-1'])`,
		},
		"two sets, sorted": {
			sets: []v1beta1.SidecarSetSpec{labelled("b", "1"), labelled("a", "1")},
			want: "object.metadata.?labels[?'a'].orValue('') in ['1']\n|| object.metadata.?labels[?'b'].orValue('') in ['1']",
		},
		"set that contradicts itself": {
			sets: []v1beta1.SidecarSetSpec{{Selector: &metav1.LabelSelector{
				MatchLabels:      map[string]string{"app": "a"},
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "DoesNotExist"}},
			}}},
			want: "false",
		},
		"two values of one key are one line": {
			sets: []v1beta1.SidecarSetSpec{labelled("a", "2"), labelled("a", "1"), labelled("a", "1", "b", "1")},
			want: "(object.metadata.?labels[?'a'].orValue('') in ['1'] && object.metadata.?labels[?'b'].orValue('') in ['1'])\n|| object.metadata.?labels[?'a'].orValue('') in ['1', '2']",
		},
		"100 applications are one line": {
			sets: many(100, func(i int) v1beta1.SidecarSetSpec { return labelled("app", fmt.Sprintf("app-%02d", i)) }),
			want: "object.metadata.?labels[?'app'].orValue('') in [" + enumerate(100, "'app-%02d'") + "]",
		},
		"10,000 applications are a key": {
			sets: many(10000, func(i int) v1beta1.SidecarSetSpec { return labelled("app", fmt.Sprint("app-", i)) }),
			want: "object.metadata.?labels[?'app'].hasValue()",
		},
		"10,000 keys are everything": {
			sets: many(10000, func(i int) v1beta1.SidecarSetSpec { return labelled(fmt.Sprint("key-", i), "x") }),
			want: "true",
		},
		"one of many sets asks for nothing": {
			sets: append(many(100, func(i int) v1beta1.SidecarSetSpec { return labelled(fmt.Sprint("key-", i), "x") }),
				v1beta1.SidecarSetSpec{Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "x", Operator: "DoesNotExist"}}}}),
			want: "true",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var scopes []scope.Scope
			for i := range test.sets {
				scopes = append(scopes, of(t, &test.sets[i]))
			}
			got := scope.MatchCondition(scopes)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("MatchCondition() (-want +got):\n%s", diff)
			}
			rand.New(rand.NewSource(1)).Shuffle(len(scopes), func(i, j int) { scopes[i], scopes[j] = scopes[j], scopes[i] })
			if again := scope.MatchCondition(scopes); again != got {
				t.Errorf("in another order:\n%s", cmp.Diff(got, again))
			}
			for _, s := range scopes {
				if !scope.Covers(got, s) {
					t.Fatalf("Covers(%s) of %v is false", got, s)
				}
			}
			if _, err := evaluator(got)(nil, "default"); err != nil {
				t.Errorf("evaluate: %v", err)
			}
		})
	}
}

// TestMatchCondition_missesNoPod draws sets and Pods. Whenever a set selects a Pod, the condition is true;
// where everything can be said exactly, it is true only then. The same for conditions widened set by set
// and for every level, which are reached by adding sets that select none of the drawn Pods.
func TestMatchCondition_missesNoPod(t *testing.T) {
	keys := []string{"app", "tier", "example.com/inject"}
	rapid.Check(t, func(t *rapid.T) {
		exact := true
		var scopes []scope.Scope
		for range rapid.IntRange(1, 5).Draw(t, "sets") {
			spec := v1beta1.SidecarSetSpec{Selector: anySelector(keys).Draw(t, "selector")}
			switch rapid.IntRange(0, 2).Draw(t, "namespaces") {
			case 1:
				spec.NamespaceSelector = anySelector([]string{"kubernetes.io/metadata.name"}).Draw(t, "by name")
			case 2:
				spec.NamespaceSelector = anySelector([]string{"kubernetes.io/metadata.name", "env"}).Draw(t, "by label")
				exact = false
			}
			scopes = append(scopes, of(t, &spec))
		}
		others := rapid.SampledFrom([]int{0, 0, 70, 3000}).Draw(t, "others")
		all := append([]scope.Scope{}, scopes...)
		for i := range others {
			spec := labelled(rapid.SampledFrom(keys).Draw(t, "key"), fmt.Sprint("other-", i))
			all = append(all, of(t, &spec))
		}
		condition, widened := scope.MatchCondition(all), scope.ConditionNone
		for _, s := range scopes {
			before := widened
			if widened = scope.Widen(before, s); !scope.Covers(widened, s) {
				t.Fatalf("Widen(%s) does not cover %v: %s", before, s, widened)
			}
		}
		strangerSpec := v1beta1.SidecarSetSpec{Selector: anySelector(keys).Draw(t, "stranger")}
		stranger := of(t, &strangerSpec)
		holds, holdsWidened := evaluator(condition), evaluator(widened)
		for range 10 {
			pod := labels.Set(anyLabels(append(keys, "more")).Draw(t, "pod"))
			if len(pod) == 0 {
				pod = nil
			}
			namespace := value().Filter(func(v string) bool { return v != "" }).Draw(t, "namespace")
			namespaceLabels := labels.Merge(anyLabels([]string{"env"}).Draw(t, "namespace labels"), labels.Set{"kubernetes.io/metadata.name": namespace})
			selected := false
			for _, s := range scopes {
				selected = selected || s.Matches(pod, namespaceLabels)
			}
			for text, evaluate := range map[string]func(labels.Set, string) (bool, error){condition: holds, widened: holdsWidened} {
				got, err := evaluate(pod, namespace)
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				if stranger.Matches(pod, namespaceLabels) && scope.Covers(text, stranger) && !got {
					t.Fatalf("Covers %v, which selects %v, but the condition is false:\n%s", stranger, pod, text)
				}
				if selected && !got {
					t.Fatalf("a set selects %v in %s, but the condition is false:\n%s", pod, namespace, text)
				}
				if got && !selected && exact && others == 0 {
					t.Fatalf("no set selects %v in %s, but the condition is true:\n%s", pod, namespace, text)
				}
			}
		}
	})
}

// Worst cases within the bounds stay within the API server's budget, which evaluator applies.
func TestMatchCondition_staysWithinTheCostBudget(t *testing.T) {
	wide := func(i int) v1beta1.SidecarSetSpec {
		var s metav1.LabelSelector
		for k := range 2 {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: fmt.Sprintf("k%d-%d", k, i%60), Operator: "NotIn", Values: []string{"", "a", fmt.Sprint(i)},
			})
		}
		return v1beta1.SidecarSetSpec{Selector: &s}
	}
	for name, sets := range map[string][]v1beta1.SidecarSetSpec{
		"values": many(1800, func(i int) v1beta1.SidecarSetSpec { return labelled("app", fmt.Sprint("a", i)) }),
		"terms":  many(40, wide),
		"keys":   many(60, func(i int) v1beta1.SidecarSetSpec { return labelled(fmt.Sprint("k", i), strings.Repeat("v", 60)) }),
	} {
		t.Run(name, func(t *testing.T) {
			var scopes []scope.Scope
			for i := range sets {
				scopes = append(scopes, of(t, &sets[i]))
			}
			condition := scope.MatchCondition(scopes)
			if condition == scope.ConditionAll {
				t.Fatal("the condition is not at the bound, but beyond it")
			}
			if _, err := evaluator(condition)(labels.Set{"app": "none"}, "default"); err != nil {
				t.Errorf("%d bytes: %v", len(condition), err)
			}
		})
	}
}

func many(n int, set func(i int) v1beta1.SidecarSetSpec) []v1beta1.SidecarSetSpec {
	var all []v1beta1.SidecarSetSpec
	for i := range n {
		all = append(all, set(i))
	}
	return all
}

func enumerate(n int, format string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return strings.Join(all, ", ")
}
