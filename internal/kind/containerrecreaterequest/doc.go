// Package containerrecreaterequest answers what a ContainerRecreateRequest means, for the three that work on one:
//
//	admission      Sent, Fill, Validate: what a user may send, what is copied from the Pod, what is refused
//	the manager    Plan, Status: keep the Pod not ready, publish what kubelet reports, give up, clean up
//	the node agent Next, Stopped: which container is stopped next, and what became of it
//
// The manager knows the Pod and the agent the containers; each writes what it knows into the request's status, to the
// resourceVersion that it was decided on, and reads there what the other knows. Who calls the API server or the
// container runtime is elsewhere.
package containerrecreaterequest
