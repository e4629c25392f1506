package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// The annotations that the SidecarSets of some worlds give to their Pods: one of each policy.
const (
	retained    = "retained"
	overwritten = "overwritten"
	merged      = "merged"
)

// annotations are what a user writes into patchPodMetadata.
func (w *World) annotations() []v1beta1.SidecarSetPatchPodMetadata {
	n := w.dice.IntN(3)
	return []v1beta1.SidecarSetPatchPodMetadata{
		{Annotations: map[string]string{retained: fmt.Sprint("given ", n)}},
		{Annotations: map[string]string{overwritten: fmt.Sprint("given ", n)}, PatchPolicy: v1beta1.SidecarSetOverwritePatchPolicy},
		{Annotations: map[string]string{merged: fmt.Sprintf(`{"given":%d,"gone":null}`, n)}, PatchPolicy: v1beta1.SidecarSetMergePatchJSONPatchPolicy},
	}
}

// userAnnotates changes, once in a while, what the set gives.
func (w *World) userAnnotates() bool {
	if !w.annotates || w.dice.IntN(10) > 0 {
		return false
	}
	w.edit("changes annotations", func(s *v1beta1.SidecarSetSpec) { s.PatchPodMetadata = w.annotations() })
	return true
}

// somebodyAnnotates changes or removes some of them in some Pods, while a rollout is likely to be under way.
func (w *World) somebodyAnnotates() {
	for _, l := range w.alive() {
		key := []string{retained, overwritten, merged}[w.dice.IntN(3)]
		value := []string{"", "", "its own", "{", `{"own":1,"gone":2}`, `{"given":9}`, "[1]"}[w.dice.IntN(7)]
		removed := w.dice.IntN(3) == 0
		w.After(time.Duration(w.dice.Int64N(int64(3*time.Second))), func() {
			if w.exists(l) && w.Faults {
				w.annotate(l, key, value, removed)
			}
		})
	}
}

func (w *World) annotate(l *life, key, value string, removed bool) {
	next := l.pod.DeepCopy()
	if next.Annotations[key] = value; removed {
		delete(next.Annotations, key)
	}
	w.Tell("somebody annotates %s with %s=%s (removed: %v)", next.Name, key, value, removed)
	w.commit(l, next, nil)
}

// mendAnnotations makes JSON of what is to be merged with.
func (w *World) mendAnnotations() {
	for _, l := range w.alive() {
		if value, has := l.pod.Annotations[merged]; has && !json.Valid([]byte(value)) && value != "" {
			w.annotate(l, merged, `{"mended":true}`, false)
		}
	}
}

// checkAnnotations checks what a patch makes of the Pod's annotations beside our bookkeeping.
func (w *World) checkAnnotations(s *snapshot, l *life, after *corev1.Pod) {
	before, rest := l.pod, maps.Clone(after.Annotations)
	observed, _ := l.at(s.saw(l))
	for _, patch := range s.set.Spec.PatchPodMetadata {
		for key, given := range patch.Annotations {
			was, had := before.Annotations[key]
			now, has := after.Annotations[key]
			if now == was && has == had { // left alone: then it was right when observed
				was, had = observed.annotations[key]
				now = was
			}
			if !right(patch.PatchPolicy, given, was, had, now) {
				w.Violate("annotations", "%s: %s of %s into %s=%s (there: %v) makes %s", before.Name, patch.PatchPolicy, given, key, was, had, now)
			}
			delete(rest, key)
		}
	}
	for key := range rest {
		if _, had := before.Annotations[key]; !had {
			w.Violate("innocent", "%s: annotation %s is new", before.Name, key)
		}
	}
}

// right tells whether an annotation is what the policy says, worked out in another way than the product does.
func right(policy v1beta1.SidecarSetPatchPolicyType, given, was string, had bool, now string) bool {
	switch {
	case policy == v1beta1.SidecarSetOverwritePatchPolicy:
		return now == given
	case policy != v1beta1.SidecarSetMergePatchJSONPatchPolicy:
		return had && now == was || !had && now == given
	case was == "" || was == "[1]": // RFC 7386: what is no object counts as an empty one
		was = "{}"
	}
	want, err := jsonpatch.MergePatch([]byte(was), []byte(given))
	var a, b any
	return err == nil && json.Unmarshal(want, &a) == nil && json.Unmarshal([]byte(now), &b) == nil && reflect.DeepEqual(a, b)
}
