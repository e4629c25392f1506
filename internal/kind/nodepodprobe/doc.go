// Package nodepodprobe answers what a node is told to probe, and what becomes of the results.
//
// Plan compares, for one node, what the PodProbeMarkers want of its Pods with its NodePodProbe: the whole list of probes is made
// anew each time, so whatever is not wanted any more goes, and an address that changed is told. It compares what the
// agent found with the Pods, and writes to each that differs once: its conditions, labels and annotations together.
//
// What is not wanted of a Pod any more is taken back: labels, annotations and conditions that only we wrote (the API
// server keeps account of that) go when no PodProbeMarker of the Pod asks for them. A condition that is a
// readinessGate stays as it is: to delete a PodProbeMarker must not take Pods out of service.
//
// Start at Plan.
package nodepodprobe
