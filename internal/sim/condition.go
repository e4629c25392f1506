package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// applyCondition writes a condition as the API server does: where it was seen, if it still is there and says the same.
func applyCondition(pod *corev1.Pod, c *plan.ConditionChange) error {
	conditions := slices.Clone(pod.Status.Conditions)
	if c.Absent {
		if c.Version != "" && c.Version != pod.ResourceVersion {
			return fmt.Errorf("resourceVersion is %s, not %s", pod.ResourceVersion, c.Version)
		}
		conditions = append(conditions, corev1.PodCondition{Type: corev1.PodConditionType(c.Type)})
		c = &plan.ConditionChange{
			Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message, Since: c.Since, Index: len(conditions) - 1,
		}
	}
	if c.Index >= len(conditions) || conditions[c.Index].Type != corev1.PodConditionType(c.Type) {
		return fmt.Errorf("condition %d is not %s", c.Index, c.Type)
	}
	now := &conditions[c.Index]
	if c.From != "" && now.Message != c.From {
		return fmt.Errorf("condition %s says %s", c.Type, now.Message)
	}
	now.Status, now.Reason, now.Message = corev1.ConditionStatus(c.Status), c.Reason, c.Message
	if c.Since != "" {
		since, err := time.Parse(time.RFC3339, c.Since)
		if err != nil {
			return fmt.Errorf("condition %s: %w", c.Type, err)
		}
		now.LastTransitionTime = metav1.NewTime(since)
	}
	pod.Status.Conditions = conditions
	return nil
}

// upgradable returns what a Pod's condition says, of each set, with its status, and how many such conditions there are.
func upgradable(pod *corev1.Pod) (entries map[string]bool, c corev1.PodCondition, n int) {
	for _, one := range pod.Status.Conditions {
		if one.Type == v1beta1.PodUpgradable {
			c, n = one, n+1
		}
	}
	if c.Message != "" && json.Unmarshal([]byte(c.Message), &entries) != nil {
		return nil, c, n
	}
	return entries, c, n
}

// otherSetWrites has the controller of another set, on an up to date view, write its entry.
func (w *World) otherSetWrites(l *life) {
	if l.Runs == nil || !w.exists(l) {
		return
	}
	entries, _, _ := upgradable(l.pod)
	says := w.Percent(50)
	next := map[string]bool{"other": says}
	all := says
	for set, can := range entries {
		if set != "other" {
			next[set], all = can, all && can
		}
	}
	message, err := json.Marshal(next)
	if err != nil {
		panic("marshal names and truth values: " + err.Error())
	}
	c := corev1.PodCondition{Type: v1beta1.PodUpgradable, Status: corev1.ConditionFalse, Message: string(message)}
	if all {
		c.Status = corev1.ConditionTrue
	}
	w.Tell("another set writes of %s: %s", l.pod.Name, message)
	pod := node.Shallow(l.pod)
	pod.Status.Conditions = slices.DeleteFunc(slices.Clone(pod.Status.Conditions), func(c corev1.PodCondition) bool {
		return c.Type == v1beta1.PodUpgradable
	})
	pod.Status.Conditions = append(pod.Status.Conditions, c)
	l.otherSays = strconv.FormatBool(says)
	w.commit(l, pod, nil)
}

// checkCondition checks a write of a condition that the API server is about to commit.
func (w *World) checkCondition(s *snapshot, step plan.Step, l *life, next *corev1.Pod) {
	if string(l.pod.UID) != step.Unit.UID {
		w.Violate("innocent", "%s is another pod than the one that was meant", step.Unit)
	}
	if leavesAlone(s.set) {
		w.Violate("condition", "%s is written to although paused or NotUpdate", step.Unit)
	}
	if !reflect.DeepEqual(l.pod.Spec, next.Spec) || !reflect.DeepEqual(l.pod.Annotations, next.Annotations) {
		w.Violate("condition", "%s: more is written than a condition", step.Unit)
	}
	before, _, _ := upgradable(l.pod)
	after, c, n := upgradable(next)
	if was, now := said(before, w.set.Name), said(after, w.set.Name); now == "" || was == now {
		w.Violate("condition", "%s: a write changes nothing: %s", step.Unit, c.Message)
	}
	if was, now := said(before, "other"), said(after, "other"); was != now || n != 1 {
		w.Violate("condition", "%s: of another set was said %q, now %s, in %d conditions", step.Unit, was, c.Message, n)
	}
	if v, observed := l.at(s.rvs[l.nr]); observed && after[w.set.Name] != v.upgradable(s.hash, s.withoutImage) {
		w.Violate("condition", "%s: says %s", step.Unit, c.Message)
	}
}

// said writes an entry: true, false, or nothing.
func said(entries map[string]bool, set string) string {
	if can, ok := entries[set]; ok {
		return strconv.FormatBool(can)
	}
	return ""
}

// upgradable tells whether no more than images differ from what a set asks for.
func (v version) upgradable(hash, withoutImage string) bool {
	return v.hash == hash || v.withoutImage == withoutImage
}

func leavesAlone(set *v1beta1.SidecarSet) bool {
	return set.Spec.UpdateStrategy.Paused || set.Spec.UpdateStrategy.Type == v1beta1.NotUpdate
}

// checkTold checks, when everything had time to happen, that the conditions say what is true. A Pod that never was told
// that it must be recreated need not be told that it can be upgraded.
func (w *World) checkTold() {
	hash, withoutImage := hashesOf(w.set)
	for _, l := range w.alive() {
		entries, c, n := upgradable(l.pod)
		can := l.last().upgradable(hash, withoutImage)
		if told := said(entries, w.set.Name); !leavesAlone(w.set) && told != strconv.FormatBool(can) && (told != "" || !can) {
			w.Violate("told", "%s can be upgraded: %v, and says %q", l.pod.Name, can, c.Message)
		}
		if n > 1 || n == 1 && (c.Status == corev1.ConditionTrue) != !slices.Contains(slices.Collect(maps.Values(entries)), false) {
			w.Violate("told", "%s has %d conditions, %s with %q", l.pod.Name, n, c.Status, c.Message)
		}
		if l.otherSays != "" && said(entries, "other") != l.otherSays {
			w.Violate("told", "%s: the other set's entry is lost: %q", l.pod.Name, c.Message)
		}
	}
}
