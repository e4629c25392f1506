package kept

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
)

const (
	// byOwner indexes Pods by the UID of the workload of ours that controls them, byOrphanage those that nobody controls
	// by their namespace.
	byOwner     = "outrigger.owner"
	byOrphanage = "outrigger.orphan"
)

// Pods finds what the manager's cache has of Pods, for a workload. It is safe for concurrent use.
type Pods struct{ indexer toolscache.Indexer }

// PodsOf reads the informer of Pods, whose transform is Trim, and gives it the indexes that this takes.
func PodsOf(informer toolscache.SharedIndexInformer) (Pods, error) {
	have := informer.GetIndexer().GetIndexers()
	for name, index := range indexers() {
		if _, there := have[name]; there {
			continue // of another controller
		}
		if err := informer.AddIndexers(toolscache.Indexers{name: index}); err != nil {
			return Pods{}, fmt.Errorf("index pods by %s: %w", name, err)
		}
	}
	return Pods{informer.GetIndexer()}, nil
}

func indexers() toolscache.Indexers {
	return toolscache.Indexers{
		byOwner: func(object any) ([]string, error) {
			pod, _ := object.(*Pod)
			if owner, controlled := pod.Controller(); controlled {
				return []string{string(owner.UID)}, nil
			}
			return nil, nil
		},
		byOrphanage: func(object any) ([]string, error) {
			if pod, _ := object.(*Pod); pod.Orphan() {
				return []string{pod.Namespace}, nil
			}
			return nil, nil
		},
	}
}

// Pod returns a Pod by namespace/name, nil if there is none. It is not to be changed.
func (p Pods) Pod(key string) *Pod {
	object, _, err := p.indexer.GetByKey(key)
	if err != nil {
		return nil
	}
	pod, _ := object.(*Pod)
	return pod
}

// Owned returns the keys (namespace/name) of the Pods that the workload with this UID controls, in any order.
func (p Pods) Owned(owner types.UID) []string { return p.keys(byOwner, string(owner)) }

// Orphans returns the keys of the Pods in a namespace that nobody controls, in any order.
func (p Pods) Orphans(namespace string) []string { return p.keys(byOrphanage, namespace) }

func (p Pods) keys(index, value string) []string {
	keys, err := p.indexer.IndexKeys(index, value)
	if err != nil {
		panic(fmt.Sprintf("the index %s is gone: %v", index, err))
	}
	return keys
}
