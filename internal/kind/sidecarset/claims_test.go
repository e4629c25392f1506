package sidecarset_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// knows is how many others a condition names.
const knows = 5

// TestClaims_agreeWithConflicts lets sets come, change and go, few and many, and compares with a look at all of them; and
// exactly the sets whose conflicts changed must be named.
func TestClaims_agreeWithConflicts(t *testing.T) {
	for seed := range uint64(21) {
		r := rand.New(rand.NewPCG(seed, 1))
		many := []int{5, 10, 60}[seed%3]
		var claims sidecarset.Claims
		sets, known := map[string]sidecarset.Other{}, map[string]sidecarset.Rivals{}
		for step := range 4 * many {
			name := fmt.Sprintf("s%02d", r.IntN(many))
			before := known[name]
			var concerned []string
			if r.IntN(4) == 0 {
				delete(sets, name)
				delete(known, name)
				concerned = claims.Delete(name)
			} else {
				sets[name] = among(t, conflictSet(name, madeUp(r)))[0]
				known[name] = before
				concerned = claims.Put(sets[name])
			}
			at := fmt.Sprintf("seed %d, step %d, %s", seed, step, name)
			if many < 60 || step%30 == 29 {
				agree(t, at, &claims, sets)
			}
			var want []string
			for other := range sets {
				now := claims.Of(other)
				if !cmp.Equal(told(known[other]), told(now)) {
					want = append(want, other)
				}
				known[other] = now
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, concerned); diff != "" {
				t.Fatalf("%s: concerned (-want +got):\n%s", at, diff)
			}
		}
	}
}

// agree compares what is known of every set with all its conflicts: the same if they are few, else some of them.
func agree(t *testing.T, at string, claims *sidecarset.Claims, sets map[string]sidecarset.Other) {
	t.Helper()
	var all []sidecarset.Other
	for _, o := range sets {
		all = append(all, o)
	}
	for name, o := range sets {
		conflicts, got := sidecarset.Conflicts(o.Set, all), claims.Of(name)
		rivals, named := rivalNames(conflicts), rivalNames(got.Conflicts)
		if want := min(len(rivals), knows); len(named) != want || got.More != (len(rivals) > knows) {
			t.Fatalf("%s: of %v, %s knows %v (more: %t)", at, rivals, name, named, got.More)
		}
		conflicts = slices.DeleteFunc(conflicts, func(c sidecarset.Conflict) bool { return !slices.Contains(named, c.Other) })
		if diff := cmp.Diff(sentences(conflicts), sentences(got.Conflicts)); diff != "" {
			t.Fatalf("%s: conflicts of %s (-want +got):\n%s", at, name, diff)
		}
	}
}

func rivalNames(conflicts []sidecarset.Conflict) []string {
	var names []string
	for _, c := range conflicts {
		names = append(names, c.Other)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func sentences(conflicts []sidecarset.Conflict) []string {
	var all []string
	for _, c := range conflicts {
		all = append(all, fmt.Sprint(c, c.Breaks))
	}
	return all
}

func told(r sidecarset.Rivals) string { return fmt.Sprint(sentences(r.Conflicts), r.More) }

// madeUp is a spec with few names and ports to choose from.
func madeUp(r *rand.Rand) string {
	pick := func(choices ...string) string { return choices[r.IntN(len(choices))] }
	spec := pick(
		"selector: {matchLabels: {app: a}}", "selector: {matchLabels: {app: b, tier: x}}", "selector: {matchLabels: {tier: x}}",
		"selector: {matchExpressions: [{key: app, operator: In, values: [a, b]}]}",
		"selector: {matchExpressions: [{key: app, operator: NotIn, values: [a]}]}",
		"selector: {matchLabels: {app: b}, matchExpressions: [{key: tier, operator: DoesNotExist}]}", "selector: {}")
	spec += pick("", "", "\nnamespaceSelector: {matchLabels: {kubernetes.io/metadata.name: n1}}",
		"\nnamespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [n1, n2]}]}",
		"\nnamespaceSelector: {matchLabels: {env: test}}")
	return spec + fmt.Sprintf(`
containers:
- {name: c%d, image: i, ports: [{containerPort: %d}, {containerPort: %d}], transferEnv: [{sourceContainerName: c%d, envName: A}], volumeMounts: [{name: v%d, mountPath: /v}]}
volumes: [{name: v%d, %s}]`,
		r.IntN(9), 80+r.IntN(9), 80+r.IntN(9), r.IntN(9), r.IntN(2), r.IntN(2), pick("emptyDir: {}", "hostPath: {path: /v}"))
}

// TestClaims_unrelatedSetsAreNotNamed: a change wakes only whom it concerns.
func TestClaims_unrelatedSetsAreNotNamed(t *testing.T) {
	var claims sidecarset.Claims
	inApp := func(name, app, image string) sidecarset.Other {
		return among(t, conflictSet(name, fmt.Sprintf("selector: {matchLabels: {app: %s}}\ncontainers: [{name: agent, image: %s}]", app, image)))[0]
	}
	for i := range 20 {
		claims.Put(inApp(fmt.Sprint("set-", i), fmt.Sprint("a", i/2), "i"))
	}
	for _, step := range []struct {
		what string
		got  []string
		want []string
	}{
		{"another image", claims.Put(inApp("set-6", "a3", "j")), nil},
		{"gone", claims.Delete("set-6"), []string{"set-7"}},
		{"gone again", claims.Delete("set-6"), nil},
		{"elsewhere", claims.Put(inApp("set-6", "a4", "i")), []string{"set-6", "set-8", "set-9"}},
	} {
		if diff := cmp.Diff(step.want, step.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}

// TestClaims_aCanaryTakesTurns: that a set is another one's canary is told by its annotations.
func TestClaims_aCanaryTakesTurns(t *testing.T) {
	var claims sidecarset.Claims
	claims.Put(madeOf("base", "web", "", 80))
	canary := madeOf("canary", "web", "", 80)
	if diff := cmp.Diff([]string{"base", "canary"}, claims.Put(canary)); diff != "" {
		t.Errorf("concerned (-want +got):\n%s", diff)
	}
	canary.Set = canary.Set.DeepCopy()
	canary.Set.Annotations = map[string]string{v1beta1.SidecarSetCanaryAnnotation: "true", v1beta1.SidecarSetBaseAnnotation: "base"}
	if diff := cmp.Diff([]string{"base", "canary"}, claims.Put(canary)); diff != "" {
		t.Errorf("concerned by becoming a canary (-want +got):\n%s", diff)
	}
	if got := claims.Of("base"); len(got.Conflicts) > 0 {
		t.Errorf("conflicts %v", got.Conflicts)
	}
}

// TestClaims_manyInOnePlaceConcernFew: of 2,000 sets that are all in conflict, a change concerns a few.
func TestClaims_manyInOnePlaceConcernFew(t *testing.T) {
	var claims sidecarset.Claims
	const n = 2000
	concerned := 0
	for i := range n {
		concerned += len(claims.Put(madeOf(fmt.Sprintf("set-%04d", i), "web", "", 80)))
	}
	for i := range n {
		if r := claims.Of(fmt.Sprintf("set-%04d", i)); len(rivalNames(r.Conflicts)) != knows || !r.More {
			t.Fatalf("set %d knows %v (more: %t)", i, rivalNames(r.Conflicts), r.More)
		}
	}
	for i := range n {
		concerned += len(claims.Delete(fmt.Sprintf("set-%04d", i)))
	}
	if concerned > 20*n {
		t.Errorf("%d times somebody is concerned by %d changes", concerned, 2*n)
	}
}

// madeOf is a set with a container of its own name, or agent if it has a namespace, and a port, if it is not 0.
func madeOf(name, app, namespace string, port int32) sidecarset.Other {
	s := &v1beta1.SidecarSet{}
	s.Name = name
	s.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	c := v1beta1.SidecarContainer{}
	c.Name, c.Image = name, "i"
	if namespace != "" {
		c.Name = "agent"
		s.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}}
	}
	if port != 0 {
		c.Ports = append(c.Ports, portOf(port))
	}
	s.Spec.Containers = []v1beta1.SidecarContainer{c}
	compiled, err := scope.Of(&s.Spec)
	if err != nil {
		panic(err)
	}
	return sidecarset.Other{Set: s, Scope: compiled}
}

// fleets are 10,000 sets each.
func fleets() map[string]func(i int) sidecarset.Other {
	return map[string]func(i int) sidecarset.Other{
		"a namespace each": func(i int) sidecarset.Other {
			return madeOf(fmt.Sprint("set-", i), "web", fmt.Sprint("ns-", i), 80)
		},
		"100 apps in 100 namespaces": func(i int) sidecarset.Other {
			return madeOf(fmt.Sprint("set-", i), fmt.Sprint("app-", i%100), fmt.Sprint("ns-", i/100), 80)
		},
		"all on one port": func(i int) sidecarset.Other { return madeOf(fmt.Sprint("set-", i), "web", "", 80) },
		"a label each, all on one port": func(i int) sidecarset.Other {
			o := madeOf(fmt.Sprint("set-", i), "web", "", 80)
			o.Set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{fmt.Sprint("inject-", i): "true"}}
			o.Scope, _ = scope.Of(&o.Set.Spec)
			return o
		},
		"half by namespace, half everywhere by app": func(i int) sidecarset.Other {
			if i%2 == 0 {
				return madeOf(fmt.Sprint("set-", i), "web", fmt.Sprint("ns-", i), 80)
			}
			return madeOf(fmt.Sprint("set-", i), fmt.Sprint("app-", i), "", 80)
		},
	}
}

// TestClaims_lookAtFewOfMany: a change among 3,000 sets looks at some dozens of them at most. A look allocates, so
// allocations tell.
func TestClaims_lookAtFewOfMany(t *testing.T) {
	const n = 3000
	for name, made := range fleets() {
		t.Run(name, func(t *testing.T) {
			var claims sidecarset.Claims
			for i := range n {
				claims.Put(made(i))
			}
			one, other := made(n/2), made(n/2)
			other.Set.Spec.Containers[0].Ports[0].ContainerPort = 81
			got := testing.AllocsPerRun(5, func() {
				claims.Put(other)
				claims.Put(one)
			})
			if got > n {
				t.Errorf("%.0f allocations for two changes among %d sets: it looks at all of them", got, n)
			}
		})
	}
}

// BenchmarkClaims builds 10,000 sets (build), and changes the port of one and back (change).
func BenchmarkClaims(b *testing.B) {
	for name, made := range fleets() {
		all := make([]sidecarset.Other, 10_000)
		for i := range all {
			all[i] = made(i)
		}
		build := func() *sidecarset.Claims {
			claims := &sidecarset.Claims{}
			for _, o := range all {
				claims.Put(o)
			}
			return claims
		}
		b.Run("build/"+name, func(b *testing.B) {
			for b.Loop() {
				build()
			}
		})
		b.Run("change/"+name, func(b *testing.B) {
			claims := build()
			others := make([]sidecarset.Other, len(all))
			for i, o := range all {
				others[i] = sidecarset.Other{Set: o.Set.DeepCopy(), Scope: o.Scope}
				others[i].Set.Spec.Containers[0].Ports[0].ContainerPort = 81
			}
			concerned := 0
			for i := 0; b.Loop(); i++ {
				concerned += len(claims.Put(others[i%len(all)])) + len(claims.Put(all[i%len(all)]))
			}
			b.ReportMetric(float64(concerned)/float64(b.N), "concerned/op")
		})
	}
}

func portOf(port int32) corev1.ContainerPort { return corev1.ContainerPort{ContainerPort: port} }
