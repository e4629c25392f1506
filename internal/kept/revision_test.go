package kept

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
)

func TestTrimRevision_keepsWhatIsOfOurWorkloads(t *testing.T) {
	for of, want := range map[string]bool{"apps.kruise.io/v1beta1": true, "apps.kruise.io/v1alpha1": true, "apps/v1": false, "apps.kruise.io.evil/v1": false} {
		r := &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: []byte("{}")}}
		r.Name, r.Namespace, r.UID, r.ResourceVersion = "r", "default", "uid", "5"
		r.Labels, r.ManagedFields = map[string]string{"a": "b"}, []metav1.ManagedFieldsEntry{{}}
		r.OwnerReferences = []metav1.OwnerReference{{APIVersion: of, Kind: "CloneSet", Name: "web", UID: "1", Controller: ptr.To(true)}}
		trimmed, err := TrimRevision(r)
		if err != nil {
			t.Fatal(err)
		}
		kept := trimmed.(*appsv1.ControllerRevision)
		if got := len(kept.Data.Raw) > 0 && kept.Labels != nil && kept.OwnerReferences != nil; got != want {
			t.Errorf("of %s: everything is kept: %v, want %v", of, got, want)
		}
		if kept.Name != "r" || kept.UID != "uid" || kept.ResourceVersion != "5" || kept.ManagedFields != nil || !want && kept.Data.Raw != nil {
			t.Errorf("of %s: kept %+v", of, kept)
		}
		if Adoptable(kept) {
			t.Errorf("of %s: it can be adopted", of)
		}
	}
	orphan := &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: []byte("{}")}}
	orphan.Labels = map[string]string{"a": "b"}
	if _, err := TrimRevision(orphan); err != nil || !Adoptable(orphan) || orphan.Labels == nil {
		t.Errorf("of nobody: kept %+v, %v; want all of it", orphan, err)
	}
	if _, err := TrimRevision(&metav1.PartialObjectMetadata{}); err == nil {
		t.Error("something else is taken for a revision")
	}
}
