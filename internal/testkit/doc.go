// Package testkit is a made-up world for tests of what reads and writes the API: an API server that holds Pods
// and statuses, a lagging cache of it, a kubelet, and faults that strike at the n-th call.
//
// It runs without goroutines, time or network: a test moves it step by step. It is not a simulator of decisions
// (internal/sim is) and knows no kind. Start at API.
package testkit
