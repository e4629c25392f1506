// Package containers is the node agent's half of ContainerRecreateRequests. It is told of them by the NodeContainerRecreate of
// its node, whose status it writes; internal/kind/containerrecreaterequest decides what comes next for each of them.
//
// One loop (actor.go) looks at the object and at the containers, begins stops and writes the status. Each stop, a preStop hook
// and then the end of the container, is a goroutine of its own (stops.go), one for a Pod at most; it ends early when its
// request leaves the object. Nothing else is kept: what was begun is in the status before it is begun, so an agent that is
// started again goes on with it, and stops nothing that came after (a hook runs again). Two at a time would do the same: both run the
// hook and stop the same container; a DaemonSet never has two on a node. Start at Actor.step.
package containers
