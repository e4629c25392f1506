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

// revise carries out steps on revisions, one after the other. It stops at the first that is not done.
func (h *Hands) revise(ctx context.Context, owner Owner, steps []plan.Step, did *Did) error {
	for i := range steps {
		s := &steps[i]
		requests, err := Requests(owner, s)
		if err != nil {
			return err
		}
		_, o := h.call(ctx, &requests[0])
		now := h.now()
		h.withRevisions(owner, func(l *RevisionLedger) { l.Settled(s, o, now) })
		did.RetryAfter = max(did.RetryAfter, o.RetryAfter)
		switch o.Fate {
		case Done:
			did.Revised = append(did.Revised, *s)
		case Stale, Exists, Gone:
			did.LookAgain = true
			return nil
		default:
			return fmt.Errorf("%s %s: %s", s.Verb, s.Unit, o.Message)
		}
	}
	return nil
}

// revisionRequests is the one request of a step on a revision.
func revisionRequests(owner Owner, s *plan.Step) ([]Request, error) {
	r := Request{Resource: revisions(), Namespace: owner.RevisionsIn, Name: s.Unit.Name}
	var err error
	switch s.Verb {
	case plan.CreateRevision:
		r.Call = Create
		r.Body, err = json.Marshal(revisionOf(owner, s))
	case plan.UpdateRevision:
		r.Call = Patch
		r.Body, err = json.Marshal(revisionPatch(owner, s))
	default:
		r.Call, r.UID, r.Version = Delete, s.Unit.UID, s.Revision.Version
	}
	if err != nil {
		return nil, fmt.Errorf("write revision %s: %w", s.Unit, err)
	}
	return []Request{r}, nil
}

// revisionOf is the ControllerRevision that a step creates. The garbage collector deletes it after its owner.
func revisionOf(owner Owner, s *plan.Step) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{
		TypeMeta: metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "ControllerRevision"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.RevisionsIn, Name: s.Unit.Name,
			Labels: s.Revision.Labels, Annotations: s.Revision.Annotations,
			OwnerReferences: owner.references(),
		},
		Data:     runtime.RawExtension{Raw: s.Revision.Data},
		Revision: s.Revision.Number,
	}
}

// references make an owner the controller of a revision.
func (o Owner) references() []metav1.OwnerReference {
	controls := true
	return []metav1.OwnerReference{{
		APIVersion: o.Resource.GroupVersion().String(), Kind: o.Kind, Name: o.Name, UID: types.UID(o.UID), Controller: &controls,
	}}
}

// revisionPatch tests the UID and the number that the step was decided on, and of an orphan the version at which it has no
// owner. A revision that we look at has labels.
func revisionPatch(owner Owner, s *plan.Step) []operation {
	operations := []operation{
		test("/metadata/uid", s.Unit.UID), test("/revision", s.Revision.From),
		{Op: "replace", Path: "/revision", Value: s.Revision.Number},
	}
	if s.Revision.Adopt {
		operations = append(operations, test("/metadata/resourceVersion", s.Revision.Version),
			operation{Op: "add", Path: "/metadata/ownerReferences", Value: owner.references()})
	}
	for _, key := range slices.Sorted(maps.Keys(s.Revision.Labels)) {
		operations = append(operations, operation{Op: "add", Path: "/metadata/labels/" + pointer(key), Value: s.Revision.Labels[key]})
	}
	return operations
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
		found, err := h.server.Look(ctx, revisions(), owner.RevisionsIn, name)
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
	return o.controls(revision) && (o.RevisionLabel == "" || revision.Labels[o.RevisionLabel] == o.Name)
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
