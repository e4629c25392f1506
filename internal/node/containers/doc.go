// Package containers is the node agent's half of ContainerRecreateRequests: it observes a request and the containers of its
// Pod, has internal/kind/containerrecreaterequest decide what comes next, and does that: write the request's status, or run
// a preStop hook and stop a container.
//
// It keeps nothing that matters: what was begun is in the status before it is begun, so an agent that is started again, or
// two of them, do nothing twice. Start at Reconcile.
package containers
