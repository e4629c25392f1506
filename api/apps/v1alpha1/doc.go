// Package v1alpha1 holds the version of the apps.kruise.io kinds that most manifests are written in.
//
// It is served in full and converted to v1beta1, the stored version, by conversion.go. Only the fields
// that differ are declared here; everything else is v1beta1's.
//
// +kubebuilder:object:generate=true
// +groupName=apps.kruise.io
package v1alpha1
