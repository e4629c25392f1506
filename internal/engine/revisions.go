package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// Revisions is what the engine writes revisions with. Create and Patch return the new resourceVersion.
type Revisions interface {
	CreateRevision(ctx context.Context, revision *appsv1.ControllerRevision) (version string, err error)
	PatchRevision(ctx context.Context, namespace, name string, patch []byte) (version string, err error)
	DeleteRevision(ctx context.Context, namespace, name string, preconditions metav1.Preconditions) error
}

// Looks asks the API server itself, not a cache.
type Looks interface {
	// LookAtRevision returns a revision's metadata.
	LookAtRevision(ctx context.Context, namespace, name string) (metav1.ObjectMeta, error)
}

// revise carries out steps on revisions, one after the other. It stops at the first that is not done.
func (h *Hands) revise(ctx context.Context, owner Owner, steps []plan.Step, did *Did) error {
	for i := range steps {
		s := &steps[i]
		o, err := h.write(ctx, owner, s)
		if err != nil {
			return err
		}
		now := h.now()
		h.withRevisions(owner, func(l *RevisionLedger) { l.Settled(s, o, now) })
		did.RetryAfter = max(did.RetryAfter, o.RetryAfter)
		switch o.Fate {
		case Done:
			did.Revised = append(did.Revised, *s)
		case Stale, Gone:
			did.LookAgain = true
			return nil
		default:
			return fmt.Errorf("%s %s: %s", s.Verb, s.Unit, o.Message)
		}
	}
	return nil
}

// write sends the one write of a step on a revision.
func (h *Hands) write(ctx context.Context, owner Owner, s *plan.Step) (Outcome, error) {
	switch s.Verb {
	case plan.CreateRevision:
		return Judge(h.server.CreateRevision(ctx, revisionOf(owner, s))), nil
	case plan.UpdateRevision:
		patch, err := revisionPatch(s)
		if err != nil {
			return Outcome{}, err
		}
		return Judge(h.server.PatchRevision(ctx, owner.RevisionsIn, s.Unit.Name, patch)), nil
	case plan.DeleteRevision:
		uid := types.UID(s.Unit.UID)
		return Judge("", h.server.DeleteRevision(ctx, owner.RevisionsIn, s.Unit.Name,
			metav1.Preconditions{UID: &uid, ResourceVersion: &s.Revision.Version})), nil
	default:
		return Outcome{}, fmt.Errorf("write revision %s: verb %q is not known", s.Unit, s.Verb)
	}
}

// revisionOf is the ControllerRevision that a step creates. The garbage collector deletes it after its owner.
func revisionOf(owner Owner, s *plan.Step) *appsv1.ControllerRevision {
	controls := true
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.RevisionsIn, Name: s.Unit.Name,
			Labels: s.Revision.Labels, Annotations: s.Revision.Annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: owner.Resource.GroupVersion().String(), Kind: owner.Kind,
				Name: owner.Name, UID: types.UID(owner.UID), Controller: &controls,
			}},
		},
		Data:     runtime.RawExtension{Raw: s.Revision.Data},
		Revision: s.Revision.Number,
	}
}

// revisionPatch tests the UID and the number that the step was decided on. A revision that we look at has labels.
func revisionPatch(s *plan.Step) ([]byte, error) {
	operations := []operation{
		test("/metadata/uid", s.Unit.UID), test("/revision", s.Revision.From),
		{Op: "replace", Path: "/revision", Value: s.Revision.Number},
	}
	for _, key := range slices.Sorted(maps.Keys(s.Revision.Labels)) {
		operations = append(operations, operation{Op: "add", Path: "/metadata/labels/" + pointer(key), Value: s.Revision.Labels[key]})
	}
	data, err := json.Marshal(operations)
	if err != nil {
		return nil, fmt.Errorf("write the patch of revision %s: %w", s.Unit, err)
	}
	return data, nil
}

// MarkRevisions drops what the cache shows by now of our writes to an owner's revisions, and tells the rest. It asks
// the API server about writes with an unknown outcome. shown returns the resourceVersion at which the cache has a
// revision.
func (h *Hands) MarkRevisions(ctx context.Context, owner Owner, shown func(name string) (version string, ok bool)) (RevisionMarks, error) {
	var doubts []string
	h.withRevisions(owner, func(l *RevisionLedger) {
		l.See(shown, h.now())
		doubts = l.Doubts()
	})
	for _, name := range doubts {
		found, err := h.server.LookAtRevision(ctx, owner.RevisionsIn, name)
		if err != nil && !apierrors.IsNotFound(err) {
			return RevisionMarks{}, fmt.Errorf("look what became of our last write to revision %s: %w", name, err)
		}
		h.withRevisions(owner, func(l *RevisionLedger) { l.Found(name, owner.has(found), found.ResourceVersion, h.now()) })
	}
	var marks RevisionMarks
	h.withRevisions(owner, func(l *RevisionLedger) {
		l.See(shown, h.now())
		marks = l.Marks()
	})
	return marks, nil
}

// has tells whether an object is a revision of this owner, and the cache selects it. Where revisions do not name their
// owner by a label, the cache has all of them.
func (o Owner) has(revision metav1.ObjectMeta) bool {
	of := metav1.GetControllerOfNoCopy(&revision)
	return of != nil && string(of.UID) == o.UID && (o.RevisionLabel == "" || revision.Labels[o.RevisionLabel] == o.Name)
}

// withRevisions calls f with what is known of our writes to an owner's revisions, under the lock.
func (h *Hands) withRevisions(owner Owner, f func(*RevisionLedger)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.revisions[owner.key()]
	if l == nil || l.owner != owner.UID {
		l = &RevisionLedger{owner: owner.UID}
		h.revisions[owner.key()] = l
	}
	f(l)
}
