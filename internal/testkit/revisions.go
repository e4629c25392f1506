package testkit

import (
	appsv1 "k8s.io/api/apps/v1"
)

// Revisions returns the ControllerRevisions, by name. They are not to be changed.
func (a *API) Revisions() []*appsv1.ControllerRevision {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.revisions.list()
}

// PutRevision creates a revision, or changes it in whatever way; without a namespace, where the product keeps those of
// SidecarSets.
func (a *API) PutRevision(r *appsv1.ControllerRevision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r = r.DeepCopy()
	if r.Namespace == "" {
		r.Namespace = "kruise-system"
	}
	a.revisions.put(r)
}
