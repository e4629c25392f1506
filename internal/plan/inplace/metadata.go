package inplace

import (
	"cmp"
	"maps"
	"slices"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// after returns what is to change where an earlier change, of which this one was decided, is still to be made.
func (d Difference) after(earlier Difference) Difference {
	d.Metadata = d.Metadata.after(earlier.Metadata)
	images := slices.Clone(earlier.Images)
	for _, image := range d.Images {
		at := slices.IndexFunc(images, func(old ContainerImage) bool { return old.Name == image.Name })
		if at < 0 {
			images = append(images, image)
			continue
		}
		image.To = cmp.Or(image.To, images[at].To)
		image.Environment = image.Environment || images[at].Environment
		image.Refs = slices.Concat(image.Refs, images[at].Refs)
		images[at] = image
	}
	d.Images, d.Resources = images, resourcesAfter(d.Resources, earlier.Resources)
	return d
}

func resourcesAfter(list, earlier []ContainerResource) []ContainerResource {
	if len(list)+len(earlier) == 0 {
		return nil
	}
	all := slices.Clone(earlier)
	for _, r := range list {
		at := slices.IndexFunc(all, func(old ContainerResource) bool {
			return old.Name == r.Name && old.Kind == r.Kind && old.Resource == r.Resource
		})
		if at < 0 {
			all = append(all, r)
		} else {
			all[at] = r
		}
	}
	return all
}

func (m Metadata) after(earlier Metadata) Metadata {
	labels, dropLabels := valuesAfter(m.Labels, earlier.Labels, m.DropLabels, earlier.DropLabels)
	annotations, dropAnnotations := valuesAfter(m.Annotations, earlier.Annotations, m.DropAnnotations, earlier.DropAnnotations)
	return Metadata{
		Labels: labels, DropLabels: dropLabels, Annotations: annotations, DropAnnotations: dropAnnotations,
		Finalizers:     union(without(earlier.Finalizers, m.DropFinalizers), m.Finalizers),
		DropFinalizers: union(without(earlier.DropFinalizers, m.Finalizers), m.DropFinalizers),
	}
}

// valuesAfter sets and removes what an earlier change does, and then what a later one does.
func valuesAfter(set, setBefore map[string]string, drop, dropBefore []string) (map[string]string, []string) {
	all := map[string]string{}
	maps.Copy(all, setBefore)
	for _, key := range drop {
		delete(all, key)
	}
	maps.Copy(all, set)
	var dropped []string
	for _, key := range union(dropBefore, drop) {
		if _, is := all[key]; !is {
			dropped = append(dropped, key)
		}
	}
	return all, dropped
}

// union returns the elements of both lists, sorted.
func union(a, b []string) []string { return without(slices.Concat(a, b), nil) }

// only returns the part of the labels and annotations that is meant, without finalizers.
func (m Metadata) only(meant func(Ref) bool) (part Metadata) {
	part.Labels, part.DropLabels = valuesOnly(m.Labels, m.DropLabels, func(key string) bool { return meant(Ref{Key: key}) })
	part.Annotations, part.DropAnnotations = valuesOnly(m.Annotations, m.DropAnnotations, func(key string) bool { return meant(Ref{Annotation: true, Key: key}) })
	return part
}

func valuesOnly(set map[string]string, drop []string, meant func(string) bool) (map[string]string, []string) {
	part := maps.Clone(set)
	maps.DeleteFunc(part, func(key, _ string) bool { return !meant(key) })
	return part, slices.DeleteFunc(slices.Clone(drop), func(key string) bool { return !meant(key) })
}

// isOurs tells whether a label or annotation is one that an update writes itself. A template's is not for Pods.
func isOurs(key string) bool {
	switch key {
	case RevisionLabel, v1beta1.PodTemplateHashLabel, v1beta1.LifecycleStateLabel, v1beta1.LifecycleTimestampAnnotation,
		v1beta1.InPlaceUpdateStateAnnotation, v1beta1.LegacyInPlaceUpdateStateAnnotation,
		v1beta1.InPlaceUpdateGraceAnnotation, v1beta1.LegacyInPlaceUpdateGraceAnnotation:
		return true
	}
	return false
}

// write notes what metadata changes in a Pod, sorted.
func (m Metadata) write(p TemplatePod, c *plan.Change) {
	for _, key := range slices.Sorted(maps.Keys(m.Labels)) {
		if !isOurs(key) {
			c.Labels = append(c.Labels, p.label(key, m.Labels[key])...)
		}
	}
	for _, key := range m.DropLabels {
		if was, there := p.Labels[key]; there && !isOurs(key) {
			c.Labels = append(c.Labels, plan.LabelChange{Key: key, From: was, Remove: true})
		}
	}
	m.annotate(p, c)
	finalizers := slices.DeleteFunc(slices.Clone(p.Finalizers), func(f string) bool { return slices.Contains(m.DropFinalizers, f) })
	finalizers = append(finalizers, without(m.Finalizers, finalizers)...)
	if !slices.Equal(finalizers, p.Finalizers) {
		c.Finalizers = &plan.FinalizerChange{From: p.Finalizers, To: finalizers}
	}
}

func (m Metadata) annotate(p TemplatePod, c *plan.Change) {
	for _, key := range slices.Sorted(maps.Keys(m.Annotations)) {
		if was, there := p.Annotation(key); (!there || was != m.Annotations[key]) && !isOurs(key) {
			c.Annotations = append(c.Annotations, plan.AnnotationChange{Key: key, From: was, Absent: !there, To: m.Annotations[key]})
		}
	}
	for _, key := range m.DropAnnotations {
		if was, there := p.Annotation(key); there && !isOurs(key) {
			c.Annotations = append(c.Annotations, plan.AnnotationChange{Key: key, From: was, Remove: true})
		}
	}
}
