// Package podprobemarker answers what a PodProbeMarker means: what is refused of it (Validate), what its status says, and
// when it may go (Plan).
//
// What is probed in a Pod is in internal/plan/probe, how nodes are told and what becomes of the results in
// internal/kind/nodepodprobe. All of them play together in the stories in testdata/seq; begin with life.txtar.
package podprobemarker
