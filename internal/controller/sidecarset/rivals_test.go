package sidecarset

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// listening is a SidecarSet for app=web with a container of its own name that has a port.
func listening(name string, port int32) *v1beta1.SidecarSet {
	set := testkit.SidecarSet(name, "proxy:1", intstr.FromInt32(1))
	set.Spec.Containers[0].Name = name
	set.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: port}}
	return set
}

func inNamespace(set *v1beta1.SidecarSet, namespace string) *v1beta1.SidecarSet {
	set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
	return set
}

// conflicting are the sets' conditions Conflicting, as they were last written.
func (w *world) conflicting() map[string]string {
	all := map[string]string{}
	for name, set := range w.sets {
		owner := ownerNamed(name)
		owner.UID = string(set.UID)
		all[name] = "absent"
		status := w.r.reporter.Current(owner, set.ResourceVersion, set.Status)
		if c := meta.FindStatusCondition(status.Conditions, v1beta1.ConditionConflicting); c != nil {
			all[name] = fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
		}
	}
	return all
}

func sharesPort(port int32, other string) string {
	return fmt.Sprintf("True RiskyConflict: spec.containers[0].ports[0].containerPort %d is a port of SidecarSet %s as well: only one container of a Pod can listen on it", port, other)
}

const (
	never  = "absent"
	noMore = "False NoConflict: no other SidecarSet that may select the same Pods claims the same"
)

func TestConflicting_followsBothSets(t *testing.T) {
	w := newWorld(t)
	anew := listening("b", 81)
	anew.UID = "another"
	for _, step := range []struct {
		what string
		do   func()
		want map[string]string
	}{
		{"nothing in common", func() {
			w.apply(inNamespace(listening("a", 80), "n1"))
			w.apply(listening("b", 81))
			w.apply(inNamespace(listening("c", 80), "n2"))
		}, map[string]string{"a": never, "b": never, "c": never}},
		{"b takes a's and c's port", func() { w.apply(listening("b", 80)) }, map[string]string{
			"a": sharesPort(80, "b"), "c": sharesPort(80, "b"),
			"b": sharesPort(80, "a") + "; " + sharesPort(80, "c")[len("True RiskyConflict: "):],
		}},
		{"c goes elsewhere", func() { w.apply(inNamespace(listening("c", 82), "n2")) }, map[string]string{
			"a": sharesPort(80, "b"), "b": sharesPort(80, "a"), "c": noMore,
		}},
		{"the manager starts anew", func() {
			for name, set := range w.sets {
				owner := ownerNamed(name)
				owner.UID = string(set.UID)
				set.Status = w.r.reporter.Current(owner, set.ResourceVersion, set.Status)
			}
			w.start()
		}, map[string]string{"a": sharesPort(80, "b"), "b": sharesPort(80, "a"), "c": noMore}},
		{"a is deleted", func() { w.remove("a") }, map[string]string{"b": noMore, "c": noMore}},
		{"b is made anew, which arrives as one update", func() { w.apply(anew) }, map[string]string{"b": never, "c": noMore}},
		{"c takes the port of the new b", func() { w.apply(listening("c", 81)) }, map[string]string{"b": sharesPort(81, "c"), "c": sharesPort(81, "b")}},
	} {
		step.do()
		w.run()
		if diff := cmp.Diff(step.want, w.conflicting()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}

// TestSetChanged_wakesWhomItConcerns: a look at a set costs, and with 10,000 sets none may be for nothing.
func TestSetChanged_wakesWhomItConcerns(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		w.apply(inNamespace(listening(fmt.Sprintf("one-%02d", i), 80), fmt.Sprint("n", i)))
		w.apply(inNamespace(listening(fmt.Sprintf("two-%02d", i), 81), fmt.Sprint("n", i)))
	}
	w.run()
	const name = "one-07"
	tests := map[string]struct {
		change func(set *v1beta1.SidecarSet)
		want   []string
	}{
		"nothing":               {func(*v1beta1.SidecarSet) {}, nil},
		"its status":            {func(s *v1beta1.SidecarSet) { s.Status.MatchedPods++ }, nil},
		"its labels":            {func(s *v1beta1.SidecarSet) { s.Labels = map[string]string{"a": "b"} }, nil},
		"its annotations":       {func(s *v1beta1.SidecarSet) { s.Annotations = map[string]string{"a": "b"} }, nil},
		"its image":             {func(s *v1beta1.SidecarSet) { s.Generation++; s.Spec.Containers[0].Image = "proxy:2" }, []string{name}},
		"a port of others":      {func(s *v1beta1.SidecarSet) { s.Generation++; s.Spec.Containers[0].Ports[0].ContainerPort = 81 }, []string{name, "two-07"}},
		"its UID":               {func(s *v1beta1.SidecarSet) { s.UID = "another" }, []string{name}},
		"a namespace of others": {func(s *v1beta1.SidecarSet) { s.Generation++; inNamespace(s, "n9") }, []string{name, "one-09"}},
	}
	for what, tc := range tests {
		t.Run(what, func(t *testing.T) {
			old := w.sets[name]
			now := old.DeepCopy()
			tc.change(now)
			clear(w.due)
			w.r.setChanged(w, old, now)
			if diff := cmp.Diff(tc.want, slices.Sorted(maps.Keys(w.due))); diff != "" {
				t.Errorf("woken (-want +got):\n%s", diff)
			}
			w.r.setChanged(w, now, old)
		})
	}
}

// TestConflicting_statusesAreWrittenOnce: what is stable is not written again.
func TestConflicting_statusesAreWrittenOnce(t *testing.T) {
	w := newWorld(t)
	for i := range 30 {
		w.apply(listening(fmt.Sprintf("set-%02d", i), 80))
	}
	w.run()
	before := w.api.Calls().PatchStatus
	for name := range w.sets {
		w.AddAfter(requestFor(name), time.Minute)
	}
	w.run()
	if got := w.api.Calls().PatchStatus - before; got != 0 {
		t.Errorf("%d statuses are written although nothing changed", got)
	}
}

// TestSetChanged_followsTheCustomVersion: in v1alpha1 it is a label, which makes no new generation.
func TestSetChanged_followsTheCustomVersion(t *testing.T) {
	set := func(field, label string) *v1beta1.SidecarSet {
		s := listening("a", 80)
		s.Spec.CustomVersion = field
		s.Labels = map[string]string{v1beta1.SidecarSetCustomVersionLabel: label, "team": field + label}
		return s
	}
	for name, tc := range map[string]struct {
		old, now *v1beta1.SidecarSet
		want     bool
	}{
		"field":               {set("v1", ""), set("v2", ""), true},
		"label":               {set("", "v1"), set("", "v2"), true},
		"label becomes field": {set("", "v1"), set("v1", ""), false},
		"nothing":             {set("v1", ""), set("v1", ""), false},
	} {
		w := newWorld(t)
		w.r.setChanged(w, tc.old, tc.now)
		if got := len(w.due) > 0; got != tc.want {
			t.Errorf("%s: wakes %t, want %t", name, got, tc.want)
		}
	}
}
