package revision

import (
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Content is what a revision keeps of a spec, and what it restores. It is in one form: defaults are written out
// and empty lists are nil, so that equal contents have equal JSON.
type Content struct {
	Volumes          []corev1.Volume                      `json:"volumes"`
	Containers       []v1beta1.SidecarContainer           `json:"containers"`
	InitContainers   []v1beta1.SidecarContainer           `json:"initContainers"`
	ImagePullSecrets []corev1.LocalObjectReference        `json:"imagePullSecrets"`
	PatchPodMetadata []v1beta1.SidecarSetPatchPodMetadata `json:"patchPodMetadata"`
}

// data is the wire format of a ControllerRevision's data: a patch that replaces the five fields. All of them are
// written, null when empty.
type data struct {
	Spec dataSpec `json:"spec"`
}

type dataSpec struct {
	Patch string `json:"$patch"`
	Content
}

// ContentOf returns what a revision keeps of a spec. It shares nothing with it.
func ContentOf(spec *v1beta1.SidecarSetSpec) Content {
	s := spec.DeepCopy()
	c := Content{s.Volumes, s.Containers, s.InitContainers, s.ImagePullSecrets, s.PatchPodMetadata}
	for i := range c.Containers {
		Default(&c.Containers[i])
		normalize(&c.Containers[i])
	}
	for i := range c.InitContainers {
		orElse(&c.InitContainers[i].PodInjectPolicy, v1beta1.AfterAppContainer)
		Default(&c.InitContainers[i])
		normalize(&c.InitContainers[i])
	}
	for i := range c.PatchPodMetadata {
		orElse(&c.PatchPodMetadata[i].PatchPolicy, v1beta1.SidecarSetRetainPatchPolicy)
	}
	emptyIsNil(&c.Volumes)
	emptyIsNil(&c.Containers)
	emptyIsNil(&c.InitContainers)
	emptyIsNil(&c.ImagePullSecrets)
	emptyIsNil(&c.PatchPodMetadata)
	return c
}

func emptyIsNil[T any](list *[]T) {
	if len(*list) == 0 {
		*list = nil
	}
}

// Read reads a ControllerRevision's data, ours or OpenKruise's.
func Read(raw []byte) (Content, error) {
	var d data
	if err := json.Unmarshal(raw, &d); err != nil {
		return Content{}, fmt.Errorf("read the revision's data: %w", err)
	}
	spec := v1beta1.SidecarSetSpec{}
	d.Spec.ApplyTo(&spec)
	return ContentOf(&spec), nil
}

// ApplyTo restores the content: it replaces the five fields of a spec, which shares them from then on.
func (c Content) ApplyTo(spec *v1beta1.SidecarSetSpec) {
	spec.Volumes, spec.Containers, spec.InitContainers = c.Volumes, c.Containers, c.InitContainers
	spec.ImagePullSecrets, spec.PatchPodMetadata = c.ImagePullSecrets, c.PatchPodMetadata
}

// Data returns the content as a ControllerRevision's data.
func (c Content) Data() ([]byte, error) {
	raw, err := json.Marshal(data{dataSpec{Patch: "replace", Content: c}})
	if err != nil {
		return nil, fmt.Errorf("write the revision's data: %w", err)
	}
	return raw, nil
}

// Identity tells a content from every other one.
type Identity struct {
	// Data is the content as a ControllerRevision keeps it.
	Data []byte
	// Hash is of Data.
	Hash string
}

// IdentityOf returns the identity of a spec's content.
func IdentityOf(spec *v1beta1.SidecarSetSpec) (Identity, error) { return ContentOf(spec).identity() }

func (c Content) identity() (Identity, error) {
	raw, err := c.Data()
	if err != nil {
		return Identity{}, err
	}
	return Identity{Data: raw, Hash: short(raw)}, nil
}

// Name returns the name of a SidecarSet's revision: of its identity's hash or, after clashes of names, of that and
// their number (status.collisionCount).
//
//	Name("logtail", hash, nil)  logtail-<hash>
func Name(set, hash string, collisions *int32) string {
	if collisions != nil && *collisions > 0 {
		hash = short([]byte(hash + "/" + strconv.Itoa(int(*collisions))))
	}
	return set + "-" + hash
}

// CustomVersion returns the name that the user has given to a SidecarSet's version; empty if none. A v1beta1 object
// may say it by v1alpha1's label too: kubectl label writes the version it prefers.
func CustomVersion(set *v1beta1.SidecarSet) string {
	if set.Spec.CustomVersion != "" {
		return set.Spec.CustomVersion
	}
	return set.Labels[v1beta1.SidecarSetCustomVersionLabel]
}
