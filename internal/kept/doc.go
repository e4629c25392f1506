// Package kept answers what the manager keeps in memory of a Pod, and which changes of a Pod matter.
//
// There is one informer of Pods, and all controllers share it. Trim, its transform, replaces every Pod by the small Pod of
// this package; (*Pod).Pod grows it again, as far as something was kept, for the pure functions that read a
// corev1.Pod. Same (for SidecarSets) and SameForWorkloads tell two versions apart, Witness learns from them what no single
// one tells, and Pods finds the Pods of an owner.
//
// The package does not know what a controller makes of a Pod. Start at Trim.
package kept
