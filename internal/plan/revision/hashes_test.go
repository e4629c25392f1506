package revision_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

const terse = `
name: logtail
image: logtail:1
ports: [{containerPort: 80}]
env:
- {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: FILE, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k}}}
resources: {limits: {memory: 1Gi, cpu: 500m}}
livenessProbe: {httpGet: {port: 80}}
readinessProbe: {grpc: {port: 80}}
startupProbe: {exec: {command: [x]}}
lifecycle: {postStart: {httpGet: {port: 80}}, preStop: {httpGet: {port: 81}}}
transferEnv:
- {sourceContainerNameFrom: {fieldRef: {fieldPath: metadata.name}}, envName: TZ}
`

const verbose = `
name: logtail
image: logtail:1
imagePullPolicy: IfNotPresent
terminationMessagePath: /dev/termination-log
terminationMessagePolicy: File
ports: [{containerPort: 80, protocol: TCP}]
env:
- {name: POD, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}
- {name: FILE, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k, optional: false}}}
resources: {limits: {memory: 1024Mi, cpu: 0.5}, requests: {memory: 1Gi, cpu: 500m}}
livenessProbe: {httpGet: {port: 80, path: /, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
readinessProbe: {grpc: {port: 80, service: ""}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
startupProbe: {exec: {command: [x]}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
lifecycle: {postStart: {httpGet: {port: 80, path: /, scheme: HTTP}}, preStop: {httpGet: {port: 81, path: /, scheme: HTTP}}}
podInjectPolicy: BeforeAppContainer
upgradeStrategy: {upgradeType: ColdUpgrade}
shareVolumePolicy: {type: disabled}
shareVolumeDevicePolicy: {type: disabled}
transferEnv:
- {sourceContainerNameFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}, envName: TZ}
`

func TestOf_writingDefaultsOutChangesNothing(t *testing.T) {
	short, long := of(t, terse), of(t, verbose)
	if short != long {
		t.Errorf("Of(terse) = %v, Of(verbose) = %v; want the same", short, long)
	}
}

func TestOf_defaultIsWhatOfSees(t *testing.T) {
	spec := parse(t, terse)
	before := ofSpec(t, spec)
	revision.Default(&spec.Containers[0])
	if after := ofSpec(t, spec); before != after {
		t.Errorf("after Default: %v, before: %v", after, before)
	}
	if got, want := spec.Containers[0].Resources.Requests.Memory().String(), "1Gi"; got != want {
		t.Errorf("Default: memory request = %q, want %q", got, want)
	}
}

func TestOf_everyContainerIsTheDefaultTarget(t *testing.T) {
	const policy = "name: a\nimage: a:1\nresourcesPolicy: {targetContainersMode: sum, %sresourcesExpr: {limits: {cpu: cpu}}}"
	unsaid, said := of(t, fmt.Sprintf(policy, "")), of(t, fmt.Sprintf(policy, `targetContainersNameRegex: ".*", `))
	if other := of(t, fmt.Sprintf(policy, "targetContainersNameRegex: a, ")); unsaid != said || other == said {
		t.Errorf("Of() = %v without a regular expression, %v with the default, %v with another", unsaid, said, other)
	}
}

func TestOf_doesNotTouchItsArgument(t *testing.T) {
	spec := parse(t, terse)
	ofSpec(t, spec)
	if c := spec.Containers[0]; c.ImagePullPolicy != "" || c.Image != "logtail:1" || c.LivenessProbe.TimeoutSeconds != 0 {
		t.Errorf("Of changed the spec: %+v", c)
	}
}

func TestOf_whatChangesWhich(t *testing.T) {
	for name, tc := range map[string]struct {
		change                               func(*v1beta1.SidecarSetSpec)
		full, withoutImage, withoutResources bool
	}{
		"nothing": {change: func(*v1beta1.SidecarSetSpec) {}},
		"image":   {change: func(s *v1beta1.SidecarSetSpec) { s.Containers[0].Image = "logtail:2" }, full: true},
		"image, to another default pull policy, which running pods do not get": {
			change: func(s *v1beta1.SidecarSetSpec) { s.Containers[0].Image = "logtail" }, full: true,
		},
		"image, to a tag with another default, and a policy that is not the default": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].Image = "logtail"
			s.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
		}, full: true, withoutImage: true, withoutResources: true},
		"env": {change: func(s *v1beta1.SidecarSetSpec) { s.Containers[0].Env[0].Name = "X" }, full: true, withoutImage: true, withoutResources: true},
		"probe": {
			change: func(s *v1beta1.SidecarSetSpec) { s.Containers[0].LivenessProbe.PeriodSeconds = 11 }, full: true, withoutImage: true, withoutResources: true,
		},
		"sharing": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].ShareVolumePolicy.Type = v1beta1.ShareVolumePolicyEnabled
		}, full: true, withoutImage: true, withoutResources: true},
		"sharing devices": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].ShareVolumeDevicePolicy = &v1beta1.ShareVolumePolicy{Type: v1beta1.ShareVolumePolicyEnabled}
		}, full: true, withoutImage: true, withoutResources: true},
		"place": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].PodInjectPolicy = v1beta1.AfterAppContainer
		}, full: true, withoutImage: true, withoutResources: true},
		"another container": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers = append(s.Containers, s.Containers[0])
		}, full: true, withoutImage: true, withoutResources: true},
		"cpu": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].Resources.Limits[corev1.ResourceCPU] = resource.MustParse("600m")
		}, full: true, withoutImage: true},
		"memory that is only requested": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Mi")}
		}, full: true, withoutImage: true},
		"no resources": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].Resources.Limits = nil
		}, full: true, withoutImage: true},
		"cpu and image": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].Image = "logtail:2"
			s.Containers[0].Resources.Limits[corev1.ResourceCPU] = resource.MustParse("600m")
		}, full: true, withoutImage: true},
		"other resources": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].Resources.Limits[corev1.ResourceEphemeralStorage] = resource.MustParse("1Gi")
		}, full: true, withoutImage: true, withoutResources: true},
		"whether a resize restarts": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}
		}, full: true, withoutImage: true, withoutResources: true},
		"a policy for resources": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].ResourcesPolicy = &v1beta1.ResourcesPolicy{}
		}, full: true, withoutImage: true, withoutResources: true},
		"volumes": {change: func(s *v1beta1.SidecarSetSpec) { s.Volumes = []corev1.Volume{{Name: "v"}} }},
		"native sidecar": {change: func(s *v1beta1.SidecarSetSpec) {
			always := corev1.ContainerRestartPolicyAlways
			s.InitContainers = append(s.InitContainers, s.Containers[0])
			s.InitContainers[0].RestartPolicy = &always
		}, full: true, withoutImage: true, withoutResources: true},
		"becomes a native sidecar": {change: func(s *v1beta1.SidecarSetSpec) {
			s.Containers[0].Lifecycle.Type = v1beta1.SidecarLifecycleType
		}, full: true, withoutImage: true, withoutResources: true},
		"init containers": {change: func(s *v1beta1.SidecarSetSpec) {
			s.InitContainers = append(s.InitContainers, s.Containers[0])
		}},
		"strategy": {change: func(s *v1beta1.SidecarSetSpec) { s.UpdateStrategy.Paused = true }},
		"secrets":  {change: func(s *v1beta1.SidecarSetSpec) { s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "s"}} }},
	} {
		t.Run(name, func(t *testing.T) {
			spec := parse(t, terse)
			before := ofSpec(t, spec)
			tc.change(spec)
			after := ofSpec(t, spec)
			if got := before.Full != after.Full; got != tc.full {
				t.Errorf("Full changed = %t, want %t", got, tc.full)
			}
			if got := before.WithoutImage != after.WithoutImage; got != tc.withoutImage {
				t.Errorf("WithoutImage changed = %t, want %t", got, tc.withoutImage)
			}
			if got := before.WithoutResources != after.WithoutResources; got != tc.withoutResources {
				t.Errorf("WithoutResources changed = %t, want %t", got, tc.withoutResources)
			}
		})
	}
}

func TestOf_isShortAndSafe(t *testing.T) {
	h := of(t, terse)
	for _, hash := range []string{h.Full, h.WithoutImage, h.WithoutResources} {
		if !regexp.MustCompile(`^[a-z0-9]{16}$`).MatchString(hash) {
			t.Errorf("hash %q is not 16 letters and digits", hash)
		}
	}
}

// The hashes are stored in Pods: another value means that every running sidecar is upgraded once more.
func TestOf_isStableOverReleases(t *testing.T) {
	want := revision.Hashes{Full: "x499v47b4c6wf2f5", WithoutImage: "c6b5fv4765xfv45f", WithoutResources: "fzw4v7w57xfbz956"}
	if got := of(t, terse); got != want {
		t.Errorf("Of() = %v, want %v", got, want)
	}
}

func TestDefault_pullPolicyFollowsTheImage(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"a":                               corev1.PullAlways,
		"a:latest":                        corev1.PullAlways,
		"a:1":                             corev1.PullIfNotPresent,
		"reg:5000/a":                      corev1.PullAlways,
		"reg:5000/a:1":                    corev1.PullIfNotPresent,
		"reg:5000/a:latest":               corev1.PullAlways,
		"a@sha256:0123456789abcdef":       corev1.PullIfNotPresent,
		"a:latest@sha256:0123456789abcde": corev1.PullAlways,
	} {
		c := v1beta1.SidecarContainer{Container: corev1.Container{Image: image}}
		revision.Default(&c)
		if c.ImagePullPolicy != want {
			t.Errorf("%s: %s, want %s", image, c.ImagePullPolicy, want)
		}
	}
}

func of(t *testing.T, container string) revision.Hashes {
	t.Helper()
	return ofSpec(t, parse(t, container))
}

func ofSpec(t *testing.T, spec *v1beta1.SidecarSetSpec) revision.Hashes {
	t.Helper()
	h, err := revision.Of(spec)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func parse(t *testing.T, container string) *v1beta1.SidecarSetSpec {
	t.Helper()
	var c v1beta1.SidecarContainer
	if err := yaml.UnmarshalStrict([]byte(container), &c); err != nil {
		t.Fatal(err)
	}
	return &v1beta1.SidecarSetSpec{Containers: []v1beta1.SidecarContainer{c}}
}

// TestDecide_dataIsAsTheAPIServerWritesIt: in any other order of keys the API server takes a change of a revision's
// metadata for one of its data, which may never change; the garbage collector then never lets go of it.
func TestDecide_dataIsAsTheAPIServerWritesIt(t *testing.T) {
	set := &v1beta1.SidecarSet{}
	set.Name, set.UID = "logtail", "1"
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "logtail", Image: "logtail:1"}}}
	wanted, err := revision.WantedOf(set, revision.Hashes{})
	if err != nil {
		t.Fatal(err)
	}
	data := revision.Decide(wanted, revision.History{}).Steps[0].Revision.Data
	var content any
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	served, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != string(served) {
		t.Errorf("the data is\n%s\nand the API server makes of it\n%s", data, served)
	}
	kept := &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: data}}
	if hash := revision.HashOf(kept); hash != wanted.Identity.Hash {
		t.Errorf("read again its hash is %s, not %s", hash, wanted.Identity.Hash)
	}
}
