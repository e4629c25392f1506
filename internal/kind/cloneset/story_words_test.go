package cloneset_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

func unmarshal(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// tellPlan tells a plan: Pods with the same step for the same reason together.
func (s *story) tellPlan(p plan.Plan) string {
	var lines []string
	pods := map[string][]string{}
	add := func(verb, why, name string) {
		key := verb + "|" + why
		if pods[key] == nil {
			lines = append(lines, key)
		}
		pods[key] = append(pods[key], name)
	}
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Revision != nil {
			continue
		}
		name := step.Unit.Name
		if step.Verb == plan.CreatePod {
			name = s.versions[step.Target]
		}
		add(string(step.Verb), step.Why+effects(step), name)
	}
	for _, h := range p.Holds {
		add("hold", string(h.Reason)+": "+h.Why, h.Unit.Name)
	}
	var told strings.Builder
	for _, key := range lines {
		verb, why, _ := strings.Cut(key, "|")
		fmt.Fprintf(&told, "%s %s\n     %s\n", verb, strings.Join(pods[key], " "), why)
	}
	if p.WakeAfter > 0 {
		fmt.Fprintf(&told, "look again after %s\n", p.WakeAfter)
	}
	return s.rename(told.String())
}

// rename gives Pods and revisions the names that a reader knows them by.
func (s *story) rename(text string) string {
	if s.aliases != nil {
		text = s.aliases.Replace(text)
	}
	for revision, version := range s.versions {
		text = strings.ReplaceAll(text, revision, version)
	}
	return text
}

// effects tells what a step writes.
func effects(step *plan.Step) string {
	var told []string
	for _, c := range step.Change.Conditions {
		if c.Keep {
			continue
		}
		told = append(told, c.Type+"="+c.Status)
	}
	for _, c := range step.Change.Images {
		told = append(told, c.Container+" "+c.To)
	}
	for _, c := range step.Change.Resources {
		told = append(told, strings.TrimSpace(fmt.Sprintf("%s %s.%s %s to %s", c.Container, c.List, c.Resource, c.From, c.To)))
	}
	for _, c := range step.Change.Labels {
		switch c.Key {
		case v1beta1.LifecycleStateLabel:
			told = append(told, "state "+c.To)
		case "controller-revision-hash", v1beta1.PodTemplateHashLabel:
		default:
			told = append(told, c.Key+"="+c.To)
		}
	}
	for _, c := range step.Change.Annotations {
		if c.Key == v1beta1.InPlaceUpdateGraceAnnotation {
			told = append(told, map[bool]string{true: "grace ends", false: "grace begins"}[c.Remove])
		}
	}
	if step.Change.Finalizers != nil {
		told = append(told, fmt.Sprintf("finalizers %v", step.Change.Finalizers.To))
	}
	if step.Verb == plan.CreateObject {
		told = append(told, requested(step.Create.Object))
	}
	if step.Create != nil {
		for _, c := range step.Create.Claims {
			told = append(told, "claim "+c.Name)
		}
	}
	for _, c := range step.Claims {
		told = append(told, "deletes claim "+c.Name)
	}
	if len(told) == 0 {
		return ""
	}
	return "\n     [" + strings.Join(told, ", ") + "]"
}

// tellStatus tells the columns of kubectl get clone, and the conditions.
func (s *story) tellStatus() string {
	st := &s.set.Status
	replicas := int32(1)
	if s.set.Spec.Replicas != nil {
		replicas = *s.set.Spec.Replicas
	}
	var told strings.Builder
	fmt.Fprintf(&told, "status: desired %d, updated %d, updated ready %d, updated available %d, ready %d, total %d\n",
		replicas, st.UpdatedReplicas, st.UpdatedReadyReplicas, st.UpdatedAvailableReplicas, st.ReadyReplicas, st.Replicas)
	for _, c := range st.Conditions {
		fmt.Fprintf(&told, "     %s %s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	return s.rename(told.String())
}
