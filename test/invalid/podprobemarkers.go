package invalid

import (
	_ "embed"
)

//go:embed podprobemarkers.yaml
var podProbeMarkerCases []byte

// PodProbeMarkers returns those of PodProbeMarker.
func PodProbeMarkers() Table {
	return Table{
		Resource:   "podprobemarkers",
		Namespaced: true,
		cases:      podProbeMarkerCases,
		first:      func(whole object) object { return whole["spec"].(object)["probes"].([]any)[0].(object) },
		base: func(version string) object {
			return object{
				"apiVersion": "apps.kruise.io/" + version,
				"kind":       "PodProbeMarker",
				"metadata":   object{"name": "invalid", "namespace": "default"},
				"spec": object{
					"selector": object{"matchLabels": object{"app": "game"}},
					"probes": []any{object{
						"name": "idle", "containerName": "game", "podConditionType": "game.io/idle",
						"probe": object{"exec": object{"command": []any{"/idle.sh"}}},
					}},
				},
			}
		},
	}
}
