// Package jsonview answers what stands in a JSON document without decoding it.
//
// A Value is a slice of the document itself, so that what is not looked at costs nothing, and what is copied
// is copied as it is, fields that nobody here knows included. Keys are case-sensitive, as they are to the API
// server; of a key that stands twice the last one counts, as for encoding/json. It changes nothing and keeps
// no state. Start at Parse.
package jsonview

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strings"
)

// Value is one valid JSON value without white space around it. nil means that there is none.
type Value []byte

// Parse checks that data is one valid JSON value.
func Parse(data []byte) (Value, error) {
	if !json.Valid(data) {
		var into json.RawMessage
		if err := json.Unmarshal(data, &into); err != nil {
			return nil, err
		}
		return nil, errors.New("not valid JSON")
	}
	return Value(bytes.TrimSpace(data)), nil
}

// Get returns the value of a key of an object, nil if there is none.
func (v Value) Get(key string) Value {
	var found Value
	for k, value := range v.Fields() {
		if k.Is(key) {
			found = value
		}
	}
	return found
}

// Present tells a value from none and from null.
func (v Value) Present() bool { return len(v) > 0 && v[0] != 'n' }

// Is tells whether the value is this string.
func (v Value) Is(text string) bool {
	if len(v) < 2 || v[0] != '"' {
		return false
	}
	if bytes.IndexByte(v, '\\') >= 0 {
		return v.Text() == text
	}
	return string(v[1:len(v)-1]) == text
}

// IsString tells whether the value is a string.
func (v Value) IsString() bool { return len(v) > 0 && v[0] == '"' }

// IsObject tells whether the value is an object.
func (v Value) IsObject() bool { return len(v) > 0 && v[0] == '{' }

// Text returns a string's content; anything else is empty.
func (v Value) Text() string {
	if !v.IsString() {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	var text string
	if json.Unmarshal(v, &text) != nil {
		return ""
	}
	return text
}

// Fields walks an object's keys (which are strings) and values. Anything else has none.
func (v Value) Fields() iter.Seq2[Value, Value] {
	return func(yield func(Value, Value) bool) {
		if !v.IsObject() {
			return
		}
		for i := next(v, 1); v[i] != '}'; {
			keyEnd := end(v, i)
			key := v[i:keyEnd:keyEnd]
			i = next(v, keyEnd)
			valueEnd := end(v, i)
			if !yield(key, v[i:valueEnd:valueEnd]) {
				return
			}
			i = next(v, valueEnd)
		}
	}
}

// Elements walks an array. Anything else has none.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if len(v) == 0 || v[0] != '[' {
			return
		}
		for i := next(v, 1); v[i] != ']'; {
			stop := end(v, i)
			if !yield(v[i:stop:stop]) {
				return
			}
			i = next(v, stop)
		}
	}
}

// next returns where the next token of a valid document begins, white space, commas and colons skipped.
func next(v Value, i int) int {
	for {
		switch v[i] {
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
		default:
			return i
		}
	}
}

// end returns where the value that begins at i ends.
func end(v Value, i int) int {
	switch v[i] {
	case '"':
		return stringEnd(v, i)
	case '{', '[':
		return nestEnd(v, i)
	}
	for i < len(v) && strings.IndexByte(" \t\r\n,]}", v[i]) < 0 {
		i++
	}
	return i
}

func stringEnd(v Value, i int) int {
	for i++; v[i] != '"'; i++ {
		if v[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func nestEnd(v Value, i int) int {
	for depth := 0; ; {
		switch v[i] {
		case '"':
			i = stringEnd(v, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if i++; depth == 0 {
			return i
		}
	}
}
