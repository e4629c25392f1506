package nodeagent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
)

func TestPlan(t *testing.T) {
	n := &Node{Name: "a", UID: "1"}
	earlier := &Node{Name: "a", UID: "0"}
	wider := role(n)
	wider.Rules = append(wider.Rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}})
	aggregated := role(n)
	aggregated.AggregationRule = &rbacv1.AggregationRule{}
	shared := role(n)
	shared.Labels["rbac.authorization.k8s.io/aggregate-to-view"] = "true"
	unlabelled := account(n)
	unlabelled.Labels = nil
	leaving := account(n)
	leaving.DeletionTimestamp = &metav1.Time{}
	other := binding(n)
	other.Subjects[0].Name = "node-b"
	manager := binding(n)
	manager.RoleRef.Name = "kruise-manager"
	for name, c := range map[string]struct {
		part Part
		o    Observed
		// want is the verb of the step or the reason of the hold; empty: neither.
		want string
	}{
		"no node":                           {Account, Observed{Account: account(earlier)}, ""},
		"a virtual node":                    {Account, Observed{Node: &Node{Name: "a", Virtual: true}}, ""},
		"a node that leaves":                {Account, Observed{Node: &Node{Name: "a", Leaving: true}}, ""},
		"no account":                        {Account, Observed{Node: n}, "CreateObject"},
		"account as it must be":             {Account, Observed{Node: n, Account: account(n)}, ""},
		"account of an earlier node":        {Account, Observed{Node: n, Account: account(earlier)}, "DeleteObject"},
		"account without our label":         {Account, Observed{Node: n, Account: unlabelled}, "DeleteObject"},
		"role that others take over":        {Role, Observed{Node: n, Role: shared}, "DeleteObject"},
		"account that is being deleted":     {Account, Observed{Node: n, Account: leaving}, "WaitingForDeletion"},
		"account was just made":             {Account, Observed{Node: n, Unseen: true}, "WaitingForCache"},
		"account was refused":               {Account, Observed{Node: n, Refused: "no"}, "RefusedByAPIServer"},
		"no role":                           {Role, Observed{Node: n}, "CreateObject"},
		"role as it must be":                {Role, Observed{Node: n, Role: role(n)}, ""},
		"role with more":                    {Role, Observed{Node: n, Role: wider}, "DeleteObject"},
		"role that takes over other roles":  {Role, Observed{Node: n, Role: aggregated}, "DeleteObject"},
		"role of an earlier node":           {Role, Observed{Node: n, Role: role(earlier)}, "DeleteObject"},
		"no binding, and no role":           {Binding, Observed{Node: n}, "WaitingForRole"},
		"no binding":                        {Binding, Observed{Node: n, Role: role(n)}, "CreateObject"},
		"binding as it must be":             {Binding, Observed{Node: n, Role: role(n), Binding: binding(n)}, ""},
		"binding to another node's account": {Binding, Observed{Node: n, Role: role(n), Binding: other}, "DeleteObject"},
		"binding of another role":           {Binding, Observed{Node: n, Role: role(n), Binding: manager}, "DeleteObject"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, told(Plan(c.part, c.o))); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func told(p plan.Plan) string {
	if len(p.Steps)+len(p.Holds) > 1 {
		return p.String()
	}
	for _, s := range p.Steps {
		return string(s.Verb)
	}
	for _, h := range p.Holds {
		return string(h.Reason)
	}
	return ""
}

// TestRules_areLeast: nothing but what is named after the node, no writing but of status, and by name only.
func TestRules_areLeast(t *testing.T) {
	for _, r := range rules("a") {
		if diff := cmp.Diff([]string{"a"}, r.ResourceNames); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				status := len(resource) > 7 && resource[len(resource)-7:] == "/status"
				if reading := verb == "get" || verb == "list" || verb == "watch"; !reading && (verb != "patch" || !status) {
					t.Errorf("%s %s", verb, resource)
				}
			}
		}
	}
}
