// Package node holds the actors of the node agent, a folder each: they do on one node what the manager writes into
// the objects named after it, through package cri, and write back what happened, into the status and nowhere else.
//
// What is done next, and what a result means, is decided below the waterline, in internal/kind. The agent is put
// together in internal/app/node; what it may do is config/node.
package node
