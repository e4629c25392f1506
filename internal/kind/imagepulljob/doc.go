// Package imagepulljob says what an ImagePullJob means: which nodes pull its image now and which wait for what, when it
// has ended and with which result; and what is refused.
//
// A node pulls in one of two ways: its agent reads the NodeImage, or, if the job has pullSecrets, a short-lived Pod has
// kubelet pull (docs/adr/0007-private-images.md). Start with the story testdata/seq/life.txtar, then Plan (plan.go);
// observed.go says what is known of a node.
package imagepulljob
