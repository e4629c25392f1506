package main

import (
	"fmt"
	"slices"
	"strings"
)

// patch is one entry of patches/<plural>.yaml.
type patch struct {
	At         string           `json:"at"`
	Version    string           `json:"version,omitempty"`
	Schema     object           `json:"schema,omitempty"`
	Rules      []map[string]any `json:"rules,omitempty"`
	ExactlyOne *exactlyOne      `json:"exactlyOne,omitempty"`
	Describe   int              `json:"describe,omitempty"`
	Except     []string         `json:"except,omitempty"`
}

type exactlyOne struct {
	Of     []string `json:"of,omitempty"`
	Except []string `json:"except,omitempty"`
	Noun   string   `json:"noun"`
}

// object is a YAML mapping.
type object map[string]any

func (o object) object(key string) object {
	child, _ := o[key].(map[string]any)
	return child
}

func (o object) list(key string) []any {
	child, _ := o[key].([]any)
	return child
}

// merge is RFC 7386: null removes, mappings merge, everything else replaces.
func (o object) merge(with object) {
	for key, value := range with {
		child, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(o, key)
		case !isObject:
			o[key] = value
		default:
			if o.object(key) == nil {
				o[key] = map[string]any{}
			}
			o.object(key).merge(child)
		}
	}
}

func (p patch) apply(root object) error {
	targets := []object{root}
	for _, step := range steps(p.At) {
		var next []object
		for _, t := range targets {
			for _, name := range strings.Split(step, "|") {
				child := descend(t, name)
				if child == nil {
					return fmt.Errorf("patch %q: no %q", p.At, name)
				}
				next = append(next, child)
			}
		}
		targets = next
	}
	for _, t := range targets {
		p.change(t)
	}
	return nil
}

// steps cuts "a|b[].c{}" into a|b, [], c, {}.
func steps(path string) []string {
	path = strings.NewReplacer("[]", ".[]", "{}", ".{}").Replace(path)
	return strings.Split(path, ".")
}

func descend(schema object, step string) object {
	switch step {
	case "[]":
		return schema.object("items")
	case "{}":
		return schema.object("additionalProperties")
	}
	return schema.object("properties").object(step)
}

func (p patch) change(schema object) {
	schema.merge(p.Schema)
	for _, rule := range p.Rules {
		addRule(schema, rule)
	}
	if p.ExactlyOne != nil {
		addRule(schema, p.ExactlyOne.rule(schema))
	}
	if p.Describe > 0 {
		for name, property := range schema.object("properties") {
			if !slices.Contains(p.Except, name) {
				describe(property, p.Describe)
			}
		}
	}
}

func addRule(schema object, rule map[string]any) {
	rules := schema.list("x-kubernetes-validations")
	known := slices.ContainsFunc(rules, func(r any) bool { return r.(map[string]any)["rule"] == rule["rule"] })
	if !known {
		schema["x-kubernetes-validations"] = append(rules, rule)
	}
}

func (e exactlyOne) rule(schema object) map[string]any {
	names := slices.Clone(e.Of)
	if len(names) == 0 {
		for name := range schema.object("properties") {
			if !slices.Contains(e.Except, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	terms := make([]string, len(names))
	for i, name := range names {
		terms[i] = "has(self." + name + ")"
	}
	return map[string]any{
		"rule":    "[" + strings.Join(terms, ", ") + "].filter(x, x).size() == 1",
		"message": "exactly one " + e.Noun + " is required",
	}
}

// describe keeps the first sentence of the descriptions of a schema and of the next levels-1 below it.
func describe(value any, levels int) {
	schema, ok := value.(map[string]any)
	if !ok {
		return
	}
	if text, ok := schema["description"].(string); ok {
		schema["description"] = firstSentence(text)
	}
	if levels <= 0 {
		delete(schema, "description")
	}
	for _, property := range object(schema).object("properties") {
		describe(property, levels-1)
	}
	for _, key := range []string{"items", "additionalProperties"} {
		element := object(schema).object(key)
		delete(element, "description")
		for _, property := range element.object("properties") {
			describe(property, levels-1)
		}
	}
}

func firstSentence(text string) string {
	text, _, _ = strings.Cut(text, "\n\n")
	text = strings.Join(strings.Fields(text), " ")
	if i := strings.Index(text, ". "); i >= 0 {
		text = text[:i+1]
	}
	return text
}
