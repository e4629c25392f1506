// Package nodecontainerrecreate tells the agent of each node which ContainerRecreateRequests are open, by the one object that is
// named after the node.
//
// It decides nothing: that is in internal/kind/containerrecreaterequest. What agents report there is read by
// internal/controller/containerrecreaterequest. Start at Reconcile.
package nodecontainerrecreate
