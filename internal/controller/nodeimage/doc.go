// Package nodeimage keeps a NodeImage for every node: it makes and deletes them, gives them the nodes' labels, forgets what
// nobody needs any more, and says of nodes that do not answer that their pulls have failed.
//
// It decides nothing: that is in internal/kind/nodeimage. Start at Reconcile.
package nodeimage
