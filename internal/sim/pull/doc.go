// Package pull is a made-up cluster in which ImagePullJobs are carried out, with a clock of its own and a seed: an API server
// that takes the product's patches, caches that lag, agents that pull, and faults. The decisions are the product's
// (internal/kind/imagepulljob, nodeimage), the hands are (internal/engine), and mutants show that the properties bite.
//
// Start at Run (run.go).
package pull
