package app

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/internal/controller/cloneset"
	"github.com/outrigger-project/outrigger/internal/controller/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/controller/imagelistpulljob"
	"github.com/outrigger-project/outrigger/internal/controller/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/controller/nodeagent"
	"github.com/outrigger-project/outrigger/internal/controller/nodecontainerrecreate"
	"github.com/outrigger-project/outrigger/internal/controller/nodeimage"
	"github.com/outrigger-project/outrigger/internal/controller/nodepodprobe"
	"github.com/outrigger-project/outrigger/internal/controller/podprobemarker"
	"github.com/outrigger-project/outrigger/internal/controller/predownload"
	"github.com/outrigger-project/outrigger/internal/controller/sidecarset"
	"github.com/outrigger-project/outrigger/internal/features"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// controllers is THE list of controllers, each with the kinds that it takes. They run on the leader only.
func controllers(mgr manager.Manager, c Config, m metrics) []watch.Part {
	renewals := &cloneset.Renewals{Off: !c.Features.Enabled(features.InPlaceUpdateEnvFromMetadata), NoAgents: !c.Features.Enabled(features.KruiseDaemon)}
	records := &containerrecreaterequest.Records{}
	noProbes := !c.Features.Enabled(features.PodProbeMarkerGate)
	all := []watch.Part{
		{Name: "SidecarSets", Needs: []string{"sidecarsets"}, Setup: func() error {
			return sidecarset.SetupWithManager(mgr, sidecarset.Options{
				Workers: c.SidecarSetWorkers, WritesInFlight: c.MaxWritesInFlight, Namespace: c.Namespace, Metrics: m.sidecarSets,
			})
		}},
		{Name: "CloneSets", Needs: []string{"clonesets"}, Setup: func() error {
			return cloneset.SetupWithManager(mgr, cloneset.Options{
				Workers: c.CloneSetWorkers, WritesInFlight: c.MaxWritesInFlight,
				ExcludePreparingDelete: c.CloneSetExcludePreparingDelete, Metrics: m.cloneSets,
				RollBack:  c.Features.Enabled(features.CloneSetPartitionRollback),
				ShortHash: c.Features.Enabled(features.CloneSetShortHash),
				Renewals:  renewals,
			})
		}},
		{Name: "ContainerRecreateRequests", Needs: []string{"containerrecreaterequests"}, Setup: func() error {
			return containerrecreaterequest.SetupWithManager(mgr, containerrecreaterequest.Options{
				Workers: c.ContainerRecreateRequestWorkers, WritesInFlight: c.MaxWritesInFlight, Records: records,
			})
		}},
		{Name: "NodeContainerRecreates", Needs: []string{"nodecontainerrecreates", "containerrecreaterequests"}, Setup: func() error {
			if err := records.SetupWithManager(mgr); err != nil {
				return err
			}
			return nodecontainerrecreate.SetupWithManager(mgr, nodecontainerrecreate.Options{Workers: c.ContainerRecreateRequestWorkers, WritesInFlight: c.MaxWritesInFlight})
		}},
		{Name: "new environments for containers of CloneSets", Needs: []string{"clonesets", "containerrecreaterequests", "nodecontainerrecreates"}, Setup: func() error {
			return renewals.SetupWithManager(mgr)
		}},
		{Name: "NodeImages", Needs: []string{"nodeimages", "imagepulljobs"}, Setup: func() error {
			return nodeimage.SetupWithManager(mgr, nodeimage.Options{
				Workers: c.NodeImageWorkers, WritesInFlight: c.MaxWritesInFlight, CreationDelay: c.NodeImageCreationDelay,
			})
		}},
		{Name: "ImagePullJobs", Needs: []string{"imagepulljobs", "nodeimages"}, Setup: func() error {
			return imagepulljob.SetupWithManager(mgr, imagepulljob.Options{
				Workers: c.ImagePullJobWorkers, WritesInFlight: c.MaxWritesInFlight, TagTTL: time.Duration(c.NodeImageTTL) * time.Second,
			})
		}},
		{Name: "PodProbeMarkers", Needs: []string{"podprobemarkers", "nodepodprobes"}, Setup: func() error {
			return podprobemarker.SetupWithManager(mgr, podprobemarker.Options{Workers: c.PodProbeMarkerWorkers, Off: noProbes})
		}},
		{Name: "NodePodProbes", Needs: []string{"nodepodprobes", "podprobemarkers"}, Setup: func() error {
			return nodepodprobe.SetupWithManager(mgr, nodepodprobe.Options{Workers: c.NodePodProbeWorkers, WritesInFlight: c.MaxWritesInFlight, Off: noProbes})
		}},
	}
	if c.Features.Enabled(features.KruiseDaemon) {
		all = append(all, watch.Part{
			Name: "the accounts of node agents", Also: func() error { return nodeagent.Allowed(mgr) },
			Setup: func() error {
				return nodeagent.SetupWithManager(mgr, nodeagent.Options{WritesInFlight: c.MaxWritesInFlight})
			},
		})
	}
	if c.Features.Enabled(features.ImagePullJobGate) {
		all = append(all, watch.Part{Name: "ImageListPullJobs", Needs: []string{"imagelistpulljobs", "imagepulljobs"}, Setup: func() error {
			return imagelistpulljob.SetupWithManager(mgr, imagelistpulljob.Options{WritesInFlight: c.MaxWritesInFlight})
		}})
	}
	if c.Features.Enabled(features.PreDownloadImageForInPlaceUpdate) {
		all = append(all, watch.Part{Name: "the pulls ahead of CloneSets' updates", Needs: []string{"clonesets", "imagepulljobs"}, Setup: func() error {
			return predownload.SetupWithManager(mgr)
		}})
	}
	return all
}
