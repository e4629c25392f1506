package inject

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/annotation"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// Set is a SidecarSet made ready for injection. It does not change and may be used concurrently.
type Set struct {
	// Name of the SidecarSet.
	Name string
	// Scope says which Pods it selects.
	Scope scope.Scope
	// Paused is injectionStrategy.paused.
	Paused bool
	// Base is the set whose canary this is; empty if it is none.
	Base string
	// Revision names the revision that it is, and Hash is that of the revision's identity.
	Revision, Hash string

	containers, initContainers []container
	// volumes that a sidecar uses, and imagePullSecrets.
	volumes, secrets []element
	// versions are its entries in the Pod's annotations.
	hash, hashWithoutImage []byte
	// annotations that it gives the Pod (patchPodMetadata).
	annotations []annotation.Patch
	// hot are its containers of hot upgrades.
	hot []hot
	// older is the revision that injectionStrategy asks for; nil: none.
	older *older
}

// container is a sidecar made ready: everything that is the same in every Pod is JSON already.
type container struct {
	name string
	// before tells that it stands in front of the Pod's own.
	before bool
	// head is the JSON object without env, volumeMounts, volumeDevices, with a policy without resources, and
	// without the closing brace.
	head []byte
	// env, mounts and devices are the elements of the container's own lists, comma-joined.
	env, mounts, devices []byte
	envNames             []string
	// paths and volumes of its own mounts and devices.
	paths, volumes            []string
	shareMounts, shareDevices bool
	transfer                  []transfer
	// policy is nil without a resourcesPolicy.
	policy *policy
}

// transfer says which variables are copied from which container.
type transfer struct {
	from  source
	names []string
}

// element is one element of a list in which names are unique.
type element struct {
	name string
	raw  []byte
}

// Prepare makes a SidecarSet ready for injection. kept are the ControllerRevisions that carry its name. It fails, naming
// the fields, for what is not supported yet and for selectors that are malformed. It does not fail where the revision
// that injectionStrategy asks for is not there: that is said of the Pods that would get it.
func Prepare(set *v1beta1.SidecarSet, kept ...revision.Kept) (*Set, error) {
	identity, err := revision.IdentityOf(&set.Spec)
	if err != nil {
		return nil, fmt.Errorf("SidecarSet %s: %w", set.Name, err)
	}
	s, err := prepareVersion(set, revision.NameOf(revision.OwnerOf(set), identity, revision.HistoryOf(kept)))
	if err != nil {
		return nil, err
	}
	s.Hash = identity.Hash
	if err := s.prepareOlder(set, kept); err != nil {
		return nil, fmt.Errorf("SidecarSet %s: %w", set.Name, err)
	}
	return s, nil
}

// prepareVersion prepares one version of a SidecarSet: the revision of this name.
func prepareVersion(set *v1beta1.SidecarSet, name string) (*Set, error) {
	if errs := Unsupported(set); len(errs) > 0 {
		return nil, fmt.Errorf("SidecarSet %s: %w", set.Name, errs.ToAggregate())
	}
	s := &Set{Name: set.Name, Paused: set.Spec.InjectionStrategy.Paused, Base: BaseOf(set), Revision: name}
	for _, step := range []func(*v1beta1.SidecarSet) error{s.prepareScope, s.prepareContainers, s.prepareLists, s.prepareVersions, s.prepareAnnotations} {
		if err := step(set); err != nil {
			return nil, fmt.Errorf("SidecarSet %s: %w", set.Name, err)
		}
	}
	return s, nil
}

func (s *Set) prepareScope(set *v1beta1.SidecarSet) (err error) {
	s.Scope, err = scope.Of(&set.Spec)
	return err
}

func (s *Set) prepareContainers(set *v1beta1.SidecarSet) error {
	for i := range set.Spec.InitContainers {
		if err := s.add(&set.Spec.InitContainers[i], true); err != nil {
			return fmt.Errorf("spec.initContainers[%d].%w", i, err)
		}
	}
	for i := range set.Spec.Containers {
		if err := s.add(&set.Spec.Containers[i], set.Spec.Containers[i].Native()); err != nil {
			return fmt.Errorf("spec.containers[%d].%w", i, err)
		}
	}
	return nil
}

// add prepares one of the set's containers, which is one in the Pod, or two for a hot upgrade.
func (s *Set) add(sidecar *v1beta1.SidecarContainer, init bool) error {
	for _, own := range s.variants(sidecar) {
		if hooks := sidecar.Lifecycle; hooks != nil && hooks.Lifecycle != (corev1.Lifecycle{}) {
			own.Lifecycle = hooks.Lifecycle.DeepCopy()
		}
		if sidecar.Native() {
			own.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		}
		c, err := prepareContainer(sidecar, own)
		if err != nil {
			return err
		}
		if init {
			c.before = sidecar.PodInjectPolicy == v1beta1.BeforeAppContainer
			s.initContainers = append(s.initContainers, c)
		} else {
			c.before = sidecar.PodInjectPolicy != v1beta1.AfterAppContainer
			s.containers = append(s.containers, c)
		}
	}
	return nil
}

// prepareContainer prepares own, which is the sidecar's core container or a variant of it.
func prepareContainer(sidecar *v1beta1.SidecarContainer, own *corev1.Container) (container, error) {
	c := container{name: own.Name, shareMounts: shares(&sidecar.ShareVolumePolicy), shareDevices: shares(sidecar.ShareVolumeDevicePolicy)}
	env := slices.DeleteFunc(own.Env, func(e corev1.EnvVar) bool { return e.Name == v1beta1.InjectedEnv })
	env = append(env, corev1.EnvVar{Name: v1beta1.InjectedEnv, Value: "true"})
	for _, e := range env {
		c.envNames = append(c.envNames, e.Name)
	}
	for _, m := range own.VolumeMounts {
		c.paths, c.volumes = append(c.paths, clean(m.MountPath)), append(c.volumes, m.Name)
	}
	for _, d := range own.VolumeDevices {
		c.paths, c.volumes = append(c.paths, clean(d.DevicePath)), append(c.volumes, d.Name)
	}
	var err error
	if c.transfer, err = prepareTransfer(sidecar.TransferEnv); err != nil {
		return c, err
	}
	if c.policy, err = preparePolicy(sidecar.ResourcesPolicy, &own.Resources); err != nil {
		return c, err
	}
	if c.env, err = joined(env); err != nil {
		return c, fmt.Errorf("env: %w", err)
	}
	if c.mounts, err = joined(own.VolumeMounts); err != nil {
		return c, fmt.Errorf("volumeMounts: %w", err)
	}
	if c.devices, err = joined(own.VolumeDevices); err != nil {
		return c, fmt.Errorf("volumeDevices: %w", err)
	}
	c.head, err = head(own, c.policy != nil)
	return c, err
}

// head returns a container's JSON without what is written apart, and without the closing brace.
func head(own *corev1.Container, computed bool) ([]byte, error) {
	own.Env, own.VolumeMounts, own.VolumeDevices = nil, nil, nil
	var rest any = own
	if computed {
		rest = withoutResources{Container: own}
	}
	whole, err := json.Marshal(rest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", own.Name, err)
	}
	return whole[:len(whole)-1], nil
}

func prepareTransfer(wanted []v1beta1.TransferEnvVar) ([]transfer, error) {
	var all []transfer
	for i, t := range wanted {
		from, err := sourceOf(&t)
		if err != nil {
			return nil, fmt.Errorf("transferEnv[%d].%w", i, err)
		}
		all = append(all, transfer{from: from, names: united(t.EnvName, t.EnvNames)})
	}
	return all, nil
}

// withoutResources hides a field of the container: of two of one name JSON takes the outer one.
type withoutResources struct {
	*corev1.Container
	Resources *struct{} `json:"resources,omitempty"`
}

func shares(p *v1beta1.ShareVolumePolicy) bool {
	return p != nil && p.Type == v1beta1.ShareVolumePolicyEnabled
}

// united returns envName and envNames as one sorted list without repetitions.
func united(name string, names []string) []string {
	all := append([]string{name}, names...)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(n string) bool { return n == "" })
}

// joined returns the JSON of a list without its brackets.
func joined[T any](list []T) ([]byte, error) {
	if len(list) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return data[1 : len(data)-1], nil
}

// prepareLists keeps the volumes that a sidecar mounts or uses as a device, and the pull secrets.
func (s *Set) prepareLists(set *v1beta1.SidecarSet) error {
	used := map[string]bool{}
	for _, c := range slices.Concat(set.Spec.InitContainers, set.Spec.Containers) {
		for _, m := range c.VolumeMounts {
			used[m.Name] = true
		}
		for _, d := range c.VolumeDevices {
			used[d.Name] = true
		}
	}
	for i, v := range set.Spec.Volumes {
		if !used[v.Name] {
			continue
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("spec.volumes[%d]: %w", i, err)
		}
		s.volumes = append(s.volumes, element{v.Name, raw})
	}
	for i, secret := range set.Spec.ImagePullSecrets {
		raw, err := json.Marshal(secret)
		if err != nil {
			return fmt.Errorf("spec.imagePullSecrets[%d]: %w", i, err)
		}
		s.secrets = append(s.secrets, element{secret.Name, raw})
	}
	return nil
}

func (s *Set) prepareVersions(set *v1beta1.SidecarSet) error {
	hashes, err := revision.Of(&set.Spec)
	if err != nil {
		return err
	}
	version := v1beta1.SidecarSetUpgradeSpec{
		UpdateTimestamp: changed(set),
		SidecarSetHash:  hashes.WithoutImage,
		SidecarSetName:  set.Name,
	}
	for _, c := range revision.Running(&set.Spec) {
		version.SidecarList = append(version.SidecarList, namesInPod(c)...)
	}
	version.HashWithoutResources = hashes.WithoutResources
	if s.hashWithoutImage, err = json.Marshal(version); err != nil {
		return fmt.Errorf("write its version: %w", err)
	}
	version.SidecarSetHash, version.HashWithoutResources = hashes.Full, ""
	version.SidecarSetControllerRevision = s.Revision
	if s.hash, err = json.Marshal(version); err != nil {
		return fmt.Errorf("write its version: %w", err)
	}
	return nil
}

func (s *Set) prepareAnnotations(set *v1beta1.SidecarSet) (err error) {
	s.annotations, err = annotation.Prepare(set.Spec.PatchPodMetadata)
	return err
}

// changed is when the set was last changed, as its managed fields say, else when it was created, else
// unknown. It stands in the Pod's annotations: the clock would give the same request two answers.
func changed(set *v1beta1.SidecarSet) string {
	newest := set.CreationTimestamp.Time
	for _, f := range set.ManagedFields {
		if f.Subresource == "" && f.Time != nil && f.Time.After(newest) {
			newest = f.Time.Time
		}
	}
	if newest.IsZero() {
		return ""
	}
	return newest.UTC().Format(time.RFC3339)
}
