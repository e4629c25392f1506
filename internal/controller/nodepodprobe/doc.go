// Package nodepodprobe tells the agent of each node what to probe, and Pods what the agents found.
//
// It decides nothing: what a node is told and what a Pod gets is in internal/kind/nodepodprobe, how a plan is carried out in
// internal/engine. One look is at one node: its Pods, the PodProbeMarkers of their namespaces, its NodePodProbe. Start at
// Reconcile (controller.go); observe.go says what is read, watch.go which events lead to a look.
package nodepodprobe
