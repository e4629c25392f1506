// Package containerrecreaterequest answers what a ContainerRecreateRequest means, for the three that work on one:
//
//	admission      Sent, Fill, Validate: what a user may send, what is copied from the Pod, what is refused
//	the manager    Plan, Status: keep the Pod not ready, publish what kubelet reports, give up, clean up;
//	               PlanOrders: what the agent of a node is told, by one object named after the node
//	the node agent Next, Stopped: which container is stopped next, and what became of it
//
// The manager knows the Pod and the agent the containers. What one tells the other of a request, and what becomes of it, is
// record.go: Order and Ordered, Report and Merged. Who calls the API server or the container runtime is elsewhere.
package containerrecreaterequest
