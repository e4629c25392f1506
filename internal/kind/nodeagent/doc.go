// Package nodeagent says what the agent of each node may do: an account of its own with a role over the objects that are
// named after its node, and nothing else. Why it is done so is in docs/adr/0009.
//
// The agent's Pods share one account, which may do one thing: get a token for the account of the node that the Pod is on.
// Start at Plan; objects.go is THE list of what an agent may read and write.
package nodeagent
