// Package probe answers what a PodProbeMarker asks of a Pod, when a probe is due, and what its results mean.
//
// Marker (marker.go) is a PodProbeMarker read once; Wanted (wanted.go) says what is probed in one Pod and why something
// is not. Rivals (rivals.go) says where an older marker goes first. For the agent of a node Timing (timing.go) says how often a probe runs,
// track (track.go) makes a state of single results, and Agenda (agenda.go) knows which probes are due next, so that they begin
// together and no Pod takes all places.
//
// The package sends no request and writes to no Pod. Start at Wanted.
package probe
