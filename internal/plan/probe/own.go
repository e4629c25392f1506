package probe

import (
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// Own are the keys of labels and annotations, and the types of conditions, that results of probes left in a Pod and nobody
// changed since: the API server takes a field from its manager when another one gives it another value. Sorted.
type Own struct{ Labels, Annotations, Conditions []string }

// OwnOf reads managedFields. Most Pods have none.
func OwnOf(entries []metav1.ManagedFieldsEntry) (own Own) {
	for i := range entries {
		e := &entries[i]
		if e.Manager != plan.ProbeManager || e.FieldsV1 == nil {
			continue
		}
		var fields struct {
			Metadata struct {
				Labels      map[string]json.RawMessage `json:"f:labels"`
				Annotations map[string]json.RawMessage `json:"f:annotations"`
			} `json:"f:metadata"`
			Status struct {
				Conditions map[string]json.RawMessage `json:"f:conditions"`
			} `json:"f:status"`
		}
		if json.Unmarshal([]byte(e.FieldsV1.GetRawString()), &fields) != nil {
			continue // no API server writes that
		}
		own.Labels = append(own.Labels, names(fields.Metadata.Labels)...)
		own.Annotations = append(own.Annotations, names(fields.Metadata.Annotations)...)
		for key := range fields.Status.Conditions {
			if kind, ok := strings.CutPrefix(key, `k:{"type":"`); ok {
				own.Conditions = append(own.Conditions, strings.TrimSuffix(kind, `"}`))
			}
		}
	}
	slices.Sort(own.Labels)
	slices.Sort(own.Annotations)
	slices.Sort(own.Conditions)
	return own
}

// names are the keys of f:labels without their f:.
func names(fields map[string]json.RawMessage) (list []string) {
	for key := range fields {
		if name, ok := strings.CutPrefix(key, "f:"); ok {
			list = append(list, name)
		}
	}
	return list
}
