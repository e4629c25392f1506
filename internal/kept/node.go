package kept

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
)

// TrimNode is the cache's transform for nodes: their names and labels are kept, and whether they are ready and short of
// disk. A whole one is 10 KB and more, most of it names of images.
func TrimNode(object any) (any, error) {
	switch n := object.(type) {
	case *corev1.Node:
		kept := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: n.Labels, DeletionTimestamp: n.DeletionTimestamp,
		}}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady || c.Type == corev1.NodeDiskPressure {
				kept.Status.Conditions = append(kept.Status.Conditions, corev1.NodeCondition{
					Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime,
				})
			}
		}
		return kept, nil
	case toolscache.DeletedFinalStateUnknown:
		return object, nil
	}
	return nil, fmt.Errorf("trim a node: got a %T", object)
}

// SameNode tells whether two versions of a node are the same as far as they are kept. A node changes every few seconds.
func SameNode(a, b *corev1.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UID == b.UID && (a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil) && maps.Equal(a.Labels, b.Labels) &&
		slices.Equal(a.Status.Conditions, b.Status.Conditions)
}
