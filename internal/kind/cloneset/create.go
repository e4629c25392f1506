package cloneset

import (
	"encoding/json"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// creation makes one Pod, and before it its claims.
func (d *decision) creation(id string, v Version, why string) plan.Step {
	name := d.set.Name + "-" + id
	s := plan.Step{
		Verb: plan.CreatePod, Unit: plan.Unit{Namespace: d.set.Namespace, Name: name}, Target: v.Name, Why: why,
		Create: &plan.Creation{Pod: d.pod(name, id, v)},
	}
	have := map[string]bool{}
	for i := range d.obs.Claims {
		have[d.obs.Claims[i].Unit.Name] = true
	}
	for i := range d.set.ClaimTemplates {
		if c := d.claim(&d.set.ClaimTemplates[i], id); !have[c.Name] {
			s.Create.Claims = append(s.Create.Claims, c)
		}
	}
	return s
}

// pod is a new Pod as JSON: the template as its author wrote it, also what this program does not know, and
//
//	labels         revision, id, state PreparingNormal
//	owner          the CloneSet
//	readinessGates InPlaceUpdateReady and KruisePodReady
//	volumes        the claims in place of volumes of the same name
func (d *decision) pod(name, id string, v Version) []byte {
	template := d.base(v)
	meta, spec := member(template, "metadata"), member(template, "spec")
	meta["name"], meta["namespace"] = name, d.set.Namespace
	delete(meta, "generateName")
	meta["ownerReferences"] = []any{d.set.reference()}
	labels, annotations := member(meta, "labels"), member(meta, "annotations")
	labels[appsv1.ControllerRevisionHashLabelKey] = revision.Label(v.Name, d.set.ShortHash)
	labels[v1beta1.PodTemplateHashLabel] = v.Hash
	labels[v1beta1.CloneSetInstanceIDLabel] = id
	labels[v1beta1.LifecycleStateLabel] = string(v1beta1.LifecycleStatePreparingNormal)
	annotations[v1beta1.LifecycleTimestampAnnotation] = d.stamp()
	meta["labels"], meta["annotations"] = labels, annotations

	gates, _ := spec["readinessGates"].([]any)
	gates = slices.Clone(gates)
	for _, gate := range []any{string(v1beta1.InPlaceUpdateReady), string(v1beta1.KruisePodReady)} {
		gates = append(gates, object{"conditionType": gate})
	}
	spec["readinessGates"] = gates
	d.mount(spec, id)
	return text(object{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
}

// base is the template of a version, read once per decision. It is not changed.
func (d *decision) base(v Version) object {
	if d.bases[v.Name] == nil {
		if d.bases == nil {
			d.bases = map[string]object{}
		}
		d.bases[v.Name] = asObject(v.Template)
	}
	return d.bases[v.Name]
}

// mount puts the claims of a Pod among its volumes.
func (d *decision) mount(spec object, id string) {
	if len(d.set.ClaimTemplates) == 0 {
		return
	}
	ours := map[string]bool{}
	var volumes []any
	for i := range d.set.ClaimTemplates {
		name := d.set.ClaimTemplates[i].Name
		ours[name] = true
		volumes = append(volumes, object{
			"name": name, "persistentVolumeClaim": object{"claimName": d.claimName(name, id)},
		})
	}
	others, _ := spec["volumes"].([]any)
	for _, volume := range others {
		if ours[nameOf(volume)] {
			continue
		}
		volumes = append(volumes, volume)
	}
	spec["volumes"] = volumes
}

func (d *decision) claimName(template, id string) string {
	return template + "-" + d.set.Name + "-" + id
}

// claim is a new claim: that of a template, with the Pod's id.
func (d *decision) claim(template *v1beta1.VolumeClaimTemplate, id string) plan.NewClaim {
	name := d.claimName(template.Name, id)
	claim := asObject(template)
	delete(claim, "status")
	meta := member(claim, "metadata")
	labels := member(meta, "labels")
	for key, value := range d.set.SelectorLabels {
		labels[key] = value
	}
	labels[v1beta1.CloneSetInstanceIDLabel] = id
	meta["name"], meta["namespace"], meta["labels"] = name, d.set.Namespace, labels
	meta["ownerReferences"] = []any{d.set.reference()}
	claim["apiVersion"], claim["kind"], claim["metadata"] = "v1", "PersistentVolumeClaim", meta
	return plan.NewClaim{Name: name, Object: text(claim)}
}

// reference is the CloneSet as controller of an object.
func (s *Set) reference() object {
	return object{
		"apiVersion": v1beta1.GroupVersion().String(), "kind": "CloneSet", "name": s.Name, "uid": s.UID,
		"controller": true, "blockOwnerDeletion": true,
	}
}

// owned adds the CloneSet to a list of owner references.
func (s *Set) owned(references string) []byte {
	return text(append(list(references), s.reference()))
}

// disowned takes an owner out of a list of owner references.
func disowned(references, uid string) []byte {
	rest := []any{}
	for _, r := range list(references) {
		if reference, ok := r.(object); !ok || reference["uid"] != uid {
			rest = append(rest, r)
		}
	}
	return text(rest)
}

// asObject returns the JSON object of something as a copy that may be changed.
func asObject(of any) object {
	data, err := json.Marshal(of)
	if err != nil {
		panic("marshal a template: " + err.Error())
	}
	o := object{}
	if err := json.Unmarshal(data, &o); err != nil {
		panic("unmarshal a template: " + err.Error())
	}
	return o
}

// member returns a member that is an object as a copy, an empty one if there is none.
func member(of object, key string) object {
	m, _ := of[key].(object)
	if m = maps.Clone(m); m == nil {
		m = object{}
	}
	return m
}

// list reads a JSON list; an empty text is an empty one.
func list(data string) []any {
	l := []any{}
	if data == "" {
		return l
	}
	if err := json.Unmarshal([]byte(data), &l); err != nil {
		panic("unmarshal owner references: " + err.Error())
	}
	return l
}

func listJSON(names []string) []byte {
	if names == nil {
		names = []string{}
	}
	return text(names)
}

func text(of any) []byte {
	data, err := json.Marshal(of)
	if err != nil {
		panic("marshal what was unmarshalled: " + err.Error())
	}
	return data
}
