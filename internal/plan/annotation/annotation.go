// Package annotation answers what a SidecarSet's spec.patchPodMetadata makes of a Pod's annotations.
//
// The rule of one annotation is Patch.Apply, at the Pod's creation and at every in-place update alike; Change says
// it as part of an update. The package does not know which Pods are meant, nor which annotations a cluster allows.
// Start at Prepare.
package annotation

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// CheckKey lists what is wrong with the key of an annotation that a SidecarSet gives.
func CheckKey(key string) []string {
	problems := validation.IsQualifiedName(strings.ToLower(key)) // as of the annotations of any object
	if reserved(key) {
		problems = append(problems, "is bookkeeping of SidecarSets or of kubectl, and not to be given")
	}
	return problems
}

// reserved tells whether an annotation is somebody's bookkeeping: ours of the sidecars in a Pod, or kubectl's copy of the
// manifest, which is long and which nobody needs.
func reserved(key string) bool {
	for _, prefix := range [...]string{"kruise.io/sidecarset-", "version.sidecarset.kruise.io/", "versionalt.sidecarset.kruise.io/"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return key == corev1.LastAppliedConfigAnnotation
}

// Patch is one annotation that a SidecarSet gives to its Pods, made ready. It does not change and may be used
// concurrently.
type Patch struct {
	// Key of the annotation.
	Key string

	policy v1beta1.SidecarSetPatchPolicyType
	// value is what a Pod without the annotation gets.
	value string
	// merge is the merge patch of MergePatchJson.
	merge map[string]any
}

// Prepare makes the annotations of a SidecarSet ready, sorted by key. It fails, naming the annotation, for what
// admission refuses and could not be carried out: wrong keys, and merge patches that are not JSON objects.
func Prepare(patches []v1beta1.SidecarSetPatchPodMetadata) ([]Patch, error) {
	var all []Patch
	for i := range patches {
		for key, value := range patches[i].Annotations {
			p, err := prepare(key, value, patches[i].PatchPolicy)
			if err != nil {
				return nil, fmt.Errorf("spec.patchPodMetadata[%d].annotations[%s]: %w", i, key, err)
			}
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Patch) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

func prepare(key, value string, policy v1beta1.SidecarSetPatchPolicyType) (Patch, error) {
	p := Patch{Key: key, policy: cmp.Or(policy, v1beta1.SidecarSetRetainPatchPolicy), value: value}
	if problems := CheckKey(key); len(problems) > 0 {
		return p, errors.New(strings.Join(problems, "; "))
	}
	if p.policy != v1beta1.SidecarSetMergePatchJSONPatchPolicy {
		return p, nil
	}
	merge, err := Object(value)
	if err != nil {
		return p, err
	}
	p.merge = merge
	if pure, changed := withoutNull(merge); changed {
		p.value = encode(pure)
	}
	return p, nil
}

// Size is the length of the value that a Pod without the annotation gets.
func (p *Patch) Size() int { return len(p.value) }

// Apply returns the annotation's value after the patch; it has one in any case. now is the value before, has tells
// whether there was one.
//
//	                 no annotation    empty value    any other
//	Retain           ours             stays          stays
//	Overwrite        ours             ours           ours
//	MergePatchJson   ours *           ours *         merged (RFC 7386); an error if it is not JSON
//
// * Members that are null ask for a removal and are left out. A merge that changes nothing leaves every byte as it is,
// so that to apply a patch twice is to apply it once.
func (p *Patch) Apply(now string, has bool) (string, error) {
	switch {
	case !has:
		return p.value, nil
	case p.policy == v1beta1.SidecarSetRetainPatchPolicy:
		return now, nil
	case p.policy == v1beta1.SidecarSetMergePatchJSONPatchPolicy && now != "":
		return merged(now, p.merge)
	}
	return p.value, nil
}

// Change returns what an in-place update writes to a Pod that has these annotations; false: nothing. What it depends
// on is tested with it: that there is no such annotation, or the value that was merged with. To overwrite depends on
// nothing, so that is done in any case.
func (p *Patch) Change(pod List) (change plan.AnnotationChange, some bool, err error) {
	now, has := pod.Get(p.Key)
	value, err := p.Apply(now, has)
	if err != nil {
		return change, false, err
	}
	if p.policy == v1beta1.SidecarSetOverwritePatchPolicy {
		return plan.AnnotationChange{Key: p.Key, Unchecked: true, To: value}, true, nil
	}
	if has && value == now {
		return change, false, nil
	}
	return plan.AnnotationChange{Key: p.Key, From: now, Absent: !has, To: value}, true, nil
}

// CheckMerge tells what keeps a Pod's annotation from being merged with.
func (p *Patch) CheckMerge(pod List) error {
	if p.merge == nil {
		return nil
	}
	if now, _ := pod.Get(p.Key); now != "" {
		return checkJSON(now)
	}
	return nil
}

// List is a Pod's annotations without those that are reserved, sorted by key. It is not to be changed.
type List []Entry

// Entry is one annotation.
type Entry struct{ Key, Value string }

// Of lists a Pod's annotations. Their strings are shared.
func Of(annotations map[string]string) List {
	n := 0
	for key := range annotations {
		if !reserved(key) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	l := make(List, 0, n)
	for key, value := range annotations {
		if !reserved(key) {
			l = append(l, Entry{key, value})
		}
	}
	slices.SortFunc(l, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	return l
}

// Get returns an annotation's value.
func (l List) Get(key string) (value string, has bool) {
	i, has := slices.BinarySearchFunc(l, key, func(e Entry, key string) int { return cmp.Compare(e.Key, key) })
	if !has {
		return "", false
	}
	return l[i].Value, true
}
