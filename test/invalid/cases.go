// Package invalid holds objects that must be refused, who must refuse them and what the answer must say.
//
// There is a table for each kind (tables.go); sidecarsets.yaml explains the format. The test beside it goes through the API
// server's own schema and CEL code and through Validate, in process; the product's tests send the same cases
// to a real API server, with the manager stopped and running.
package invalid

import (
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"
)

// Door is what must refuse a case.
type Door string

const (
	// Schema is the API server alone: schema and CEL. The manager may be stopped.
	Schema Door = "schema"
	// Webhook is the manager's validating webhook.
	Webhook Door = "webhook"
)

// Case is one object that must be refused.
type Case struct {
	// Name is unique and tells the version.
	Name string
	// Version of the API.
	Version string
	By      Door
	// Manifest is the object as JSON.
	Manifest []byte
	// Old, if any, is what is stored already, valid: the case is an update of it.
	Old []byte
	// Others are valid objects of the kind that must exist.
	Others [][]byte
	// Want is what the answer must contain.
	Want []string
}

type object = map[string]any

type entry struct {
	Name      string   `json:"name"`
	Version   string   `json:"version,omitempty"`
	By        Door     `json:"by,omitempty"`
	Change    object   `json:"change,omitempty"`
	Container object   `json:"container,omitempty"`
	Init      object   `json:"init,omitempty"`
	Probe     object   `json:"probe,omitempty"`
	Old       object   `json:"old,omitempty"`
	Others    []object `json:"others,omitempty"`
	Want      []string `json:"want"`
}

// All returns every case.
func (t Table) All() ([]Case, error) {
	var entries []entry
	if err := yaml.UnmarshalStrict(t.cases, &entries); err != nil {
		return nil, fmt.Errorf("read the cases of %s: %w", t.Resource, err)
	}
	var all []Case
	for _, e := range entries {
		versions := map[string][]string{"": {"v1beta1"}, "both": {"v1beta1", "v1alpha1"}}[e.Version]
		if versions == nil {
			versions = []string{e.Version}
		}
		for _, version := range versions {
			c, err := t.caseOf(e, version)
			if err != nil {
				return nil, fmt.Errorf("case %q: %w", e.Name, err)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// Valid returns the object that the cases change.
func (t Table) Valid(version string) []byte {
	data, err := json.Marshal(t.base(version))
	if err != nil {
		panic(err) // a constant
	}
	return data
}

func (t Table) caseOf(e entry, version string) (Case, error) {
	c := Case{Name: e.Name + " (" + version + ")", Version: version, By: e.By, Want: e.Want}
	if c.By == "" {
		c.By = Schema
	}
	whole := t.base(version)
	merge(whole, e.Change)
	if e.Container != nil {
		merge(t.pod(whole)["containers"].([]any)[0].(object), e.Container)
	}
	if e.Init != nil {
		added := object{"name": "init", "image": "init:1"}
		merge(added, e.Init)
		t.pod(whole)["initContainers"] = []any{added}
	}
	if e.Probe != nil {
		merge(t.first(whole), e.Probe)
	}
	var err error
	if c.Manifest, err = json.Marshal(whole); err != nil {
		return c, fmt.Errorf("write: %w", err)
	}
	if e.Old != nil {
		if c.Old, err = t.changed(version, e.Old); err != nil {
			return c, err
		}
	}
	for _, other := range e.Others {
		data, err := t.changed(version, other)
		if err != nil {
			return c, err
		}
		c.Others = append(c.Others, data)
	}
	return c, nil
}

func (t Table) changed(version string, change object) ([]byte, error) {
	whole := t.base(version)
	merge(whole, change)
	data, err := json.Marshal(whole)
	if err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return data, nil
}

// merge is RFC 7386.
func merge(into, change object) {
	for key, value := range change {
		child, isObject := value.(object)
		switch {
		case value == nil:
			delete(into, key)
		case !isObject:
			into[key] = value
		default:
			if _, ok := into[key].(object); !ok {
				into[key] = object{}
			}
			merge(into[key].(object), child)
		}
	}
}
