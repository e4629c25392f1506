package sidecarset

import (
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// revisionsBySet indexes ControllerRevisions by the SidecarSet that their label names.
const revisionsBySet = "outrigger.revisions"

// revisions follow the watch of ControllerRevisions. Their data, which never changes, is read once.
type revisions struct {
	informer toolscache.SharedIndexInformer

	mu     sync.Mutex
	hashes map[types.UID]string
}

// newRevisions follows an informer of the whole cluster's revisions, and takes those of SidecarSets in one namespace.
func newRevisions(informer toolscache.SharedIndexInformer, namespace string) (*revisions, error) {
	bySet := func(object any) ([]string, error) {
		if set := setOf(watch.Last[appsv1.ControllerRevision](object), namespace); set != "" {
			return []string{set}, nil
		}
		return nil, nil
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

// setOf returns the name of the SidecarSet that a revision is of; empty if it is none of these, or in another namespace than
// theirs, where others could write it.
func setOf(r *appsv1.ControllerRevision, namespace string) string {
	if r.Namespace != namespace {
		return ""
	}
	return r.Labels[v1beta1.SidecarSetNameLabel]
}

// forget drops what was read of a revision that is gone.
func (r *revisions) forget(object any) {
	if gone := watch.Last[appsv1.ControllerRevision](object); gone != nil {
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
		kept := watch.Last[appsv1.ControllerRevision](object)
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
