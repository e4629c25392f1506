package scope_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

func TestScope_matches(t *testing.T) {
	nginx := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "nginx"}}
	prod := &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
	ns1 := &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "ns-1"}}
	notNs1 := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"ns-1"}},
	}}
	for name, tc := range map[string]struct {
		pods, namespaces *metav1.LabelSelector
		pod              labels.Set
		namespace        labels.Set
		// wantIn is what MatchesIn says of namespace ns-1, want what Matches says.
		want, wantIn bool
		why          string
	}{
		"selected": {pods: nginx, pod: labels.Set{"app": "nginx"}, namespace: labels.Set{}, want: true, wantIn: true},
		"selected, unknown namespace": {
			pods: nginx, pod: labels.Set{"app": "nginx"}, want: true, wantIn: true,
		},
		"other value": {
			pods: nginx, pod: labels.Set{"app": "web"},
			why: "its selector asks for app=nginx, the pod has app=web",
		},
		"no label": {pods: nginx, why: "its selector asks for app=nginx, the pod has no label app"},
		"empty selector": {
			pods: &metav1.LabelSelector{}, pod: labels.Set{"app": "web"},
			why: "its selector is empty, which selects nothing",
		},
		"no selector": {pod: labels.Set{"app": "web"}, why: "its selector selects nothing"},
		"namespace label": {
			pods: nginx, namespaces: prod, pod: labels.Set{"app": "nginx"}, namespace: labels.Set{"env": "prod"}, want: true, wantIn: true,
		},
		"other namespace label": {
			pods: nginx, namespaces: prod, pod: labels.Set{"app": "nginx"}, namespace: labels.Set{"env": "dev"},
			why: "its namespaceSelector asks for env=prod, namespace ns-1 has env=dev",
		},
		"unknown namespace with namespaceSelector": {
			pods: nginx, namespaces: prod, pod: labels.Set{"app": "nginx"},
			why: "its namespaceSelector asks for env=prod, and the labels of namespace ns-1 are not known",
		},
		"unknown namespace, name is enough": {pods: nginx, namespaces: ns1, pod: labels.Set{"app": "nginx"}, wantIn: true},
		"unknown namespace, name excluded": {
			pods: nginx, namespaces: notNs1, pod: labels.Set{"app": "nginx"},
			why: "its namespaceSelector asks for kubernetes.io/metadata.name notin (ns-1), the namespace is ns-1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := scope.Of(&v1beta1.SidecarSetSpec{Selector: tc.pods, NamespaceSelector: tc.namespaces})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Matches(tc.pod, tc.namespace); got != tc.want {
				t.Errorf("Matches() = %t, want %t", got, tc.want)
			}
			if got := s.MatchesIn(tc.pod, "ns-1", tc.namespace); got != tc.wantIn {
				t.Errorf("MatchesIn() = %t, want %t", got, tc.wantIn)
			}
			if got := s.Why(tc.pod, "ns-1", tc.namespace); got != tc.why {
				t.Errorf("Why() = %q, want %q", got, tc.why)
			}
		})
	}
}

func TestOf_malformedSelector(t *testing.T) {
	bad := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "near"}}}
	good := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "nginx"}}
	for want, spec := range map[string]v1beta1.SidecarSetSpec{
		`spec.selector: "near" is not a valid label selector operator`:          {Selector: bad},
		`spec.namespaceSelector: "near" is not a valid label selector operator`: {Selector: good, NamespaceSelector: bad},
	} {
		if _, err := scope.Of(&spec); err == nil || err.Error() != want {
			t.Errorf("Of() = %v, want %s", err, want)
		}
	}
}
