// Package containerrecreaterequest is the manager's half of ContainerRecreateRequests: it observes a request and its Pod,
// has internal/kind/containerrecreaterequest decide, and carries that out. The containers are the node agent's matter.
//
// It keeps nothing of Pods: while a request is under way, every change of its Pod leads to one read of that Pod from the API
// server. Start at Reconcile.
package containerrecreaterequest
