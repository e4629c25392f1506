package sidecarset_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
)

// conflictSet is a SidecarSet of that name with further lines of its spec, selecting app=web.
func conflictSet(name, spec string) string {
	if !strings.Contains(spec, "selector:") {
		spec = "selector: {matchLabels: {app: web}}\n" + spec
	}
	return fmt.Sprintf("metadata: {name: %s}\nspec:\n  %s\n", name, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
}

func TestConflicts(t *testing.T) {
	const (
		breaks = "BREAKS "
		risky  = "risky "
	)
	tests := map[string]struct {
		a, b string
		want []string
	}{
		"nothing in common": {a: "containers: [{name: x, image: i}]", b: "containers: [{name: z, image: i}]"},
		"other Pods": {
			a: "containers: [{name: x, image: i}]\nselector: {matchLabels: {app: a}}",
			b: "containers: [{name: x, image: i}]\nselector: {matchLabels: {app: b}}",
		},
		"one name": {
			a: "containers: [{name: x, image: i}]", b: "containers: [{name: x, image: i}]",
			want: []string{breaks + "spec.containers[0].name x is used by SidecarSet b as well"},
		},
		"a container and an init container of one name": {
			a: "initContainers: [{name: x, image: i}]", b: "containers: [{name: z, image: i}, {name: x, image: i}]",
			want: []string{breaks + "spec.initContainers[0].name x is used by SidecarSet b as well"},
		},
		"a HotUpgrade container takes two names": {
			a: "containers: [{name: x, image: i, upgradeStrategy: {upgradeType: HotUpgrade}}]", b: "containers: [{name: x-2, image: i}]",
			want: []string{breaks + "spec.containers[0].name x becomes two containers (HotUpgrade), of which x-2 is used by SidecarSet b as well"},
		},
		"a name that a HotUpgrade container takes": {
			a: "containers: [{name: x-1, image: i}]", b: "containers: [{name: x, image: i, upgradeStrategy: {upgradeType: HotUpgrade}}]",
			want: []string{breaks + "spec.containers[0].name x-1 is used by SidecarSet b as well"},
		},
		"two HotUpgrade containers of one name": {
			a: "containers: [{name: x, image: i, upgradeStrategy: {upgradeType: HotUpgrade}}]", b: "containers: [{name: x, image: i, upgradeStrategy: {upgradeType: HotUpgrade}}]",
			want: []string{breaks + "spec.containers[0].name x is used by SidecarSet b as well"},
		},
		"one volume": {a: "volumes: [{name: v, hostPath: {path: /v}}]", b: "volumes: [{name: v, hostPath: {path: /v}}]"},
		"one volume, its size written differently": {
			a: "volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}]", b: "volumes: [{name: v, emptyDir: {sizeLimit: 1024Mi}}]",
		},
		"two volumes of one name": {
			a: "volumes: [{name: v, hostPath: {path: /v}}]", b: "volumes: [{name: v, emptyDir: {}}]",
			want: []string{breaks + "spec.volumes[0].name v with another definition is used by SidecarSet b as well"},
		},
		"one port": {
			a: "containers: [{name: x, image: i, ports: [{containerPort: 80}]}]", b: "containers: [{name: z, image: i, ports: [{containerPort: 80, protocol: TCP}]}]",
			want: []string{risky + "spec.containers[0].ports[0].containerPort 80 is a port of SidecarSet b as well: only one container of a Pod can listen on it"},
		},
		"one port of two protocols": {
			a: "containers: [{name: x, image: i, ports: [{containerPort: 80}]}]", b: "containers: [{name: z, image: i, ports: [{containerPort: 80, protocol: UDP}]}]",
		},
		"a port of an init container, which ends before": {
			a: "initContainers: [{name: x, image: i, ports: [{containerPort: 80, hostPort: 80}]}]", b: "containers: [{name: z, image: i, ports: [{containerPort: 80, hostPort: 80}]}]",
		},
		"a port of a native sidecar": {
			a: "initContainers: [{name: x, image: i, restartPolicy: Always, ports: [{containerPort: 80}]}]", b: "containers: [{name: z, image: i, ports: [{containerPort: 80}]}]",
			want: []string{risky + "spec.initContainers[0].ports[0].containerPort 80 is a port of SidecarSet b as well: only one container of a Pod can listen on it"},
		},
		"one port of the host": {
			a: "containers: [{name: x, image: i, ports: [{containerPort: 80, hostPort: 8080}]}]", b: "containers: [{name: z, image: i, ports: [{containerPort: 81, hostPort: 8080, hostIP: 0.0.0.0}]}]",
			want: []string{breaks + "spec.containers[0].ports[0].hostPort 8080 is used by SidecarSet b as well"},
		},
		"one port of two addresses of the host": {
			a: "containers: [{name: x, image: i, ports: [{containerPort: 80, hostPort: 8080, hostIP: 10.0.0.1}]}]", b: "containers: [{name: z, image: i, ports: [{containerPort: 81, hostPort: 8080, hostIP: 10.0.0.2}]}]",
		},
		"files that both write": {
			a:    "containers: [{name: x, image: i, volumeMounts: [{name: v, mountPath: /v}]}]\nvolumes: [{name: v, hostPath: {path: /var/lib/agent/}}]",
			b:    "containers: [{name: z, image: i, volumeMounts: [{name: w, mountPath: /w}]}]\nvolumes: [{name: w, hostPath: {path: /var/lib/agent}}]",
			want: []string{risky + "spec.volumes[0].hostPath.path /var/lib/agent/ is written to by SidecarSet b as well, through a volume of another name"},
		},
		"files that one reads": {
			a: "containers: [{name: x, image: i, volumeMounts: [{name: v, mountPath: /v}]}]\nvolumes: [{name: v, hostPath: {path: /var/log}}]",
			b: "containers: [{name: z, image: i, volumeMounts: [{name: w, mountPath: /w, readOnly: true}]}]\nvolumes: [{name: w, hostPath: {path: /var/log}}]",
		},
		"files shared by one volume": {
			a: "containers: [{name: x, image: i, volumeMounts: [{name: v, mountPath: /v}]}]\nvolumes: [{name: v, hostPath: {path: /var/log}}]",
			b: "containers: [{name: z, image: i, volumeMounts: [{name: v, mountPath: /w}]}]\nvolumes: [{name: v, hostPath: {path: /var/log}}]",
		},
		"no files": {
			a: "containers: [{name: x, image: i, volumeMounts: [{name: v, mountPath: /v}, {name: s, mountPath: /s}]}]\nvolumes: [{name: v, hostPath: {path: /sys/fs}}, {name: s, hostPath: {path: /run/s, type: Socket}}]",
			b: "containers: [{name: z, image: i, volumeMounts: [{name: w, mountPath: /w}, {name: t, mountPath: /t}]}]\nvolumes: [{name: w, hostPath: {path: /sys/fs}}, {name: t, hostPath: {path: /run/s, type: Socket}}]",
		},
		"a claim that both write": {
			a:    "containers: [{name: x, image: i, volumeMounts: [{name: v, mountPath: /v}]}]\nvolumes: [{name: v, persistentVolumeClaim: {claimName: c}}]",
			b:    "initContainers: [{name: z, image: i, volumeMounts: [{name: w, mountPath: /w}]}]\nvolumes: [{name: w, persistentVolumeClaim: {claimName: c}}]",
			want: []string{risky + "spec.volumes[0].persistentVolumeClaim.claimName c is written to by SidecarSet b as well, through a volume of another name"},
		},
		"variables of a container that the other injects": {
			a:    "containers: [{name: x, image: i, transferEnv: [{sourceContainerName: main, envName: A}]}]",
			b:    "containers: [{name: main, image: i}]",
			want: []string{risky + "spec.containers[0].transferEnv[0].sourceContainerName main is injected by SidecarSet b, and variables are transferred from the Pod's own containers only"},
		},
		"a container that the other transfers variables from": {
			a:    "containers: [{name: main, image: i}]",
			b:    "containers: [{name: x, image: i, transferEnv: [{sourceContainerName: main, envName: A}]}]",
			want: []string{risky + "spec.containers[0].name main takes the place of the container that SidecarSet b transfers variables from"},
		},
		"variables of one container": {
			a: "containers: [{name: x, image: i, transferEnv: [{sourceContainerName: main, envName: A}]}]",
			b: "containers: [{name: z, image: i, transferEnv: [{sourceContainerName: main, envName: A}]}]",
		},
		"what breaks comes first": {
			a:    "containers: [{name: x, image: i, ports: [{containerPort: 80}]}]\nvolumes: [{name: v, emptyDir: {}}]",
			b:    "containers: [{name: z, image: i, ports: [{containerPort: 80}]}]\nvolumes: [{name: v, hostPath: {path: /v}}]",
			want: []string{breaks + "spec.volumes[0].name v with another definition is used by SidecarSet b as well", risky + "spec.containers[0].ports[0].containerPort 80 is a port of SidecarSet b as well: only one container of a Pod can listen on it"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := among(t, conflictSet("a", test.a))[0], among(t, conflictSet("b", test.b))[0]
			var got []string
			for _, c := range sidecarset.Conflicts(a.Set, []sidecarset.Other{a, b}) {
				got = append(got, map[bool]string{true: breaks, false: risky}[c.Breaks]+c.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Conflicts() (-want +got):\n%s", diff)
			}
			if back := sidecarset.Conflicts(b.Set, []sidecarset.Other{a, b}); (len(back) > 0) != (len(got) > 0) {
				t.Errorf("the other set's conflicts are %v: one-sided", back)
			}
		})
	}
}
