// Package sidecarset carries SidecarSets out: it keeps a record of every Pod that carries one, and turns what it
// sees of them into plans, writes, statuses and events.
//
// It decides nothing: what a SidecarSet means is in internal/kind/sidecarset, how a plan is carried out in
// internal/engine. Start at Reconcile (controller.go). observe.go says what is read for one look, records.go what
// the records of the Pods are made of, rivals.go whom a changed SidecarSet concerns, setup.go how all of it is tied to
// a manager. How records follow the watch is in internal/roster, what the cache keeps of a Pod in internal/kept.
package sidecarset
