package scope_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

func TestDisjoint_perKey(t *testing.T) {
	set := func(pods, namespaces string) scope.Scope {
		s := scope.Scope{Pods: parse(t, pods)}
		if namespaces != "" {
			s.Namespaces = parse(t, namespaces)
		}
		return s
	}
	tests := map[string]struct {
		a, b scope.Scope
		want bool
	}{
		"other value":              {set("app=a", ""), set("app=b", ""), true},
		"same value":               {set("app=a", ""), set("app=a", ""), false},
		"other key":                {set("app=a", ""), set("tier=a", ""), false},
		"in and in share one":      {set("app in (a,b)", ""), set("app in (b,c)", ""), false},
		"the shared one excluded":  {set("app in (a,b)", ""), set("app in (b,c),app!=b", ""), true},
		"in and all excluded":      {set("app in (a,b)", ""), set("app notin (a,b)", ""), true},
		"notin only":               {set("app notin (a)", ""), set("app notin (b)", ""), false},
		"exists and notin":         {set("app", ""), set("app notin (b)", ""), false},
		"exists and not exists":    {set("app", ""), set("!app", ""), true},
		"value and not exists":     {set("app=a", ""), set("!app", ""), true},
		"notin and not exists":     {set("app!=a", ""), set("!app", ""), false},
		"other namespace":          {set("app=a", "n=1"), set("app=a", "n=2"), true},
		"all namespaces and one":   {set("app=a", ""), set("app=a", "n=2"), false},
		"empty selects nothing":    {set("", ""), set("app=a", ""), true},
		"one contradicts itself":   {set("app=a,app=b", ""), set("tier=x", ""), true},
		"namespaces contradictory": {set("app=a", "n=1,!n"), set("app=a", ""), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := scope.Disjoint(test.a, test.b); got != test.want {
				t.Errorf("Disjoint() = %t, want %t", got, test.want)
			}
			if got := scope.Disjoint(test.b, test.a); got != test.want {
				t.Errorf("Disjoint() the other way round = %t, want %t", got, test.want)
			}
		})
	}
}

// TestDisjoint_isDisprovedByNoWitness draws pairs of Scopes over few keys and values and looks at every
// Pod there can be: Disjoint is exactly the absence of one that both select.
func TestDisjoint_isDisprovedByNoWitness(t *testing.T) {
	keys, values := []string{"app", "tier"}, []string{"", "a", "b", "c", "d"}
	pods := everyLabels(keys, values)
	namespaces := everyLabels([]string{"env"}, values)
	draw := func(t *rapid.T, name string) scope.Scope {
		spec := v1beta1.SidecarSetSpec{Selector: anySelector(keys).Draw(t, name)}
		if rapid.Bool().Draw(t, name+" namespaced") {
			spec.NamespaceSelector = anySelector([]string{"env"}).Draw(t, name+" namespaces")
		}
		return of(t, &spec)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		witness := false
		for _, pod := range pods {
			for _, namespace := range namespaces {
				witness = witness || a.Matches(pod, namespace) && b.Matches(pod, namespace)
			}
		}
		if got := scope.Disjoint(a, b); got == witness {
			t.Fatalf("Disjoint(%v, %v) = %t, but a Pod that both select exists: %t", a, b, got, witness)
		}
	})
}

func TestDemands(t *testing.T) {
	s := scope.Scope{
		Pods:       parse(t, "app=web,tier in (a,b),tier in (b,c,d),zone!=z,debug,!old"),
		Namespaces: parse(t, "kubernetes.io/metadata.name in (n1,n2),app=shop"),
	}
	want := map[string][]string{
		"app": {"web"}, "tier": {"a", "b"},
		"namespace app": {"shop"}, "namespace kubernetes.io/metadata.name": {"n1", "n2"},
	}
	if diff := cmp.Diff(want, s.Demands()); diff != "" {
		t.Errorf("Demands() (-want +got):\n%s", diff)
	}
}

func everyLabels(keys, values []string) []labels.Set {
	all := []labels.Set{{}}
	for _, key := range keys {
		for _, set := range all[:len(all):len(all)] {
			for _, value := range values {
				all = append(all, labels.Merge(set, labels.Set{key: value}))
			}
		}
	}
	return all
}

func parse(t *testing.T, text string) labels.Selector {
	t.Helper()
	s, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// anySelector and anyLabels draw from few values, the empty one among them.
func anySelector(keys []string) *rapid.Generator[*metav1.LabelSelector] {
	return rapid.Custom(func(t *rapid.T) *metav1.LabelSelector {
		s := &metav1.LabelSelector{MatchLabels: map[string]string{}}
		for range rapid.IntRange(1, 3).Draw(t, "requirements") {
			key := rapid.SampledFrom(keys).Draw(t, "key")
			values := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "c"}), 1, 3).Draw(t, "values")
			switch op := rapid.SampledFrom([]metav1.LabelSelectorOperator{"=", "In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator"); op {
			case "=":
				s.MatchLabels[key] = values[0]
			case "In", "NotIn":
				s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: values})
			default:
				s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: op})
			}
		}
		return s
	})
}

func anyLabels(keys []string) *rapid.Generator[map[string]string] {
	return rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom([]string{"", "a", "b", "c"}), 0, len(keys))
}
