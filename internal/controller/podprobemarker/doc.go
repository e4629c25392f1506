// Package podprobemarker writes the status of PodProbeMarkers and keeps their finalizer.
//
// It decides nothing: what a PodProbeMarker means is in internal/kind/podprobemarker. Who tells nodes what to probe, and Pods
// what was found, is controller/nodepodprobe. Start at Reconcile (controller.go).
package podprobemarker
