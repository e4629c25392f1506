package scope_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// TestIndex_agreesWithLookingAtEverySet draws sets, puts and deletes them, and compares each lookup with
// asking every Scope.
func TestIndex_agreesWithLookingAtEverySet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x scope.Index[string]
		all := map[string]v1beta1.SidecarSetSpec{}
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			key := rapid.StringMatching(`[a-f]`).Draw(t, "key")
			if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				x.Delete(key)
				delete(all, key)
				continue
			}
			spec := v1beta1.SidecarSetSpec{Selector: selector([]string{"app", "tier", "inject"}).Draw(t, "selector")}
			if rapid.Bool().Draw(t, "namespaced") {
				spec.NamespaceSelector = selector([]string{"env", "kubernetes.io/metadata.name"}).Draw(t, "namespaceSelector")
			}
			x.Put(key, of(t, &spec), key)
			all[key] = spec
		}
		for range 10 {
			pod := labelsOf([]string{"app", "tier", "inject", "other"}).Draw(t, "pod")
			namespace := value().Draw(t, "namespace")
			var known map[string]string
			if rapid.Bool().Draw(t, "known") {
				known = labelsOf([]string{"env"}).Draw(t, "namespace labels")
			}
			want := bruteForce(t, all, pod, namespace, known)
			if diff := gocmp.Diff(want, x.Find(pod, namespace, known)); diff != "" {
				t.Fatalf("Find(%v, %s, %v) (-want +got):\n%s", pod, namespace, known, diff)
			}
			for key, spec := range all {
				s := of(t, &spec)
				if _, missed := s.Fit(pod, namespace, known); (missed == 0) != (s.Why(pod, namespace, known) == "") {
					t.Fatalf("%s: Fit() misses %d, Why() = %q", key, missed, s.Why(pod, namespace, known))
				}
				if matches := s.MatchesIn(pod, namespace, known); matches != (s.Why(pod, namespace, known) == "") {
					t.Fatalf("%s: MatchesIn() = %t, Why() = %q", key, matches, s.Why(pod, namespace, known))
				}
			}
		}
	})
}

func TestIndex_namespaceBoundFirstThenByName(t *testing.T) {
	var x scope.Index[string]
	nginx := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "nginx"}}
	for name, namespaces := range map[string]*metav1.LabelSelector{
		"b-all": nil, "a-all": nil,
		"d-ns":    {MatchLabels: map[string]string{"kubernetes.io/metadata.name": "ns-1"}},
		"c-ns":    {MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name", Operator: "In", Values: []string{"x", "ns-1", "x"}}}},
		"z-other": {MatchLabels: map[string]string{"kubernetes.io/metadata.name": "ns-2"}},
		"e-env":   {MatchLabels: map[string]string{"env": "prod"}},
	} {
		x.Put(name, of(t, &v1beta1.SidecarSetSpec{Selector: nginx, NamespaceSelector: namespaces}), name)
	}
	got := x.Find(map[string]string{"app": "nginx"}, "ns-1", map[string]string{"env": "prod"})
	if diff := gocmp.Diff([]string{"c-ns", "d-ns", "a-all", "b-all", "e-env"}, got); diff != "" {
		t.Errorf("Find() (-want +got):\n%s", diff)
	}
}

// TestIndex_doesNotLookAtSetsThatCannotMatch counts how many selectors a lookup evaluates among 10,000 sets.
func TestIndex_doesNotLookAtSetsThatCannotMatch(t *testing.T) {
	for name, spec := range map[string]func(i int) v1beta1.SidecarSetSpec{
		"own label": func(i int) v1beta1.SidecarSetSpec { return labelled("app", fmt.Sprint("app-", i)) },
		"common label and own label": func(i int) v1beta1.SidecarSetSpec {
			return labelled("inject", "true", "app", fmt.Sprint("app-", i))
		},
		"common label in own namespace": func(i int) v1beta1.SidecarSetSpec {
			return namespaced(labelled("inject", "true"), fmt.Sprint("app-", i))
		},
		"no label required, own namespace": func(i int) v1beta1.SidecarSetSpec {
			return namespaced(v1beta1.SidecarSetSpec{Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "opt-out", Operator: metav1.LabelSelectorOpDoesNotExist},
			}}}, fmt.Sprint("app-", i))
		},
		"label that was as rare as the other at first and is common later": func(i int) v1beta1.SidecarSetSpec {
			if i < 4000 {
				return labelled("inject", "true", "team", "blue")
			}
			return labelled("inject", "true", "app", fmt.Sprint("app-", i))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var x scope.Index[int]
			looked := 0
			for i := range 10_000 {
				spec := spec(i)
				s := of(t, &spec)
				s.Pods = counting{s.Pods, &looked}
				x.Put(fmt.Sprint("set-", i), s, i)
			}
			looked = 0
			found := x.Find(map[string]string{"inject": "true", "app": "app-7000", "version": "1"}, "app-7000", map[string]string{})
			if diff := gocmp.Diff([]int{7000}, found); diff != "" {
				t.Errorf("Find() (-want +got):\n%s", diff)
			}
			if looked > 3 {
				t.Errorf("a lookup among 10,000 sets evaluated %d selectors, want at most 3", looked)
			}
		})
	}
}

func TestIndex_lookupHardlyAllocates(t *testing.T) {
	var x scope.Index[int]
	for i := range 1000 {
		spec := labelled("app", fmt.Sprint("app-", i/3))
		x.Put(fmt.Sprint("set-", i), of(t, &spec), i)
	}
	pod := map[string]string{"app": "app-7", "version": "1", "pod-template-hash": "abc"}
	if found := x.Find(pod, "ns-1", nil); len(found) != 3 {
		t.Fatalf("Find() = %v, want 3 sets", found)
	}
	if got := testing.AllocsPerRun(100, func() { x.Find(pod, "ns-1", nil) }); got > 2 {
		t.Errorf("Find allocates %.0f times, want at most 2", got)
	}
}

func BenchmarkIndexFind(b *testing.B) {
	for _, sets := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint("sets=", sets), func(b *testing.B) {
			var x scope.Index[int]
			for i := range sets {
				spec := labelled("inject", "true", "app", fmt.Sprint("app-", i/3))
				x.Put(fmt.Sprint("set-", i), of(b, &spec), i)
			}
			pod := map[string]string{"inject": "true", "app": "app-7", "version": "1", "pod-template-hash": "abc"}
			b.ReportAllocs()
			for b.Loop() {
				x.Find(pod, "ns-1", nil)
			}
		})
	}
}

// counting counts how often a selector is evaluated.
type counting struct {
	labels.Selector
	n *int
}

func (c counting) Matches(l labels.Labels) bool {
	*c.n++
	return c.Selector.Matches(l)
}

func labelled(pairs ...string) v1beta1.SidecarSetSpec {
	s := v1beta1.SidecarSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{}}}
	for i := 0; i < len(pairs); i += 2 {
		s.Selector.MatchLabels[pairs[i]] = pairs[i+1]
	}
	return s
}

func namespaced(s v1beta1.SidecarSetSpec, namespace string) v1beta1.SidecarSetSpec {
	s.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}}
	return s
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func of(t fataler, spec *v1beta1.SidecarSetSpec) scope.Scope {
	t.Helper()
	s, err := scope.Of(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func bruteForce(t fataler, all map[string]v1beta1.SidecarSetSpec, pod map[string]string, namespace string, known map[string]string) []string {
	var keys []string
	for key, spec := range all {
		if of(t, &spec).MatchesIn(pod, namespace, known) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(all[a]), rank(all[b])), cmp.Compare(a, b))
	})
	return keys
}

// rank is 0 for a set whose namespaceSelector names namespaces, else 1.
func rank(spec v1beta1.SidecarSetSpec) int {
	s := spec.NamespaceSelector
	if s == nil {
		return 1
	}
	if s.MatchLabels["kubernetes.io/metadata.name"] != "" {
		return 0
	}
	for _, r := range s.MatchExpressions {
		if r.Key == "kubernetes.io/metadata.name" && r.Operator == metav1.LabelSelectorOpIn {
			return 0
		}
	}
	return 1
}

func value() *rapid.Generator[string] { return rapid.SampledFrom([]string{"a", "b", "c"}) }

func labelsOf(keys []string) *rapid.Generator[map[string]string] {
	return rapid.MapOfN(rapid.SampledFrom(keys), value(), 0, len(keys))
}

func selector(keys []string) *rapid.Generator[*metav1.LabelSelector] {
	return rapid.Custom(func(t *rapid.T) *metav1.LabelSelector {
		s := &metav1.LabelSelector{}
		if rapid.Bool().Draw(t, "labels") {
			s.MatchLabels = labelsOf(keys).Draw(t, "matchLabels")
		}
		for range rapid.IntRange(0, 2).Draw(t, "expressions") {
			r := metav1.LabelSelectorRequirement{
				Key: rapid.SampledFrom(keys).Draw(t, "key"),
				Operator: rapid.SampledFrom([]metav1.LabelSelectorOperator{
					metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist,
				}).Draw(t, "operator"),
			}
			if r.Operator == metav1.LabelSelectorOpIn || r.Operator == metav1.LabelSelectorOpNotIn {
				r.Values = rapid.SliceOfN(value(), 1, 4).Draw(t, "values")
			}
			s.MatchExpressions = append(s.MatchExpressions, r)
		}
		return s
	})
}
