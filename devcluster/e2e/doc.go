// Package e2e tests devcluster as its users meet it: the built program, a real
// control plane, pods of which only the simulated kubelet knows that they do
// not run.
//
// The tests need the heavy binary, and minutes when it has to be built first,
// so they run only with DEVCLUSTER_E2E=1 (`make test` sets it). With
// DEVCLUSTER_BENCH=1 TestThroughput prints the figures of the README.
package e2e
