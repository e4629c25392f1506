// Package cloneset says what a CloneSet means: how many Pods there are, which are deleted and updated, in which
// order, how many at a time, what its status says, which specs are refused.
//
// Everything here is pure. Start at Plan (plan.go); Observed is all it knows. The controller calls Project for every
// Pod event, and Observe, Plan and Status once per reconcile. Validate lists what is wrong with a CloneSet; start at
// validate.go.
package cloneset
