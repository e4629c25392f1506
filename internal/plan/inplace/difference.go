package inplace

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	kjson "sigs.k8s.io/json"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// Difference is what is to change in a Pod made from one template for it to be as if made from another.
type Difference struct {
	// Images are the containers that start anew: with another image, or for another environment. In the order of the
	// template.
	Images []ContainerImage
	// Resources that change, in the order of the template.
	Resources []ContainerResource
	Metadata
	// Recreate says why no patch can do it, and a new Pod is needed; empty if it can be done in place.
	Recreate string
}

// Interrupts tells whether containers restart, or get other cpu and memory, where a Pod has nothing of it yet.
func (d Difference) Interrupts() bool { return len(d.Images)+len(d.Resources) > 0 }

// ContainerImage is a container's new image.
type ContainerImage struct {
	Name string
	// To is the image; empty if it stays as it is, and only the environment changes.
	To string
	// Environment tells that what the container has in its environment changes, which it gets when it starts.
	Environment bool
	// Refs are the labels and annotations among the Metadata that the environment refers to. They change together with
	// the container.
	Refs []Ref
}

// Able is what a cluster can do to running Pods.
type Able struct {
	// Resize: it serves pods/resize.
	Resize bool
	// Renew: node agents start containers anew (the gates InPlaceUpdateEnvFromMetadata and KruiseDaemon).
	Renew bool
}

// ContainerResource is a container's new request or limit.
type ContainerResource struct {
	Name string
	// Kind is limits or requests, and Resource cpu or memory.
	Kind, Resource, To string
}

// Metadata is what changes of a Pod's labels, annotations and finalizers. Lists are sorted.
type Metadata struct {
	// Labels and Annotations that are set.
	Labels, Annotations map[string]string
	// DropLabels and DropAnnotations are removed.
	DropLabels, DropAnnotations []string
	// Finalizers that are added, and DropFinalizers that are removed.
	Finalizers, DropFinalizers []string
}

// Ref names a label or an annotation.
type Ref struct {
	Annotation bool
	Key        string
}

// String is the path by which a Pod's fields are named.
func (r Ref) String() string {
	if r.Annotation {
		return "metadata.annotations['" + r.Key + "']"
	}
	return "metadata.labels['" + r.Key + "']"
}

// Between compares two templates by what Pods they make; writing a default out is no difference. It costs as much as
// reading both: it is for a pair of revisions, not for every Pod.
//
//	containers[].image                               in place
//	containers[].resources cpu, memory; new values   in place if the cluster can resize; whether the QoS class of a Pod
//	                                                 stays, the Pod tells (TemplatePod.Refuses)
//	labels, annotations, finalizers                  in place; the containers whose environment refers to one start anew,
//	                                                 if their image changes, too, or a node agent can have them do so
//	containers[].imagePullPolicy                     no difference where both are the default of their image: the Pod
//	                                                 keeps its own
//	anything else                                    a new Pod
func Between(from, to *v1beta1.PodTemplate, able Able) Difference {
	was, errFrom := revision.NormalTemplate(from)
	is, errTo := revision.NormalTemplate(to)
	if err := errors.Join(errFrom, errTo); err != nil {
		return Difference{Recreate: err.Error()}
	}
	if bytes.Equal(was, is) {
		return Difference{}
	}
	a, errFrom := treeOf(was)
	b, errTo := treeOf(is)
	if err := errors.Join(errFrom, errTo); err != nil {
		return Difference{Recreate: err.Error()}
	}
	d := Difference{Metadata: metadataBetween(a, b)}
	delete(a, "metadata")
	delete(b, "metadata")
	olds, news := a.list("spec", "containers"), b.list("spec", "containers")
	for i := range min(len(olds), len(news)) {
		d.container(olds[i], news[i])
	}
	if d.Recreate == "" {
		d.Recreate = needsNewPod(a, b)
	}
	if d.Recreate == "" && len(d.Resources) > 0 && !able.Resize {
		d.Recreate = "cpu or memory changed, and the cluster does not resize running pods (it serves no pods/resize)"
	}
	if d.Recreate == "" {
		d.Recreate = d.refer(&to.Spec, able)
	}
	return d
}

// tree is a JSON object.
type tree map[string]any

// treeOf reads a template in its normal form.
func treeOf(template []byte) (tree, error) {
	var t tree
	if err := kjson.UnmarshalCaseSensitivePreserveInts(template, &t); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	return t, nil
}

// object returns a member that is an object, nil if there is none.
func (t tree) object(path ...string) tree {
	for _, key := range path {
		t, _ = t[key].(map[string]any)
	}
	return t
}

// list returns the objects of a member that is a list.
func (t tree) list(path ...string) []tree {
	last := len(path) - 1
	elements, _ := t.object(path[:last]...)[path[last]].([]any)
	objects := make([]tree, len(elements))
	for i := range elements {
		objects[i], _ = elements[i].(map[string]any)
	}
	return objects
}

func (t tree) text(key string) string {
	s, _ := t[key].(string)
	return s
}

// container notes what changes in place of one container, and takes it out of the comparison.
func (d *Difference) container(from, to tree) {
	if from.text("name") != to.text("name") {
		return
	}
	if from.text("imagePullPolicy") == string(revision.PullPolicy(from.text("image"))) && to.text("imagePullPolicy") == string(revision.PullPolicy(to.text("image"))) {
		delete(from, "imagePullPolicy")
		delete(to, "imagePullPolicy")
	}
	if image := to.text("image"); from.text("image") != image && image != "" {
		d.Images = append(d.Images, ContainerImage{Name: to.text("name"), To: image})
		from["image"] = image
	}
	for _, kind := range []string{"limits", "requests"} {
		d.resource(to.text("name"), kind, from.object("resources", kind), to.object("resources", kind))
	}
}

func (d *Difference) resource(container, kind string, from, to tree) {
	for _, resource := range []string{"cpu", "memory"} {
		was, is := from.text(resource), to.text(resource)
		if was != is && was != "" && is != "" {
			d.Resources = append(d.Resources, ContainerResource{Name: container, Kind: kind, Resource: resource, To: is})
			from[resource] = is
		}
	}
}

// needsNewPod tells of two templates what differs and cannot be patched.
func needsNewPod(from, to tree) string {
	path, how := firstDifference(map[string]any(from), map[string]any(to), "template")
	if how == "" {
		return ""
	}
	return fmt.Sprintf("%s %s, which no patch can change in a running pod", path, how)
}

// metadataBetween compares the metadata of two templates.
func metadataBetween(from, to tree) (m Metadata) {
	a, b := from.object("metadata"), to.object("metadata")
	m.Labels, m.DropLabels = valuesBetween(a.object("labels"), b.object("labels"))
	m.Annotations, m.DropAnnotations = valuesBetween(a.object("annotations"), b.object("annotations"))
	was, is := a.texts("finalizers"), b.texts("finalizers")
	m.Finalizers, m.DropFinalizers = without(is, was), without(was, is)
	return m
}

// valuesBetween returns what is set, nil if nothing is, and what is removed.
func valuesBetween(from, to tree) (set map[string]string, removed []string) {
	for key := range to {
		if was, there := from[key]; !there || was != to[key] {
			if set == nil {
				set = map[string]string{}
			}
			set[key] = to.text(key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if _, stays := to[key]; !stays {
			removed = append(removed, key)
		}
	}
	return set, removed
}

func (t tree) texts(key string) (list []string) {
	elements, _ := t[key].([]any)
	for _, element := range elements {
		s, _ := element.(string)
		list = append(list, s)
	}
	return list
}

// without returns the elements of a list that are not in another, sorted.
func without(list, other []string) (rest []string) {
	for _, s := range list {
		if !slices.Contains(other, s) {
			rest = append(rest, s)
		}
	}
	slices.Sort(rest)
	return slices.Compact(rest)
}

// changes tells whether a label or annotation is among what changes.
func (m *Metadata) changes(ref Ref) bool {
	set, dropped := m.Labels, m.DropLabels
	if ref.Annotation {
		set, dropped = m.Annotations, m.DropAnnotations
	}
	_, is := set[ref.Key]
	return is || slices.Contains(dropped, ref.Key)
}
