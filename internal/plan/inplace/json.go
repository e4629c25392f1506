package inplace

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The bookkeeping annotations are JSON maps that several sets, and other tools, write to. They are read and
// changed as text: reading shares memory with the annotation and allocates nothing, and a change leaves every
// byte that is not ours as it was. Of a key that is there twice the last counts, as with encoding/json.

// CheckObject tells what keeps a text from being a JSON object. Get, Set and Text want texts that passed it.
func CheckObject(text string) error {
	if !json.Valid([]byte(text)) {
		return fmt.Errorf("not JSON: %.40q", text)
	}
	if i := skipSpace(text, 0); text[i] != '{' {
		return fmt.Errorf("not a JSON object: %.40q", text)
	}
	return nil
}

// Get returns the JSON text of an object's member.
func Get(object, key string) (string, bool) {
	m, ok := find(object, key)
	if !ok {
		return "", false
	}
	return object[m.from:m.to], true
}

// Set returns the object with one member's value replaced by, or the member added with, a JSON text.
func Set(object, key, value string) string {
	if m, ok := find(object, key); ok {
		return object[:m.from] + value + object[m.to:]
	}
	end := strings.LastIndexByte(object, '}')
	if end < 0 {
		return "{" + quote(key) + ":" + value + "}"
	}
	comma := ","
	if _, more := next(object, 0); !more {
		comma = ""
	}
	return object[:end] + comma + quote(key) + ":" + value + object[end:]
}

// Remove returns the object without a member.
func Remove(object, key string) string {
	before := -1 // the end of the member before, or of the opening brace
	for m, more := next(object, 0); more; m, more = next(object, m.to) {
		if k, _ := Text(m.key); k != key {
			before = m.to
			continue
		}
		if before >= 0 { // with the comma before it
			return Remove(object[:before]+object[m.to:], key)
		}
		start := skipSpace(object, 0) + 1
		end := skipSpace(object, m.to)
		if end < len(object) && object[end] == ',' {
			end++
		}
		return Remove(object[:start]+object[end:], key)
	}
	return object
}

// Text returns what a JSON string says. It returns false for any other value.
func Text(value string) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; strings.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	var s string
	err := json.Unmarshal([]byte(value), &s)
	return s, err == nil
}

// GetText returns what a member that is a JSON string says, and "" when there is no such member.
func GetText(object, key string) string {
	value, _ := Get(object, key)
	s, _ := Text(value)
	return s
}

// member is one member of an object: its key as JSON text, and where its value is.
type member struct {
	key      string
	from, to int
}

// find returns the last member with this key.
func find(object, key string) (found member, ok bool) {
	for m, more := next(object, 0); more; m, more = next(object, m.to) {
		if k, _ := Text(m.key); k == key {
			found, ok = m, true
		}
	}
	return found, ok
}

// next returns the first member after offset i, where i is 0 or the end of a member of the same object.
func next(object string, i int) (member, bool) {
	i = skipSpace(object, i)
	if i >= len(object) || object[i] != '{' && object[i] != ',' {
		return member{}, false
	}
	start := skipSpace(object, i+1)
	if start >= len(object) || object[start] != '"' {
		return member{}, false
	}
	end := skipString(object, start)
	from := skipSpace(object, skipSpace(object, end)+1)
	return member{key: object[start:end], from: from, to: skipValue(object, from)}, true
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the end of the string that starts at i.
func skipString(s string, i int) int {
	for i++; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(s))
}

// skipValue returns the end of the value that starts at i.
func skipValue(s string, i int) int {
	for depth := 0; i < len(s); {
		switch s[i] {
		case '"':
			i = skipString(s, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		default:
			if i++; depth == 0 {
				i = skipWord(s, i)
			}
		}
		if depth == 0 {
			return i
		}
	}
	return len(s)
}

// skipWord returns the end of a number, true, false or null.
func skipWord(s string, i int) int {
	if end := strings.IndexAny(s[i:], ",}] \t\r\n"); end >= 0 {
		return i + end
	}
	return len(s)
}

// quote returns a string as JSON.
func quote(s string) string {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			b, err := json.Marshal(s)
			if err != nil {
				panic("marshal a string: " + err.Error())
			}
			return string(b)
		}
	}
	return `"` + s + `"`
}
