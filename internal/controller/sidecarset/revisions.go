package sidecarset

import (
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// revisionsBySet indexes ControllerRevisions by the SidecarSet that their label names.
const revisionsBySet = "outrigger.revisions"

// RevisionCache is what the manager's cache keeps of ControllerRevisions: those of SidecarSets, in one namespace. The
// rights are for that namespace only.
func RevisionCache(namespace string) (ctrlcache.ByObject, error) {
	named, err := labels.NewRequirement(v1beta1.SidecarSetNameLabel, selection.Exists, nil)
	if err != nil {
		return ctrlcache.ByObject{}, fmt.Errorf("select the revisions of SidecarSets: %w", err)
	}
	return ctrlcache.ByObject{
		// A field selector, and not Namespaces, gives an informer with one store to index.
		Field:     fields.OneTermEqualSelector("metadata.namespace", namespace),
		Label:     labels.NewSelector().Add(*named),
		Transform: ctrlcache.TransformStripManagedFields(),
	}, nil
}

// revisions follow the watch of ControllerRevisions. Their data, which never changes, is read once.
type revisions struct {
	informer toolscache.SharedIndexInformer

	mu     sync.Mutex
	hashes map[types.UID]string
}

func newRevisions(informer toolscache.SharedIndexInformer) (*revisions, error) {
	bySet := func(object any) ([]string, error) {
		return []string{last[appsv1.ControllerRevision](object).Labels[v1beta1.SidecarSetNameLabel]}, nil
	}
	if err := informer.AddIndexers(toolscache.Indexers{revisionsBySet: bySet}); err != nil {
		return nil, fmt.Errorf("index revisions by SidecarSet: %w", err)
	}
	r := &revisions{informer: informer, hashes: map[types.UID]string{}}
	_, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{DeleteFunc: r.forget})
	if err != nil {
		return nil, fmt.Errorf("watch revisions: %w", err)
	}
	return r, nil
}

// forget drops what was read of a revision that is gone.
func (r *revisions) forget(object any) {
	if gone := last[appsv1.ControllerRevision](object); gone != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.hashes, gone.UID)
	}
}

// Revisions implements cache.
func (r *revisions) Revisions(set string) []revision.Record {
	objects, err := r.informer.GetIndexer().ByIndex(revisionsBySet, set)
	if err != nil {
		panic(fmt.Sprintf("the index %s is gone: %v", revisionsBySet, err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	records := make([]revision.Record, len(objects))
	for i, object := range objects {
		kept := last[appsv1.ControllerRevision](object)
		records[i] = revision.RecordOf(kept)
		if kept.DeletionTimestamp != nil {
			continue
		}
		hash, known := r.hashes[kept.UID]
		if !known {
			hash = revision.HashOf(kept)
			r.hashes[kept.UID] = hash
		}
		records[i].Hash = hash
	}
	return records
}
