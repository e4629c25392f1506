// Package nodeagent gives the agent of each node its rights, as internal/kind/nodeagent decides. One look is at one node and
// at its account, role and binding. Start at Reconcile.
package nodeagent
