// Package v1beta1 holds the stored ("hub") version of the apps.kruise.io kinds.
//
// Every controller, webhook and planner of Outrigger sees this version only; v1alpha1 is
// converted at the API server's door. The JSON forms, labels and annotations are those of
// OpenKruise, so that its manifests and tools keep working.
//
// Start reading at sidecarset_types.go; keys.go lists the labels and annotations.
//
// +kubebuilder:object:generate=true
// +groupName=apps.kruise.io
package v1beta1
