package invalid

import (
	_ "embed"
	"maps"

	corev1 "k8s.io/api/core/v1"
)

//go:embed sidecarsets.yaml
var sidecarSetCases []byte

//go:embed clonesets.yaml
var cloneSetCases []byte

//go:embed imagepulljobs.yaml
var imagePullJobCases []byte

//go:embed imagelistpulljobs.yaml
var imageListPullJobCases []byte

//go:embed nodeimages.yaml
var nodeImageCases []byte

//go:embed containerrecreaterequests.yaml
var containerRecreateRequestCases []byte

// Table holds the cases of one kind.
type Table struct {
	// Resource is the kind's plural.
	Resource string
	// Namespaced tells whether its objects live in a namespace.
	Namespaced bool

	// Pods that must run in namespace default.
	Pods []*corev1.Pod

	cases []byte
	// base is a valid object of a version.
	base func(version string) object
	// pod finds the part of it that lists containers; nil if there is none.
	pod func(whole object) object
	// first finds the probe that an entry's probe changes; nil if there is none.
	first func(whole object) object
}

// Tables returns the tables of all kinds.
func Tables() []Table {
	return []Table{CloneSets(), ContainerRecreateRequests(), SidecarSets(), NodeImages(), ImagePullJobs(), ImageListPullJobs(), PodProbeMarkers()}
}

// SidecarSets returns those of SidecarSet.
func SidecarSets() Table {
	return Table{
		Resource: "sidecarsets",
		cases:    sidecarSetCases,
		pod:      func(whole object) object { return whole["spec"].(object) },
		base: func(version string) object {
			return object{
				"apiVersion": "apps.kruise.io/" + version,
				"kind":       "SidecarSet",
				"metadata":   object{"name": "invalid"},
				"spec": object{
					"selector": object{"matchLabels": object{"app": "nginx"}},
					"containers": []any{object{
						"name": "sidecar", "image": "sidecar:1",
						"volumeMounts": []any{object{"name": "data", "mountPath": "/data"}},
					}},
					"volumes": []any{object{"name": "data", "emptyDir": object{}}},
				},
			}
		},
	}
}

// CloneSets returns those of CloneSet.
func CloneSets() Table {
	return Table{
		Resource:   "clonesets",
		Namespaced: true,
		cases:      cloneSetCases,
		pod:        func(whole object) object { return whole["spec"].(object)["template"].(object)["spec"].(object) },
		base: func(version string) object {
			return object{
				"apiVersion": "apps.kruise.io/" + version,
				"kind":       "CloneSet",
				"metadata":   object{"name": "invalid", "namespace": "default"},
				"spec": object{
					"replicas": 3,
					"selector": object{"matchLabels": object{"app": "nginx"}},
					"template": object{
						"metadata": object{"labels": object{"app": "nginx"}},
						"spec":     object{"containers": []any{object{"name": "app", "image": "app:1"}}},
					},
				},
			}
		},
	}
}

// NodeImages returns those of NodeImage.
func NodeImages() Table {
	return Table{
		Resource: "nodeimages",
		cases:    nodeImageCases,
		base: simple("NodeImage", object{"name": "invalid"}, func() object {
			return object{"images": object{"docker.io/library/nginx": object{"tags": []any{object{
				"tag": "1.25", "createdAt": "2026-11-21T00:00:00Z", "pullPolicy": object{"ttlSecondsAfterFinished": 300},
			}}}}}
		}),
	}
}

// ImagePullJobs returns those of ImagePullJob.
func ImagePullJobs() Table {
	return Table{
		Resource: "imagepulljobs", Namespaced: true,
		cases: imagePullJobCases,
		base: simple("ImagePullJob", object{"name": "invalid", "namespace": "default"}, func() object {
			return object{"image": "nginx:1.25"}
		}),
	}
}

// ImageListPullJobs returns those of ImageListPullJob.
func ImageListPullJobs() Table {
	return Table{
		Resource: "imagelistpulljobs", Namespaced: true,
		cases: imageListPullJobCases,
		base: simple("ImageListPullJob", object{"name": "invalid", "namespace": "default"}, func() object {
			return object{"images": []any{"nginx:1.25", "busybox:1"}}
		}),
	}
}

func simple(kind string, meta object, spec func() object) func(string) object {
	return func(version string) object {
		return object{"apiVersion": "apps.kruise.io/" + version, "kind": kind, "metadata": maps.Clone(meta), "spec": spec()}
	}
}

// ContainerRecreateRequests returns those of ContainerRecreateRequest.
func ContainerRecreateRequests() Table {
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace = "recreated", "default"
	for _, name := range []string{"app", "sidecar"} {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name, Image: name + ":1"})
	}
	return Table{
		Resource: "containerrecreaterequests", Namespaced: true,
		Pods:  []*corev1.Pod{pod},
		cases: containerRecreateRequestCases,
		pod:   func(whole object) object { return whole["spec"].(object) },
		base: simple("ContainerRecreateRequest", object{"name": "invalid", "namespace": "default"}, func() object {
			return object{"podName": "recreated", "containers": []any{object{"name": "app"}}}
		}),
	}
}
