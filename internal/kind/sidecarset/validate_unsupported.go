package sidecarset

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// nothingUnsupported refuses what the API has and this version does not do, rather than ignoring it.
func nothingUnsupported(s subject) field.ErrorList {
	spec, at := &s.set.Spec, s.spec
	meta := field.NewPath("metadata")
	strategy := at.Child("updateStrategy")
	r := refusals{}
	r.add(s.set.Annotations[v1beta1.SidecarSetCanaryAnnotation] != "", meta.Child("annotations").Key(v1beta1.SidecarSetCanaryAnnotation), "canary SidecarSets")
	r.add(s.set.Annotations[v1beta1.SidecarSetBaseAnnotation] != "", meta.Child("annotations").Key(v1beta1.SidecarSetBaseAnnotation), "canary SidecarSets")
	r.add(s.set.Labels[v1beta1.SidecarSetCustomVersionLabel] != "", meta.Child("labels").Key(v1beta1.SidecarSetCustomVersionLabel), "custom versions")
	r.add(spec.CustomVersion != "", at.Child("customVersion"), "custom versions (in v1alpha1 the label "+v1beta1.SidecarSetCustomVersionLabel+")")
	r.add(spec.UpdateStrategy.PriorityStrategy != nil, strategy.Child("priorityStrategy"), "ordering Pods by priority")
	r.add(len(spec.UpdateStrategy.ScatterStrategy) > 0, strategy.Child("scatterStrategy"), "scattering Pods")
	r.add(spec.InjectionStrategy.Revision != nil, at.Child("injectionStrategy", "revision"), "injecting an older revision")
	r.add(spec.RevisionHistoryLimit != nil, at.Child("revisionHistoryLimit"), "a revision history")
	r.add(len(spec.PatchPodMetadata) > 0, at.Child("patchPodMetadata"), "giving Pods annotations")
	errs := r.errs
	errs = append(errs, eachContainer(unsupportedInContainer)(s)...)
	return errs
}

func unsupportedInContainer(c container) field.ErrorList {
	r := refusals{}
	r.add(c.UpgradeStrategy.UpgradeType == v1beta1.HotUpgrade, c.at.Child("upgradeStrategy", "upgradeType"), "HotUpgrade")
	r.add(c.init && c.RestartPolicy != nil, c.at.Child("restartPolicy"), "native sidecars (restartPolicy of an init container)")
	r.add(!c.init && c.RestartPolicy != nil, c.at.Child("restartPolicy"), "a restart policy per container")
	r.add(len(c.RestartPolicyRules) > 0, c.at.Child("restartPolicyRules"), "a restart policy per container")
	device := c.ShareVolumeDevicePolicy
	r.add(device != nil && device.Type == v1beta1.ShareVolumePolicyEnabled, c.at.Child("shareVolumeDevicePolicy", "type"), "sharing devices")
	r.add(c.ResourcesPolicy != nil, c.at.Child("resourcesPolicy"), "computing resources from those of the Pod")
	return r.errs
}

type refusals struct{ errs field.ErrorList }

func (r *refusals) add(asked bool, at *field.Path, what string) {
	if asked {
		r.errs = append(r.errs, field.Forbidden(at, "not supported yet: "+what))
	}
}
