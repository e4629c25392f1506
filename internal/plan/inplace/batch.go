package inplace

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Pod whose containers have a launch priority gets their new images in batches: first the containers without a
// priority and those with the highest, and when they are ready the next. Containers that refer to the same label or
// annotation, and it changes, are in one batch: it can have one value only.
//
// What later batches do is kept in the Pod's state, in OpenKruise's fields and form. Labels and annotations that are
// to go are an addition to it.

// split returns the first batch of what is to do, and the rest, which is behind the busy containers, too.
func (p TemplatePod) split(work Difference, busy []string) (batch, later Difference) {
	first := make([]bool, len(work.Images))
	top, some := p.topPriority(work.Images, busy)
	for i, image := range work.Images {
		priority, has := p.priority(image.Name)
		first[i] = !some || !has || priority == top
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
	waits := func(r Ref) bool {
		return slices.ContainsFunc(later.Images, func(image ContainerImage) bool { return slices.Contains(image.Refs, r) })
	}
	later.Metadata = work.only(waits)
	batch.Metadata = work.only(func(r Ref) bool { return !waits(r) })
	batch.Finalizers, batch.DropFinalizers = work.Finalizers, work.DropFinalizers
	return batch, later
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

func (p TemplatePod) topPriority(images []ContainerImage, busy []string) (top int, some bool) {
	names := slices.Clone(busy)
	for _, image := range images {
		names = append(names, image.Name)
	}
	for _, name := range names {
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
	entry = Remove(Remove(Remove(entry, "nextContainerImages"), "nextContainerRefMetadata"), "preCheckBeforeNext")
	if len(batch) > 0 {
		entry = Set(entry, "updateTimestamp", timestamp(now))
		entry = Set(entry, "containerBatchesRecord", appended(entry, "containerBatchesRecord", `{"timestamp":`+timestamp(now)+`,"containers":`+toJSON(batch)+"}"))
	}
	if len(d.Images) == 0 {
		return entry
	}
	images, metadata := d.wire()
	entry = Set(entry, "nextContainerImages", toJSON(images))
	if len(metadata) > 0 {
		entry = Set(entry, "nextContainerRefMetadata", toJSON(metadata))
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
		images[image.Name] = image.To
		if len(image.Refs) > 0 {
			own := d.only(func(r Ref) bool { return slices.Contains(image.Refs, r) })
			metadata[image.Name] = wireMetadata{own.Labels, own.Annotations, own.DropLabels, own.DropAnnotations}
		}
	}
	return images, metadata
}

// unwire is the opposite of wire. Metadata of a container whose image does not change is of no container.
func unwire(images map[string]string, metadata map[string]wireMetadata) (d Difference) {
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		own := metadata[name]
		d.Metadata = d.Metadata.after(Metadata{Labels: own.Labels, Annotations: own.Annotations, DropLabels: own.RemovedLabels, DropAnnotations: own.RemovedAnnotations})
	}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		image := ContainerImage{Name: name, To: images[name]}
		if own, ok := metadata[name]; ok {
			image.Refs = own.refs()
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
	Images    map[string]string          `json:"nextContainerImages"`
	Metadata  map[string]wireMetadata    `json:"nextContainerRefMetadata"`
	Resources map[string]json.RawMessage `json:"nextContainerResources"`
	PreCheck  struct {
		Ready []string `json:"containersRequiredReady"`
	} `json:"preCheckBeforeNext"`
}

// outstanding reads it.
func (n note) outstanding() (outstanding, error) {
	var read outstanding
	if CheckObject(n.text) == nil && !strings.Contains(n.text, `"next`) && !strings.Contains(n.text, `"preCheck`) {
		return read, nil // most Pods' updates are complete
	}
	if err := n.read(&read); err != nil {
		return outstanding{}, err
	}
	if len(read.Resources) > 0 {
		return outstanding{}, n.resources()
	}
	return read, nil
}

func (o outstanding) empty() bool { return len(o.Images) == 0 && len(o.Metadata) == 0 }

func toJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("marshal maps of texts: " + err.Error())
	}
	return string(text)
}
