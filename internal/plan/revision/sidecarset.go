package revision

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Content is what a revision keeps of a SidecarSet's spec, and what it restores. It is in one form: defaults are written out
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

// Read reads the data of a SidecarSet's ControllerRevision, ours or OpenKruise's.
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

// IdentityOf returns the identity of what a revision keeps of a SidecarSet's spec.
func IdentityOf(spec *v1beta1.SidecarSetSpec) (Identity, error) { return ContentOf(spec).identity() }

func (c Content) identity() (Identity, error) {
	raw, err := c.Data()
	if err != nil {
		return Identity{}, err
	}
	hash := digest(raw, hashLength)
	return Identity{Data: raw, Hash: hash, InName: hash}, nil
}

// CustomVersion returns the name that the user has given to a SidecarSet's version; empty if none. A v1beta1 object
// may say it by v1alpha1's label too: kubectl label writes the version it prefers.
func CustomVersion(set *v1beta1.SidecarSet) string {
	if set.Spec.CustomVersion != "" {
		return set.Spec.CustomVersion
	}
	return set.Labels[v1beta1.SidecarSetCustomVersionLabel]
}

// OwnerOf returns whose revisions a SidecarSet's are.
func OwnerOf(set *v1beta1.SidecarSet) Owner {
	return Owner{Name: set.Name, UID: string(set.UID), Collisions: set.Status.CollisionCount}
}

// WantedOf returns the revision that a SidecarSet wants: its spec's content. A new one carries the set's labels and
// annotations, and its hashes.
func WantedOf(set *v1beta1.SidecarSet, hashes Hashes) (Wanted, error) {
	identity, err := IdentityOf(&set.Spec)
	if err != nil {
		return Wanted{}, err
	}
	w := Wanted{
		Owner: OwnerOf(set), Identity: identity, CustomVersion: CustomVersion(set),
		Labels: map[string]string{}, Annotations: carried(set.Annotations),
	}
	maps.Copy(w.Labels, set.Labels)
	w.Labels[v1beta1.SidecarSetNameLabel] = set.Name
	w.Annotations[v1beta1.SidecarSetHashAnnotation] = hashes.Full
	w.Annotations[v1beta1.SidecarSetHashWithoutImageAnnotation] = hashes.WithoutImage
	return w, nil
}

// Kept is a ControllerRevision as injection needs it: its record, and the data of its content (see Read).
type Kept struct {
	Record
	Data []byte
}

// KeptOf makes it. It shares the data with the ControllerRevision. One that is being deleted is none of the history.
func KeptOf(r *appsv1.ControllerRevision) Kept {
	kept := Kept{Record: RecordOf(r), Data: r.Data.Raw}
	if r.DeletionTimestamp == nil {
		kept.Hash = HashOf(r)
	}
	return kept
}

// HistoryOf returns what is known of a SidecarSet's revisions from those that carry its name.
func HistoryOf(kept []Kept) History {
	h := History{Records: make([]Record, len(kept))}
	for i := range kept {
		h.Records[i] = kept[i].Record
	}
	return h
}

// HashOf returns the hash of the content of a SidecarSet's ControllerRevision; empty if its data cannot be read. The data of a
// ControllerRevision never changes.
func HashOf(r *appsv1.ControllerRevision) string {
	content, err := Read(r.Data.Raw)
	if err != nil {
		return ""
	}
	identity, err := content.identity()
	if err != nil {
		return ""
	}
	return identity.Hash
}

// Chosen returns the revision that injectionStrategy.revision asks for: that of a name, or the newest that has a
// custom version. history is ordered.
func Chosen(history []Record, asked v1beta1.SidecarSetInjectRevision) (Record, bool) {
	for _, r := range slices.Backward(history) {
		if name := asked.RevisionName; name != nil && *name != "" && r.Name == *name {
			return r, true
		}
		if custom := asked.CustomVersion; custom != nil && *custom != "" && r.CustomVersion == *custom {
			return r, true
		}
	}
	return Record{}, false
}
