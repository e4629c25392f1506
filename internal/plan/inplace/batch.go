package inplace

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A Pod whose containers have a launch priority gets their new images and environments in batches: first the containers without a
// priority and those with the highest, and when they are ready the next. Containers that refer to the same label or
// annotation, and it changes, are in one batch: it can have one value only.
//
// A container gets its cpu and memory together with its image. Where they change and it does not restart, they are in the
// first batch: nothing starts. All of them are, if the Pod would be of another QoS class in between.
//
// What later batches do is kept in the Pod's state, in OpenKruise's fields and form. Labels and annotations that are
// to go are an addition to it.

// split returns the first batch of what is to do, and the rest, which is behind the busy containers, too.
func (p TemplatePod) split(work Difference, busy []string) (batch, later Difference) {
	first := make([]bool, len(work.Images))
	starting := p.starting(work)
	top, some := p.topPriority(starting, busy)
	inTurn := func(container string) bool {
		priority, has := p.priority(container)
		return !some || !has || priority == top
	}
	for i, image := range work.Images {
		first[i] = inTurn(image.Name)
	}
	for more := true; more; {
		more = false
		for i := range first {
			if !first[i] && slices.ContainsFunc(work.Images[i].Refs, func(r Ref) bool { return refers(work.Images, first, r) }) {
				first[i], more = true, true
			}
		}
	}
	for i, image := range work.Images {
		if first[i] {
			batch.Images = append(batch.Images, image)
		} else {
			later.Images = append(later.Images, image)
		}
	}
	p.splitSizes(work, starting, inTurn, &batch, &later)
	waits := func(r Ref) bool {
		return slices.ContainsFunc(later.Images, func(image ContainerImage) bool { return slices.Contains(image.Refs, r) })
	}
	later.Metadata = work.only(waits)
	batch.Metadata = work.only(func(r Ref) bool { return !waits(r) })
	batch.Finalizers, batch.DropFinalizers = work.Finalizers, work.DropFinalizers
	return batch, later
}

// splitSizes divides cpu and memory, when it is known whose images are in which part.
func (p TemplatePod) splitSizes(work Difference, starting []string, inTurn func(string) bool, batch, later *Difference) {
	for _, r := range work.Resources {
		image := func(image ContainerImage) bool { return image.Name == r.Name }
		now := !slices.Contains(starting, r.Name) || slices.ContainsFunc(batch.Images, image) ||
			inTurn(r.Name) && !slices.ContainsFunc(later.Images, image)
		if now {
			batch.Resources = append(batch.Resources, r)
		} else {
			later.Resources = append(later.Resources, r)
		}
	}
	if p.QoS.Becomes(p.sized(batch.Resources)) != "" {
		batch.Resources, later.Resources = work.Resources, nil
	}
}

// refers tells whether one of the chosen containers refers to a label or annotation.
func refers(images []ContainerImage, chosen []bool, ref Ref) bool {
	for i := range images {
		if chosen[i] && slices.Contains(images[i].Refs, ref) {
			return true
		}
	}
	return false
}

func (p TemplatePod) topPriority(starting, busy []string) (top int, some bool) {
	for _, name := range slices.Concat(busy, starting) {
		if priority, has := p.priority(name); has && (!some || priority > top) {
			top, some = priority, true
		}
	}
	return top, some
}

func (p TemplatePod) priority(container string) (int, bool) {
	priority, err := strconv.Atoi(p.Containers[p.container(container)].Priority)
	return priority, err == nil
}

// wireMetadata is the metadata of a later batch, by OpenKruise's form an object's metadata.
type wireMetadata struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// RemovedLabels and RemovedAnnotations are our addition.
	RemovedLabels      []string `json:"removedLabels,omitempty"`
	RemovedAnnotations []string `json:"removedAnnotations,omitempty"`
}

// write notes in a state which containers were changed, and what comes when they and the busy ones are ready.
func (d Difference) write(entry string, batch, busy []string, now time.Time) string {
	for _, next := range []string{"nextContainerImages", "nextContainerRefMetadata", "nextContainerResources", "preCheckBeforeNext"} {
		entry = Remove(entry, next)
	}
	if len(batch) > 0 {
		entry = Set(entry, "updateTimestamp", timestamp(now))
		entry = Set(entry, "containerBatchesRecord", appended(entry, "containerBatchesRecord", `{"timestamp":`+timestamp(now)+`,"containers":`+toJSON(batch)+"}"))
	}
	if len(d.Images)+len(d.Resources) == 0 {
		return entry
	}
	images, metadata := d.wire()
	if len(images) > 0 {
		entry = Set(entry, "nextContainerImages", toJSON(images))
	}
	if len(metadata) > 0 {
		entry = Set(entry, "nextContainerRefMetadata", toJSON(metadata))
	}
	if sizes := d.wireSizes(); len(sizes) > 0 {
		entry = Set(entry, "nextContainerResources", toJSON(sizes))
	}
	return Set(entry, "preCheckBeforeNext", `{"containersRequiredReady":`+toJSON(slices.Concat(batch, busy))+"}")
}

// appended is a member that is a list, with one more element.
func appended(object, key, element string) string {
	list, ok := Get(object, key)
	if !ok || list[0] != '[' || skipSpace(list, 1) == len(list)-1 {
		return "[" + element + "]"
	}
	return list[:len(list)-1] + "," + element + "]"
}

// wire returns the images by container, and the metadata that changes with them.
func (d Difference) wire() (map[string]string, map[string]wireMetadata) {
	images, metadata := map[string]string{}, map[string]wireMetadata{}
	for _, image := range d.Images {
		if image.To != "" {
			images[image.Name] = image.To
		}
		if image.Environment {
			own := d.only(func(r Ref) bool { return slices.Contains(image.Refs, r) })
			metadata[image.Name] = wireMetadata{own.Labels, own.Annotations, own.DropLabels, own.DropAnnotations}
		}
	}
	return images, metadata
}

// wireSizes returns the resources by container, as a container's resources are written.
func (d Difference) wireSizes() map[string]corev1.ResourceRequirements {
	sizes := map[string]corev1.ResourceRequirements{}
	for _, r := range d.Resources {
		of := sizes[r.Name]
		list := &of.Limits
		if r.Kind == "requests" {
			list = &of.Requests
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[corev1.ResourceName(r.Resource)] = resource.MustParse(r.To) // it was a quantity's String
		sizes[r.Name] = of
	}
	return sizes
}

// unwireSizes is the opposite of wireSizes.
func unwireSizes(sizes map[string]corev1.ResourceRequirements) (list []ContainerResource) {
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		of := AmountsOf(&corev1.Container{Name: name, Resources: sizes[name]}, false, "").Of
		for at, place := range AmountPlaces() {
			if of[at] != "" {
				list = append(list, ContainerResource{Name: name, Kind: place.List, Resource: place.Resource, To: of[at]})
			}
		}
	}
	return list
}

// unwire is the opposite of wire. A container with metadata and no image keeps its image, and gets a new environment.
func unwire(images map[string]string, metadata map[string]wireMetadata) (d Difference) {
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		own := metadata[name]
		d.Metadata = d.Metadata.after(Metadata{Labels: own.Labels, Annotations: own.Annotations, DropLabels: own.RemovedLabels, DropAnnotations: own.RemovedAnnotations})
	}
	for _, name := range union(slices.Collect(maps.Keys(images)), slices.Collect(maps.Keys(metadata))) {
		image := ContainerImage{Name: name, To: images[name]}
		if own, ok := metadata[name]; ok {
			image.Environment, image.Refs = true, own.refs()
		}
		d.Images = append(d.Images, image)
	}
	return d
}

func (m wireMetadata) refs() (refs []Ref) {
	for _, key := range union(slices.Collect(maps.Keys(m.Labels)), m.RemovedLabels) {
		refs = append(refs, Ref{Key: key})
	}
	for _, key := range union(slices.Collect(maps.Keys(m.Annotations)), m.RemovedAnnotations) {
		refs = append(refs, Ref{Annotation: true, Key: key})
	}
	return refs
}

// outstanding is what a state keeps for later batches.
type outstanding struct {
	Images    map[string]string                      `json:"nextContainerImages"`
	Metadata  map[string]wireMetadata                `json:"nextContainerRefMetadata"`
	Resources map[string]corev1.ResourceRequirements `json:"nextContainerResources"`
	PreCheck  struct {
		Ready []string `json:"containersRequiredReady"`
	} `json:"preCheckBeforeNext"`
	Renewal wireRenewal `json:"renewal"`
}

// outstanding reads it.
func (n note) outstanding() (outstanding, error) {
	var read outstanding
	if CheckObject(n.text) == nil && !strings.Contains(n.text, `"next`) && !strings.Contains(n.text, `"preCheck`) && !strings.Contains(n.text, `"renewal`) {
		return read, nil // most Pods' updates are complete
	}
	if err := n.read(&read); err != nil {
		return outstanding{}, err
	}
	return read, nil
}

func (o outstanding) empty() bool { return len(o.Images)+len(o.Metadata)+len(o.Resources) == 0 }

// work returns it as what is to do.
func (o outstanding) work() Difference {
	d := unwire(o.Images, o.Metadata)
	d.Resources = unwireSizes(o.Resources)
	var again Difference
	for _, name := range o.Renewal.Containers {
		again.Images = append(again.Images, ContainerImage{Name: name, Environment: true})
	}
	return d.after(again)
}

func toJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("marshal maps of texts: " + err.Error())
	}
	return string(text)
}
