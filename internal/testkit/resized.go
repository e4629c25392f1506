package testkit

import (
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// Resized notes in a Pod's managedFields who changed which cpu and memory of its containers through the subresource resize,
// as the API server does: what one manager changes is not another's any more.
func Resized(old, now *corev1.Pod, manager string) {
	now.ManagedFields = slices.Clone(now.ManagedFields)
	if !slices.ContainsFunc(now.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return resizes(&e, manager) }) {
		now.ManagedFields = append(now.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, Subresource: "resize", FieldsV1: metav1.NewFieldsV1("{}")})
	}
	changed := changedAmounts("f:containers", old.Spec.Containers, now.Spec.Containers)
	changed = append(changed, changedAmounts("f:initContainers", old.Spec.InitContainers, now.Spec.InitContainers)...)
	for i := range now.ManagedFields {
		e := &now.ManagedFields[i]
		if e.Subresource != "resize" {
			continue
		}
		fields := fieldTree{}
		if err := json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields); err != nil {
			panic("read managedFields that were written here: " + err.Error())
		}
		for _, path := range changed {
			fields.set(path, e.Manager == manager)
		}
		raw, err := json.Marshal(fields)
		if err != nil {
			panic("write managedFields: " + err.Error())
		}
		e.FieldsV1 = metav1.NewFieldsV1(string(raw))
	}
}

func resizes(e *metav1.ManagedFieldsEntry, manager string) bool {
	return e.Manager == manager && e.Subresource == "resize"
}

// changedAmounts are the paths of the cpu and memory that differ.
func changedAmounts(list string, old, now []corev1.Container) (paths [][]string) {
	for i := range now {
		before, after := inplace.AmountsOf(&old[i], false, ""), inplace.AmountsOf(&now[i], false, "")
		for at, place := range inplace.AmountPlaces() {
			if before.Of[at] != after.Of[at] {
				paths = append(paths, []string{"f:spec", list, `k:{"name":"` + now[i].Name + `"}`, "f:resources", "f:" + place.List, "f:" + place.Resource})
			}
		}
	}
	return paths
}

// fieldTree is the JSON object of objects by which managedFields name fields.
type fieldTree map[string]fieldTree

// set adds a path, or takes it out.
func (t fieldTree) set(path []string, there bool) {
	key := path[0]
	switch {
	case len(path) > 1:
		if t[key] == nil {
			t[key] = fieldTree{}
		}
		t[key].set(path[1:], there)
	case there:
		t[key] = fieldTree{}
	default:
		delete(t, key)
	}
}
