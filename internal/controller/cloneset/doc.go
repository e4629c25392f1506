// Package cloneset carries CloneSets out: it keeps a record of every Pod that a CloneSet owns or could adopt, and turns
// what it sees of them into plans, writes, statuses and events.
//
// It decides nothing: what a CloneSet means is in internal/kind/cloneset, how a plan is carried out in internal/engine.
// Start at Reconcile (controller.go). observe.go says what is read for one look, members.go what is known of the Pods,
// watch.go which events lead to a look, setup.go how all of it is tied to a manager. How records follow the watch is
// in internal/roster, what the cache keeps of a Pod in internal/kept.
package cloneset
