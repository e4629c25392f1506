package cloneset

import (
	"context"
	"fmt"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/kept"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// byController indexes objects by the UID of what controls them.
const byController = "outrigger.controller"

// byName indexes revisions without an owner by the namespace and name that an owner must have had, as their names say.
const byName = "outrigger.name"

// informers are the cache of the records.
type informers struct {
	kept.Pods
	pods, revisions, claims toolscache.SharedIndexInformer
	nodes                   func() (toolscache.SharedIndexInformer, error)

	mu sync.Mutex
	// versions are what was read of revisions, whose data never changes.
	versions map[types.UID]version
}

type version struct {
	hash     string
	template *v1beta1.PodTemplate
}

func newInformers(ctx context.Context, mgr manager.Manager) (*informers, error) {
	i := &informers{versions: map[types.UID]version{}}
	// Nodes are watched only when somebody asks for one.
	i.nodes = sync.OnceValues(func() (toolscache.SharedIndexInformer, error) {
		nodes, err := watch.Informer(ctx, mgr, &corev1.Node{})
		if err == nil {
			toolscache.WaitForCacheSync(ctx.Done(), nodes.HasSynced)
		}
		return nodes, err
	})
	var err error
	if i.pods, err = watch.Informer(ctx, mgr, &corev1.Pod{}); err != nil {
		return nil, err
	}
	if i.revisions, err = watch.Informer(ctx, mgr, &appsv1.ControllerRevision{}); err != nil {
		return nil, err
	}
	if i.claims, err = watch.Informer(ctx, mgr, kept.ClaimMeta()); err != nil {
		return nil, err
	}
	return i, i.index()
}

// index gives the informers the indexes that this takes.
func (i *informers) index() (err error) {
	if i.Pods, err = kept.PodsOf(i.pods); err != nil {
		return err
	}
	for _, informer := range []toolscache.SharedIndexInformer{i.revisions, i.claims} {
		if err := informer.AddIndexers(toolscache.Indexers{byController: controllerOf}); err != nil {
			return fmt.Errorf("index by controller: %w", err)
		}
	}
	if err := i.revisions.AddIndexers(toolscache.Indexers{byName: nameOfOwner}); err != nil {
		return fmt.Errorf("index orphans by name: %w", err)
	}
	_, err = i.revisions.AddEventHandler(watch.Handler(func(old, now *appsv1.ControllerRevision) {
		if now == nil || old != nil && old.UID != now.UID {
			i.forget(old.UID)
		}
	}))
	if err != nil {
		return fmt.Errorf("watch revisions: %w", err)
	}
	return nil
}

// forget drops what was read of a revision that is gone.
func (i *informers) forget(revision types.UID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.versions, revision)
}

// controllerOf is the index function of byController.
func controllerOf(object any) ([]string, error) {
	owned, _ := object.(metav1.Object)
	if controller := metav1.GetControllerOfNoCopy(owned); controller != nil {
		return []string{string(controller.UID)}, nil
	}
	return nil, nil
}

// nameOfOwner is the index function of byName.
func nameOfOwner(object any) ([]string, error) {
	r := watch.Last[appsv1.ControllerRevision](object)
	if end := strings.LastIndexByte(r.Name, '-'); end > 0 && kept.Adoptable(r) {
		return []string{r.Namespace + "/" + r.Name[:end]}, nil
	}
	return nil, nil
}

// found lists what an index has.
func found(informer toolscache.SharedIndexInformer, index, key string) []any {
	objects, err := informer.GetIndexer().ByIndex(index, key)
	if err != nil {
		panic(fmt.Sprintf("the index %s is gone: %v", index, err))
	}
	return objects
}

// Revisions implements cache.
func (i *informers) Revisions(owner engine.Owner, selector labels.Selector) ([]revision.Record, map[string]*v1beta1.PodTemplate) {
	objects := found(i.revisions, byController, owner.UID)
	for _, orphan := range found(i.revisions, byName, owner.RevisionsIn+"/"+owner.Name) {
		if selector.Matches(labels.Set(watch.Last[appsv1.ControllerRevision](orphan).Labels)) {
			objects = append(objects, orphan)
		}
	}
	records, templates := make([]revision.Record, len(objects)), make(map[string]*v1beta1.PodTemplate, len(objects))
	i.mu.Lock()
	defer i.mu.Unlock()
	for k, object := range objects {
		r := watch.Last[appsv1.ControllerRevision](object)
		records[k] = revision.RecordOf(r)
		records[k].Orphan = kept.Adoptable(r)
		if r.DeletionTimestamp != nil {
			continue
		}
		v := i.read(r)
		records[k].Hash = v.hash
		if v.template != nil {
			templates[r.Name] = v.template
		}
	}
	return records, templates
}

// read reads the data of a revision, once. Without a hash, it cannot be read.
func (i *informers) read(r *appsv1.ControllerRevision) version {
	v, known := i.versions[r.UID]
	if known {
		return v
	}
	if template, err := revision.ReadTemplate(r.Data.Raw); err == nil {
		v = version{hash: revision.TemplateHashOf(r), template: template}
	}
	i.versions[r.UID] = v
	return v
}

// Claims implements cache.
func (i *informers) Claims(owner types.UID) []cloneset.Claim {
	objects := found(i.claims, byController, string(owner))
	claims := make([]cloneset.Claim, len(objects))
	for k, object := range objects {
		claims[k] = cloneset.ClaimOf(&watch.Last[metav1.PartialObjectMetadata](object).ObjectMeta)
	}
	return claims
}

// NodeLabels implements cache. A node that is not known has none.
func (i *informers) NodeLabels(name string) map[string]string {
	nodes, err := i.nodes()
	if err != nil {
		return nil // the manager is going down
	}
	object, _, err := nodes.GetStore().GetByKey(name)
	node := watch.Last[corev1.Node](object)
	if err != nil || node == nil {
		return nil
	}
	return node.Labels
}
