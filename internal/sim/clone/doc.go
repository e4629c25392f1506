// Package clone answers whether CloneSet's decisions, and the engine that carries them out, stay right when everything
// around them goes wrong.
//
// A World is one thread, a virtual clock and a seed: a made-up API server, a scheduler, kubelets, users who keep changing
// their minds, owners of lifecycle hooks, and managers that run the product's own Project, Observe, Plan, Status and
// engine.Hands on caches that lag. The hands send what they send to a real API server: every JSON patch, creation and
// deletion arrives at (*door), and each takes virtual time. Processes die before and after every call, answers get lost.
// At every commit the properties are checked (see the list in properties.go); when the faults stop, the desired state must
// be reached and then nothing written any more. The same seed gives the same world, to the letter of its trace.
//
// What is not simulated: more than one request of a process under way at a time (internal/engine has its own tests), the
// real caches, the network, a tag that is moved to another image, and a write that lands after its client gave up.
//
// Start at Run; TestWorlds runs thousands of seeds, TestMutants proves that wrong planners and hands are caught.
package clone
