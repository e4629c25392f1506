// Package probes runs the probes of one node's NodePodProbe and writes what they found into its status.
//
// It decides nothing: when a probe is due, what its results mean and when they are written is probe.Agenda
// (internal/plan/probe), which one goroutine owns (loop.go). Beside it there are inFlight goroutines that run probes, and one
// while the status is written. run.go runs one probe; watch.go follows the containers. A probe over the
// network goes to an address that the container runtime says is the Pod's own, and nowhere else.
//
// Start at Actor.Start.
package probes
