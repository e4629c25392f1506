// Package nodeimage says what a NodeImage means: when there is one, what is forgotten of it, when a node that does not
// answer has failed; and what is refused.
//
// What the node's agent does with it is in internal/node/images, which shares Count with the manager. Start at Plan, or with
// the stories in ../imagepulljob/testdata/seq, of which node.txtar is a NodeImage's life.
package nodeimage
