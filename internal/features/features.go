// Package features holds the feature gates as a value: parsed once from --feature-gates, passed to whoever asks.
//
// It knows every gate name of OpenKruise, so that its manifests and charts start: a gate whose feature is not
// built can be set to what it effectively is (off), and asking for it is an error that says so.
package features

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Gate names a feature.
type Gate string

const (
	// PodWebhook switches the injection of new Pods. Default true.
	PodWebhook Gate = "PodWebhook"
	// KruiseDaemon switches what node agents do: without it, no ContainerRecreateRequest is admitted, and the gates of all
	// else that they do are off. Default true.
	KruiseDaemon Gate = "KruiseDaemon"
	// EnableExternalCerts leaves certificates to somebody else, such as cert-manager. Default false.
	EnableExternalCerts Gate = "EnableExternalCerts"
	// EnableSortSidecarContainerByName orders injected containers by name and not as their SidecarSets list
	// them. Init containers always are. Default false.
	EnableSortSidecarContainerByName Gate = "EnableSortSidecarContainerByName"
	// SidecarSetPatchPodMetadataDefaultsAllowed lets SidecarSets give Pods any annotation where no rule of the
	// whitelist is for them. Default false.
	SidecarSetPatchPodMetadataDefaultsAllowed Gate = "SidecarSetPatchPodMetadataDefaultsAllowed"
	// TemplateNoDefaults leaves Pod templates of workloads as they were written, without the defaults of Kubernetes.
	// Default false.
	TemplateNoDefaults Gate = "TemplateNoDefaults"
	// InPlaceUpdateEnvFromMetadata updates Pods of CloneSets in place whose containers refer in their environment to labels
	// or annotations that change: node agents start these containers anew. Without it, such Pods are made anew unless the
	// containers get another image, too. Default true.
	InPlaceUpdateEnvFromMetadata Gate = "InPlaceUpdateEnvFromMetadata"
	// CloneSetPartitionRollback has a partition of a CloneSet that is raised bring Pods back to the revision before,
	// within the budget; without it those that are updated stay so. Default false.
	CloneSetPartitionRollback Gate = "CloneSetPartitionRollback"
	// CloneSetShortHash has the Pods of CloneSets name their revision, in the label controller-revision-hash, by the hash
	// alone and not by its full name. Default false.
	CloneSetShortHash Gate = "CloneSetShortHash"
	// PreDownloadImageForInPlaceUpdate pulls the new images of a CloneSet's rollout onto the nodes of the Pods that are still
	// to be updated in place. It switches ImagePullJobGate on. Default false.
	PreDownloadImageForInPlaceUpdate Gate = "PreDownloadImageForInPlaceUpdate"
	// ImagePullJobGate lets ImagePullJobs and ImageListPullJobs be created and changed, and carries out the latter.
	// Default true.
	ImagePullJobGate Gate = "ImagePullJobGate"
	// PodProbeMarkerGate switches PodProbeMarkers. Off, none are admitted, and those that are there do nothing. Default true.
	PodProbeMarkerGate Gate = "PodProbeMarkerGate"
)

// Set says which gates are on.
type Set map[Gate]bool

// Default returns the gates as they are without --feature-gates.
func Default() Set {
	return Set{
		PodWebhook: true, KruiseDaemon: true, EnableExternalCerts: false, EnableSortSidecarContainerByName: false,
		SidecarSetPatchPodMetadataDefaultsAllowed: false, TemplateNoDefaults: false,
		CloneSetPartitionRollback: false, CloneSetShortHash: false, PreDownloadImageForInPlaceUpdate: false,
		ImagePullJobGate: true, PodProbeMarkerGate: true, InPlaceUpdateEnvFromMetadata: true,
	}
}

// notBuilt lists the peer's gates whose features do not exist here yet.
func notBuilt() []string {
	return []string{
		"DaemonWatchingPod", "KruisePodReadinessGate",
		"PreDownloadImageForDaemonSetUpdate", "ResourcesDeletionProtection",
		"DeletionProtectionForCRDCascadingGate", "WorkloadSpread", "PodUnavailableBudgetDeleteGate", "PodUnavailableBudgetUpdateGate",
		"InPlaceWorkloadVerticalScaling", "InPlacePodVerticalScaling",
		"StatefulSetAutoDeletePVC", "StatefulSetStartOrdinal", "StatefulSetAutoResizePVCGate", "PodIndexLabel",
		"SidecarTerminator", "EnablePodProbeMarkerOnServerless",
		"CloneSetEventHandlerOptimization", "PreparingUpdateAsUpdate", "RecreatePodWhenChangeVCTInCloneSetGate",
		"ForceDeleteTimeoutExpectationGate", "ResourceDistributionGate", "EnhancedLivenessProbe",
		"DefaultHostNetworkHostPortsInPodTemplates", "DaemonSetPruneIneligibleNodes",
		"AllAlpha", "AllBeta",
	}
}

// Parse reads "A=true,B=false". Blanks around names and values are forgiven.
func Parse(text string) (Set, error) {
	set := Default()
	for item := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		name = strings.TrimSpace(name)
		on, err := strconv.ParseBool(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("feature gate %q: %q is not true or false", name, strings.TrimSpace(value))
		}
		if err := set.put(name, on); err != nil {
			return nil, err
		}
	}
	set.settle()
	return set, nil
}

// settle lets gates that need others be what these are, as OpenKruise does: all that node agents do is off without
// KruiseDaemon, and images that are pre-downloaded are pulled by ImagePullJobs.
func (s Set) settle() {
	if !s[KruiseDaemon] {
		s[PreDownloadImageForInPlaceUpdate], s[ImagePullJobGate], s[PodProbeMarkerGate], s[InPlaceUpdateEnvFromMetadata] = false, false, false, false
	}
	if s[PreDownloadImageForInPlaceUpdate] {
		s[ImagePullJobGate] = true
	}
}

func (s Set) put(name string, on bool) error {
	if _, known := s[Gate(name)]; known {
		s[Gate(name)] = on
		return nil
	}
	if slices.Contains(notBuilt(), name) {
		if on {
			return fmt.Errorf("feature gate %s=true: not supported yet", name)
		}
		return nil
	}
	return fmt.Errorf("feature gate %q is unknown", name)
}

// Enabled tells whether a gate is on.
func (s Set) Enabled(g Gate) bool { return s[g] }

// String lists the gates, sorted.
func (s Set) String() string {
	items := make([]string, 0, len(s))
	for g, on := range s {
		items = append(items, fmt.Sprintf("%s=%t", g, on))
	}
	slices.Sort(items)
	return strings.Join(items, ",")
}
