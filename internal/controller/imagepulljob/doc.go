// Package imagepulljob carries ImagePullJobs out: it reads NodeImages, nodes and the Pods that pull, and turns what it sees
// into plans, writes, statuses and events.
//
// It decides nothing: what an ImagePullJob means is in internal/kind/imagepulljob, how a plan is carried out in
// internal/engine. Start at Reconcile (controller.go); observe.go says what is read for one look, watch.go which events lead
// to one.
package imagepulljob
