package invalid

import (
	_ "embed"
)

//go:embed sidecarsets.yaml
var sidecarSetCases []byte

//go:embed clonesets.yaml
var cloneSetCases []byte

// Table holds the cases of one kind.
type Table struct {
	// Resource is the kind's plural.
	Resource string
	// Namespaced tells whether its objects live in a namespace.
	Namespaced bool

	cases []byte
	// base is a valid object of a version.
	base func(version string) object
	// pod finds the part of it that lists containers.
	pod func(whole object) object
}

// Tables returns the tables of all kinds.
func Tables() []Table { return []Table{CloneSets(), SidecarSets()} }

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
