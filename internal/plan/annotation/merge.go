package annotation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// Object reads a text that must be a JSON object, as the value of a MergePatchJson must: RFC 7386 lets any other value
// replace what is there, and that is what Overwrite is for.
func Object(text string) (map[string]any, error) {
	v, err := decode(text)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return object, nil
}

func checkJSON(text string) error {
	if !json.Valid([]byte(text)) {
		return fmt.Errorf("not JSON: %.40q", text)
	}
	return nil
}

// decode reads one JSON value. Numbers stay as they are written.
func decode(text string) (v any, err error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return v, nil
}

// encode writes a value that was read or merged: compact, the members of objects in the order of their names.
func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("marshal what was unmarshalled: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// merged applies a merge patch to a JSON text (RFC 7386). A text that is no object is replaced, as the RFC has it.
func merged(text string, patch map[string]any) (string, error) {
	v, err := decode(text)
	if err != nil {
		return "", err
	}
	target, isObject := v.(map[string]any)
	if !isObject {
		target = map[string]any{}
	}
	if changed := merge(target, patch); !changed && isObject {
		return text, nil
	}
	return encode(target), nil
}

// merge applies a patch to an object, and tells whether that changes anything. It does not change the patch.
//
//	{"a":1,"b":{"c":2}}  and  {"a":null,"b":{"d":3}}  make  {"b":{"c":2,"d":3}}
func merge(target, patch map[string]any) (changed bool) {
	for name, value := range patch {
		now, has := target[name]
		if value == nil {
			delete(target, name)
			changed = changed || has
			continue
		}
		child, isObject := value.(map[string]any)
		if into, alike := now.(map[string]any); isObject && alike {
			changed = merge(into, child) || changed
			continue
		}
		if isObject {
			target[name], _ = withoutNull(child)
			changed = true
		} else if !reflect.DeepEqual(now, value) {
			target[name], changed = value, true
		}
	}
	return changed
}

// withoutNull returns an object without the members that are null, in it and in the objects that are its members, and
// tells whether there were any.
func withoutNull(object map[string]any) (pure map[string]any, changed bool) {
	pure = maps.Clone(object)
	for name, value := range object {
		child, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(pure, name)
			changed = true
		case isObject:
			less, some := withoutNull(child)
			pure[name], changed = less, changed || some
		}
	}
	return pure, changed
}
