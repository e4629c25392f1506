package inplace

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// wireGrace is the grace annotation in OpenKruise's form: what is done when the time is over. The state says since when
// it runs.
type wireGrace struct {
	Revision  string                                 `json:"revision"`
	Images    map[string]string                      `json:"containerImages,omitempty"`
	Metadata  map[string]wireMetadata                `json:"containerRefMetadata,omitempty"`
	Resources map[string]corev1.ResourceRequirements `json:"containerResources,omitempty"`
	// Patch is a strategic merge patch of the Pod.
	Patch   []byte `json:"metaDataPatch,omitempty"`
	Seconds int32  `json:"graceSeconds,omitempty"`
}

type metadataPatch struct {
	Metadata struct {
		Labels         map[string]*string `json:"labels,omitempty"`
		Annotations    map[string]*string `json:"annotations,omitempty"`
		Finalizers     []string           `json:"finalizers,omitempty"`
		DropFinalizers []string           `json:"$deleteFromPrimitiveList/finalizers,omitempty"`
	} `json:"metadata"`
}

// graceJSON writes what is to do after the grace period.
func graceJSON(v TemplateVersion, work Difference) string {
	grace := wireGrace{Revision: v.Revision, Seconds: v.Grace}
	grace.Images, grace.Metadata = work.wire()
	grace.Resources = work.wireSizes()
	rest := work.only(func(r Ref) bool { return !work.refers(r) })
	var patch metadataPatch
	patch.Metadata.Labels = nullable(rest.Labels, rest.DropLabels)
	patch.Metadata.Annotations = nullable(rest.Annotations, rest.DropAnnotations)
	patch.Metadata.Finalizers, patch.Metadata.DropFinalizers = work.Finalizers, work.DropFinalizers
	if text := toJSON(patch); text != `{"metadata":{}}` {
		grace.Patch = []byte(text)
	}
	return toJSON(grace)
}

// refers tells whether a container that changes refers to a label or annotation.
func (d Difference) refers(ref Ref) bool {
	all := make([]bool, len(d.Images))
	for i := range all {
		all[i] = true
	}
	return refers(d.Images, all, ref)
}

func nullable(set map[string]string, drop []string) map[string]*string {
	all := map[string]*string{}
	for key, value := range set {
		all[key] = &value
	}
	for _, key := range drop {
		all[key] = nil
	}
	return all
}

func notNullable(all map[string]*string) (set map[string]string, drop []string) {
	set = map[string]string{}
	for key, value := range all {
		if value == nil {
			drop = append(drop, key)
		} else {
			set[key] = *value
		}
	}
	return set, union(drop, nil)
}

// waiting reads the grace annotation, nil if there is none.
func (n note) waiting() (*wireGrace, error) {
	if !n.there && !n.former {
		return nil, nil
	}
	var grace wireGrace
	if err := n.read(&grace); err != nil {
		return nil, err
	}
	if _, err := grace.work(); err != nil {
		return nil, fmt.Errorf("annotation %s cannot be read: %w", n.key, err)
	}
	return &grace, nil
}

// work returns what is to do.
func (g *wireGrace) work() (Difference, error) {
	d := unwire(g.Images, g.Metadata)
	d.Resources = unwireSizes(g.Resources)
	if len(g.Patch) == 0 {
		return d, nil
	}
	var patch metadataPatch
	if err := json.Unmarshal(g.Patch, &patch); err != nil {
		return Difference{}, fmt.Errorf("metaDataPatch: %w", err)
	}
	m := Metadata{Finalizers: union(patch.Metadata.Finalizers, nil), DropFinalizers: union(patch.Metadata.DropFinalizers, nil)}
	m.Labels, m.DropLabels = notNullable(patch.Metadata.Labels)
	m.Annotations, m.DropAnnotations = notNullable(patch.Metadata.Annotations)
	d.Metadata = d.after(Difference{Metadata: m}).Metadata
	return d, nil
}

// of tells whether it is of the revision that the Pod has.
func (g *wireGrace) of(p TemplatePod) bool {
	return revision.Names(p.Labels[RevisionLabel], g.Revision)
}

// pending returns what an update has begun and not done yet. It fails where an annotation cannot be read.
func (p TemplatePod) pending() (Difference, error) { return p.pendingAt(Progress{}) }

// pendingAt does the same for one that has come so far.
func (p TemplatePod) pendingAt(progress Progress) (Difference, error) {
	state, graces := p.state(), p.grace()
	if !state.there && !state.former && !graces.there && !graces.former {
		return Difference{}, nil // as for most Pods at their first update: every look asks it of each that waits
	}
	rest, err := state.outstanding()
	if err != nil {
		return Difference{}, err
	}
	grace, err := graces.waiting()
	if err != nil {
		return Difference{}, err
	}
	if progress.renewed {
		rest.Renewal.Containers = nil
	}
	d := rest.work()
	if grace == nil || !grace.of(p) {
		return d, nil
	}
	waiting, err := grace.work()
	return waiting.after(d), err
}
