package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// operation is one operation of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func test(path string, value any) operation { return operation{Op: "test", Path: path, Value: value} }

// operations are the JSON patch of a step that writes some parts of its change. Every value that the step was made from
// is tested first, and so is the UID, so that the API server applies it to the observation it was decided on or not at
// all: a stale decision is refused, and the same one sent twice is applied once. It names no resourceVersion, unless a
// condition is added to others that are not known: what kubelet writes into the status in the meantime does not matter. A test for null says that
// there is no such annotation: RFC 6902 has no way to say that, and the implementation in every API server takes null
// for it (TestMetadata_absentIsTested in test/e2e).
//
//	test /metadata/uid                                         u-1
//	test /spec/containers/0/name                               logtail
//	test /spec/containers/0/image                              logtail:1
//	test /metadata/annotations/kruise.io~1sidecarset-hash      {…old…}
//	replace /spec/containers/0/image                           logtail:2
//	add /metadata/annotations/kruise.io~1sidecarset-hash       {…new…}
func operations(s *plan.Step, which part) []operation {
	c := &s.Change
	p := patch{
		tests:  make([]operation, 0, 1+3*len(c.Images)+len(c.Labels)+2*len(c.Annotations)+2*len(c.Conditions)),
		writes: make([]operation, 0, len(c.Images)+len(c.Labels)+len(c.Annotations)+4*len(c.Conditions)),
	}
	p.test("/metadata/uid", s.Unit.UID)
	if c.Version != "" {
		p.test("/metadata/resourceVersion", c.Version)
	}
	p.images(c.Images, which&images != 0)
	p.resources(c.Resources, which&resources != 0)
	p.labels(c, which&labels != 0)
	p.annotations(c, which&annotations != 0)
	p.conditions(c.Conditions, which&conditions != 0)
	if f := c.Finalizers; f != nil {
		p.replace("/metadata/finalizers", list(f.From), list(f.To), which&finalizers != 0)
	}
	if o := c.Owners; o != nil {
		p.replace("/metadata/ownerReferences", json.RawMessage(o.From), json.RawMessage(o.To), which&owners != 0)
	}
	for _, change := range c.Spec {
		p.replace("/spec"+change.Path, json.RawMessage(change.From), json.RawMessage(change.To), which&spec != 0)
	}
	for _, change := range c.Status {
		p.replace("/status"+change.Path, json.RawMessage(change.From), json.RawMessage(change.To), which&status != 0)
	}
	return append(p.tests, p.writes...)
}

// patch is a JSON patch in the making.
type patch struct{ tests, writes []operation }

func (p *patch) test(path string, value any) { p.tests = append(p.tests, test(path, value)) }

func (p *patch) add(path string, value any) {
	p.writes = append(p.writes, operation{Op: "add", Path: path, Value: value})
}

func (p *patch) remove(path string) {
	p.writes = append(p.writes, operation{Op: "remove", Path: path})
}

// containerAt is the path of a container.
func containerAt(init bool, index int) string {
	if init {
		return "/spec/initContainers/" + strconv.Itoa(index)
	}
	return "/spec/containers/" + strconv.Itoa(index)
}

func (p *patch) images(list []plan.ImageChange, write bool) {
	for _, image := range list {
		at := containerAt(image.Init, image.Index)
		p.test(at+"/name", image.Container)
		p.test(at+"/image", image.From)
		if write {
			p.writes = append(p.writes, operation{Op: "replace", Path: at + "/image", Value: image.To})
		}
	}
}

// resources of a container that has no such list at all are added together: a patch cannot add to what is not there.
func (p *patch) resources(all []plan.ResourceChange, write bool) {
	made := map[string]map[string]string{}
	for _, r := range all {
		container := containerAt(r.Init, r.Index)
		list := container + "/resources/" + r.List
		p.test(container+"/name", r.Container)
		if !r.NoList {
			p.test(list+"/"+r.Resource, text(r.From, r.From == ""))
			if write {
				p.add(list+"/"+r.Resource, r.To)
			}
			continue
		}
		if made[list] == nil {
			made[list] = map[string]string{}
			p.test(list, nil)
			if write {
				p.add(list, made[list])
			}
		}
		made[list][r.Resource] = r.To
	}
}

// labels of an object that has none at all are added together.
func (p *patch) labels(c *plan.Change, write bool) {
	if c.NoLabels && len(c.Labels) > 0 {
		p.test("/metadata/labels", nil)
		if write {
			all := map[string]string{}
			for _, label := range c.Labels {
				all[label.Key] = label.To
			}
			p.add("/metadata/labels", all)
		}
		return
	}
	for _, label := range c.Labels {
		at := "/metadata/labels/" + pointer(label.Key)
		p.test(at, text(label.From, label.Absent))
		if write {
			p.set(at, label.To, label.Remove)
		}
	}
}

// annotations of a Pod that has none at all are added together: a patch cannot add to what is not there.
func (p *patch) annotations(c *plan.Change, write bool) {
	const at = "/metadata/annotations"
	if c.NoAnnotations && len(c.Annotations) > 0 {
		p.test(at, nil)
		if write {
			all := map[string]string{}
			for _, annotation := range c.Annotations {
				all[annotation.Key] = annotation.To
			}
			p.add(at, all)
		}
		return
	}
	for _, annotation := range c.Annotations {
		at := at + "/" + pointer(annotation.Key)
		if !annotation.Unchecked {
			p.test(at, text(annotation.From, annotation.Absent))
		}
		if write {
			p.set(at, annotation.To, annotation.Remove)
		}
	}
}

// conditions of a Pod's status are written where they were seen. One that was not there is appended, if nobody else has
// added it since. Once a Pod is scheduled, there is a list.
//
//	test /metadata/uid                      u-1                              test    /metadata/uid                  u-1
//	test /status/conditions/4/type          SidecarSetUpgradable             test    /status/conditions/0/type      Ready
//	test /status/conditions/4/message       {"a":true}                       add     /status/conditions/-           {}
//	add  /status/conditions/4/status        False                            test    /status/conditions/1           {}
//	…                                                                        replace /status/conditions/1           {…}
//
// That what is appended comes behind the ones that were seen proves that there are no more of them. Kubelet may write
// theirs meanwhile, as it does while a new Pod starts.
func (p *patch) conditions(list []plan.ConditionChange, write bool) {
	absent := slices.IndexFunc(list, func(c plan.ConditionChange) bool { return c.Absent })
	var gone []int
	if absent >= 0 {
		p.complete(&list[absent])
	}
	for i := range list {
		c := &list[i]
		at := "/status/conditions/" + strconv.Itoa(c.Index)
		if !c.Absent {
			p.seen(at, c)
		}
		switch {
		case !write, c.Keep:
		case c.Remove:
			gone = append(gone, c.Index)
		case c.Absent:
			p.newCondition(c, i == absent)
		default:
			p.condition(at, c)
		}
	}
	p.withoutConditions(gone)
}

// withoutConditions removes conditions from the end on: those behind one move up.
func (p *patch) withoutConditions(gone []int) {
	slices.Sort(gone)
	for _, i := range slices.Backward(gone) {
		p.remove("/status/conditions/" + strconv.Itoa(i))
	}
}

// seen tests that a condition is as it was observed.
func (p *patch) seen(at string, c *plan.ConditionChange) {
	p.test(at+"/type", c.Type)
	if c.Keep {
		p.test(at+"/status", c.Status)
	}
	if c.From != "" || c.Exactly { // an empty message is left out of the object
		p.test(at+"/message", text(c.From, c.From == ""))
	}
}

// complete tests that the conditions are those among which one is absent.
func (p *patch) complete(absent *plan.ConditionChange) {
	if absent.Among == nil {
		p.test("/metadata/resourceVersion", absent.Version)
	}
	for i, kind := range absent.Among {
		p.test("/status/conditions/"+strconv.Itoa(i)+"/type", kind)
	}
}

// newCondition appends one. The first tests that it comes behind those that were seen: an empty one is nobody's.
func (p *patch) newCondition(c *plan.ConditionChange, first bool) {
	value := map[string]string{
		"type": c.Type, "status": c.Status, "reason": c.Reason, "message": c.Message, "lastTransitionTime": c.Since,
	}
	if c.Probed != "" {
		value["lastProbeTime"] = c.Probed
	}
	const end = "/status/conditions/-"
	if !first || c.Among == nil {
		p.add(end, value)
		return
	}
	at, empty := "/status/conditions/"+strconv.Itoa(len(c.Among)), map[string]string{}
	p.add(end, empty)
	p.writes = append(p.writes, test(at, empty), operation{Op: "replace", Path: at, Value: value})
}

func (p *patch) condition(at string, c *plan.ConditionChange) {
	p.add(at+"/status", c.Status)
	p.add(at+"/reason", c.Reason)
	p.add(at+"/message", c.Message)
	if c.Since != "" {
		p.add(at+"/lastTransitionTime", c.Since)
	}
	if c.Probed != "" {
		p.add(at+"/lastProbeTime", c.Probed)
	}
}

// replace changes one JSON value into another; empty: there is none.
func (p *patch) replace(path string, from, to json.RawMessage, write bool) {
	if len(from) == 0 {
		p.test(path, nil)
	} else {
		p.test(path, from)
	}
	switch {
	case !write:
	case len(to) > 0:
		p.add(path, to)
	case len(from) > 0:
		p.remove(path)
	}
}

func (p *patch) set(path, to string, remove bool) {
	if remove {
		p.remove(path)
		return
	}
	p.add(path, to)
}

// text is a value to test for.
func text(value string, absent bool) any {
	if absent {
		return nil
	}
	return value
}

// list is a list of texts as JSON; nothing if it is empty.
func list(texts []string) json.RawMessage {
	if len(texts) == 0 {
		return nil
	}
	data, err := json.Marshal(texts)
	if err != nil {
		panic(err) // texts can be written
	}
	return data
}

// pointer escapes a key for a JSON pointer (RFC 6901).
func pointer(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// statusPatch replaces the whole status of an owner.
func statusPatch(owner Owner, status any) ([]byte, error) {
	operations := make([]operation, 0, 3)
	operations = append(operations, test("/metadata/uid", owner.UID))
	if owner.Version != "" {
		operations = append(operations, test("/metadata/resourceVersion", owner.Version))
	}
	data, err := json.Marshal(append(operations, operation{Op: "add", Path: "/status", Value: status}))
	if err != nil {
		return nil, fmt.Errorf("write the status patch: %w", err)
	}
	return data, nil
}
