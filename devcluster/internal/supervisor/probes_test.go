package supervisor

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestTakesPods(t *testing.T) {
	ready := corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}
	notReady := corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}}
	taint := func(key string) corev1.NodeSpec { return corev1.NodeSpec{Taints: []corev1.Taint{{Key: key}}} }
	cases := map[string]struct {
		node corev1.Node
		want bool
	}{
		"new":            {corev1.Node{}, false},
		"ready":          {corev1.Node{Status: ready}, true},
		"not ready":      {corev1.Node{Status: notReady}, false},
		"ready, tainted": {corev1.Node{Status: ready, Spec: taint(corev1.TaintNodeNotReady)}, false},
		"a user's taint": {corev1.Node{Status: ready, Spec: taint("example.com/x")}, true},
	}
	for name, c := range cases {
		if got := takesPods(&c.node); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
