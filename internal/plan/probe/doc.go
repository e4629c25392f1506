// Package probe answers what a PodProbeMarker asks of a Pod, when a probe is due, and what its results mean.
//
// Marker (marker.go) is a PodProbeMarker read once; Wanted (wanted.go) says what is probed in one Pod and why something
// is not. For the agent of a node Timing says how often a probe runs, Track (track.go) makes a state of single results, and
// Wheel (wheel.go) knows which probe is due next.
//
// The package sends no request and writes to no Pod. Start at Wanted.
package probe
