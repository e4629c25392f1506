package app

import (
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/internal/controller/cloneset"
	"github.com/outrigger-project/outrigger/internal/controller/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/controller/imagelistpulljob"
	"github.com/outrigger-project/outrigger/internal/controller/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/controller/nodeagent"
	"github.com/outrigger-project/outrigger/internal/controller/nodeimage"
	"github.com/outrigger-project/outrigger/internal/controller/nodepodprobe"
	"github.com/outrigger-project/outrigger/internal/controller/podprobemarker"
	"github.com/outrigger-project/outrigger/internal/controller/predownload"
	"github.com/outrigger-project/outrigger/internal/controller/sidecarset"
	"github.com/outrigger-project/outrigger/internal/features"
)

// addControllers is THE list of controllers. They run on the leader only.
func addControllers(mgr manager.Manager, c Config, m metrics) error {
	noProbes := !c.Features.Enabled(features.PodProbeMarkerGate)
	err := errors.Join(
		sidecarset.SetupWithManager(mgr, sidecarset.Options{
			Workers: c.SidecarSetWorkers, WritesInFlight: c.MaxWritesInFlight, Namespace: c.Namespace, Metrics: m.sidecarSets,
		}),
		cloneset.SetupWithManager(mgr, cloneset.Options{
			Workers: c.CloneSetWorkers, WritesInFlight: c.MaxWritesInFlight,
			ExcludePreparingDelete: c.CloneSetExcludePreparingDelete, Metrics: m.cloneSets,
			RollBack:  c.Features.Enabled(features.CloneSetPartitionRollback),
			ShortHash: c.Features.Enabled(features.CloneSetShortHash),
		}),
		containerrecreaterequest.SetupWithManager(mgr, containerrecreaterequest.Options{Workers: c.ContainerRecreateRequestWorkers, WritesInFlight: c.MaxWritesInFlight}),
		nodeimage.SetupWithManager(mgr, nodeimage.Options{
			Workers: c.NodeImageWorkers, WritesInFlight: c.MaxWritesInFlight, CreationDelay: c.NodeImageCreationDelay,
		}),
		imagepulljob.SetupWithManager(mgr, imagepulljob.Options{
			Workers: c.ImagePullJobWorkers, WritesInFlight: c.MaxWritesInFlight, TagTTL: time.Duration(c.NodeImageTTL) * time.Second,
		}),
		podprobemarker.SetupWithManager(mgr, podprobemarker.Options{Workers: c.PodProbeMarkerWorkers, Off: noProbes}),
		nodepodprobe.SetupWithManager(mgr, nodepodprobe.Options{Workers: c.NodePodProbeWorkers, WritesInFlight: c.MaxWritesInFlight, Off: noProbes}),
	)
	if c.Features.Enabled(features.KruiseDaemon) {
		err = errors.Join(err, nodeagent.SetupWithManager(mgr, nodeagent.Options{WritesInFlight: c.MaxWritesInFlight}))
	}
	if c.Features.Enabled(features.ImagePullJobGate) {
		err = errors.Join(err, imagelistpulljob.SetupWithManager(mgr, imagelistpulljob.Options{WritesInFlight: c.MaxWritesInFlight}))
	}
	if c.Features.Enabled(features.PreDownloadImageForInPlaceUpdate) {
		err = errors.Join(err, predownload.SetupWithManager(mgr))
	}
	if err != nil {
		return fmt.Errorf("set up the controllers: %w", err)
	}
	return nil
}
