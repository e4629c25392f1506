// Package sim answers whether SidecarSet's decisions stay right when everything around them goes wrong.
//
// A World is one thread, a virtual clock and a seed: a made-up API server, kubelets, a user who keeps changing
// her mind, and managers that run the product's own Project, Observe, Plan and Status on caches that lag. After
// every write the properties in properties.go are checked; when the faults stop, the desired state must be
// reached and then nothing written any more. The same seed gives the same world, to the letter of its trace.
//
// The kubelets work as the real one does, in turns (package node): what they report is what was when the turn began.
// Processes die before and after every call to the API server, and answers get lost.
//
// What is not simulated: a kubelet that does not say which generation of a Pod it looks at (see the stories with
// an "old kubelet"), a tag that is moved to another image, the network, the real caches and the engine's
// concurrency (internal/engine has its fault tests), and a write that lands after its client gave up and read the
// object again.
//
// CloneSet's worlds are in package clone; virtual time and kubelets, which both have, in packages world and node.
//
// Start at Run; TestWorlds runs thousands of seeds, TestMutants proves that wrong planners are caught.
package sim
