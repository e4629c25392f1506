package sidecarset

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
)

// nothingUnsupported refuses what the API has and this version does not do, rather than ignoring it: of injection,
// and of rollouts and revisions.
func nothingUnsupported(s subject) field.ErrorList {
	spec, at := &s.set.Spec, s.spec
	label := field.NewPath("metadata", "labels").Key(v1beta1.SidecarSetCustomVersionLabel)
	r := inject.Refusals{Errs: inject.Unsupported(s.set)}
	r.Add(s.set.Labels[v1beta1.SidecarSetCustomVersionLabel] != "", label, "custom versions")
	r.Add(spec.CustomVersion != "", at.Child("customVersion"), "custom versions (in v1alpha1 the label "+v1beta1.SidecarSetCustomVersionLabel+")")
	r.Add(spec.RevisionHistoryLimit != nil, at.Child("revisionHistoryLimit"), "a revision history")
	return r.Errs
}
