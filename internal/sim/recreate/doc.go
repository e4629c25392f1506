// Package recreate is a simulated node, manager and API server for ContainerRecreateRequests: one thread, virtual time, a
// seed. The decisions are the product's; what carries them out is made up and fails: processes end at any call, replies are
// lost, caches lag, kubelet restarts containers of its own accord, Pods and requests are deleted.
//
// Start at Run; properties.go says what must hold.
package recreate
