package clone

import (
	"encoding/json"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

func (w *World) serveClaim(m *manager, r *engine.Request) (metav1.ObjectMeta, error) {
	c := w.claims[r.Name]
	if r.Call == engine.Create {
		return w.createClaim(r)
	}
	if c == nil || c.gone {
		return metav1.ObjectMeta{}, notFound(r.Resource, r.Name)
	}
	next := *c
	if r.Call == engine.Delete {
		if r.UID != string(c.object.UID) {
			return metav1.ObjectMeta{}, conflict(r.Resource, r.Name)
		}
		w.checkDeleteClaim(m.snap, c)
		next.gone = true
	} else {
		pod, err := patched(&corev1.Pod{ObjectMeta: c.object}, "", r.Body)
		if err != nil {
			return metav1.ObjectMeta{}, unapplied(err)
		}
		next.object = pod.ObjectMeta
	}
	w.commitClaim(r.Name, &next)
	w.writes++
	return next.object, nil
}

func (w *World) createClaim(r *engine.Request) (metav1.ObjectMeta, error) {
	object := metav1.PartialObjectMetadata{}
	if err := json.Unmarshal(r.Body, &object); err != nil {
		return metav1.ObjectMeta{}, apierrors.NewBadRequest(err.Error())
	}
	r.Name = object.Name
	if c := w.claims[r.Name]; c != nil && !c.gone {
		return metav1.ObjectMeta{}, exists(r.Resource, r.Name)
	}
	w.uids++
	object.UID = types.UID("uid-" + strconv.Itoa(w.uids))
	c := &claim{object: object.ObjectMeta}
	w.commitClaim(r.Name, c)
	w.writes++
	return c.object, nil
}

func (w *World) commitClaim(name string, c *claim) {
	w.rv++
	c.rv, c.object.ResourceVersion = w.rv, strconv.Itoa(w.rv)
	w.claims[name] = c
	w.deliver(func(m *manager) { m.seeClaim(name, c) })
}

func (w *World) serveRevision(m *manager, r *engine.Request) (metav1.ObjectMeta, error) {
	next, err := w.revised(r)
	if err != nil {
		return metav1.ObjectMeta{}, err
	}
	w.checkRevision(m.snap, r, next)
	w.commitRevision(r.Name, next)
	w.writes++
	m.revised[r.Name] = next.rv
	return *next.meta(), nil
}

// revised is what the API server makes of a revision.
func (w *World) revised(r *engine.Request) (*kept, error) {
	old := w.revisions[r.Name]
	switch {
	case r.Call == engine.Create:
		return w.createRevision(r)
	case old == nil || old.gone:
		return nil, notFound(r.Resource, r.Name)
	case r.Call == engine.Delete && (r.UID != old.record.UID || r.Version != "" && r.Version != old.record.Version):
		return nil, conflict(r.Resource, r.Name)
	}
	next := *old
	if next.gone = r.Call == engine.Delete; next.gone {
		return &next, nil
	}
	return &next, renumber(&next.record, r.Body)
}

func (w *World) createRevision(r *engine.Request) (*kept, error) {
	object := &appsv1.ControllerRevision{}
	if err := json.Unmarshal(r.Body, object); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	r.Name = object.Name
	if old := w.revisions[r.Name]; old != nil && !old.gone {
		return nil, exists(r.Resource, r.Name)
	}
	template, err := revision.ReadTemplate(object.Data.Raw)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	w.uids++
	return &kept{template: template, record: revision.Record{
		Name: r.Name, UID: "uid-" + strconv.Itoa(w.uids), Created: w.Clock().Unix(), Number: object.Revision,
		Owner: setUID, Hash: revision.TemplateHashOf(object),
	}}, nil
}

func renumber(r *revision.Record, body []byte) error {
	var operations []operation
	if err := json.Unmarshal(body, &operations); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	for _, o := range operations {
		var err error
		switch {
		case o.Op == "test" && o.Path == "/metadata/uid":
			err = o.test(r.UID)
		case o.Op == "test":
			if string(o.Value) != strconv.FormatInt(r.Number, 10) {
				err = errTest
			}
		case o.Path == "/revision":
			err = json.Unmarshal(o.Value, &r.Number)
		}
		if err != nil {
			return unapplied(err)
		}
	}
	return nil
}

// commitRevision makes a revision's new state the truth.
func (w *World) commitRevision(name string, next *kept) {
	w.rv++
	next.rv, next.record.Version = w.rv, strconv.Itoa(w.rv)
	w.revisions[name] = next
	w.deliverLate(15, func(m *manager) { m.seeRevision(name, next) })
}

// serveSet changes podsToDelete, the one thing of the spec that managers write.
func (w *World) serveSet(m *manager, r *engine.Request) (metav1.ObjectMeta, error) {
	var operations []operation
	if err := json.Unmarshal(r.Body, &operations); err != nil {
		return metav1.ObjectMeta{}, apierrors.NewBadRequest(err.Error())
	}
	next := w.set.DeepCopy()
	for i := range operations {
		o := &operations[i]
		var err error
		switch o.Path {
		case "/metadata/uid":
			err = o.test(string(w.set.UID))
		case "/spec/scaleStrategy/podsToDelete":
			err = list(o, &next.Spec.ScaleStrategy.PodsToDelete)
		default:
			err = errTest
		}
		if err != nil {
			return metav1.ObjectMeta{}, unapplied(err)
		}
	}
	w.checkNames(m.snap, w.set.Spec.ScaleStrategy.PodsToDelete, next.Spec.ScaleStrategy.PodsToDelete)
	next.Generation++
	w.writes++
	w.commitSet(next)
	return next.ObjectMeta, nil
}
