package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of all workload kinds.
const GroupName = "apps.kruise.io"

// GroupVersion returns the group and version of this package's kinds.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: GroupName, Version: "v1beta1"}
}

// AddToScheme registers this package's kinds with a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(), &SidecarSet{}, &SidecarSetList{}, &CloneSet{}, &CloneSetList{},
		&NodeImage{}, &NodeImageList{}, &ImagePullJob{}, &ImagePullJobList{}, &ImageListPullJob{}, &ImageListPullJobList{})
	s.AddKnownTypes(GroupVersion(), &PodProbeMarker{}, &PodProbeMarkerList{}, &NodePodProbe{}, &NodePodProbeList{})
	s.AddKnownTypes(GroupVersion(), &ContainerRecreateRequest{}, &ContainerRecreateRequestList{}, &NodeContainerRecreate{}, &NodeContainerRecreateList{})
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
