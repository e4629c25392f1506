package jsonview_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
)

const sample = ` {"a" : "x", "A":"other", "n":null, "l":[1, {"b":[2]} ,"c,]" , true], "e\u0061":"q\"\\", "":{}, "a": "y"} `

func TestValue_readsFields(t *testing.T) {
	v := parse(t, sample)
	if got := v.Get("a").Text(); got != "y" {
		t.Errorf("the last a = %q, want y", got)
	}
	if !v.Get("A").Is("other") || v.Get("A").Is("y") {
		t.Error("keys must be case-sensitive")
	}
	if got := v.Get("ea").Text(); got != `q"\` || !v.Get("ea").Is(`q"\`) {
		t.Errorf("escaped text = %q", got)
	}
	if v.Get("n").Present() || v.Get("none").Present() || !v.Get("").Present() {
		t.Error("Present must tell null and none from the rest")
	}
}

func TestValue_walks(t *testing.T) {
	v := parse(t, sample)
	var elements []string
	for e := range v.Get("l").Elements() {
		elements = append(elements, string(e))
	}
	if diff := cmp.Diff([]string{"1", `{"b":[2]}`, `"c,]"`, "true"}, elements); diff != "" {
		t.Errorf("Elements() (-want +got):\n%s", diff)
	}
	for range v.Get("a").Fields() {
		t.Error("a string has fields")
	}
	for range v.Elements() {
		t.Error("an object has elements")
	}
	for range v.Fields() {
		break // must be possible
	}
	for range v.Get("l").Elements() {
		break
	}
}

func TestParse_refusesWhatIsNotJSON(t *testing.T) {
	for _, bad := range []string{"", "{", "{}{}", `{"a":}`, "nul"} {
		if _, err := jsonview.Parse([]byte(bad)); err == nil {
			t.Errorf("Parse(%q): no error", bad)
		}
	}
}

// FuzzValue_agreesWithEncodingJSON rebuilds each document from what the view says and compares.
func FuzzValue_agreesWithEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `null`, `"x"`, `-1.5e3`, ` [ 1 , [ ] , { } ] `, `{"a":{"b":[1,2,{"c":"}"}]},"d":"\\\""}`,
		`{"a":1,"a":2}`, `{"\u0061":"\ud83d\ude00","b":true}`, "[\"\xff\"]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := jsonview.Parse(data)
		if (err == nil) != json.Valid(data) {
			t.Fatalf("Parse: %v, valid: %t", err, json.Valid(data))
		}
		if err != nil {
			return
		}
		var want any
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, rebuild(t, v)); diff != "" {
			t.Errorf("(-encoding/json +view):\n%s", diff)
		}
	})
}

func rebuild(t *testing.T, v jsonview.Value) any {
	switch v[0] {
	case '{':
		object := map[string]any{}
		for key, value := range v.Fields() {
			object[text(t, key)] = rebuild(t, value)
		}
		return object
	case '[':
		array := []any{}
		for element := range v.Elements() {
			array = append(array, rebuild(t, element))
		}
		return array
	case '"':
		return text(t, v)
	case 't', 'f':
		return v[0] == 't'
	case 'n':
		return nil
	}
	return json.Number(v)
}

// text compares Text with encoding/json, except that the view leaves alone what is not UTF-8.
func text(t *testing.T, v jsonview.Value) string {
	var want string
	if err := json.Unmarshal(v, &want); err != nil {
		t.Fatalf("%q: %v", v, err)
	}
	if got := v.Text(); !v.Is(got) || utf8.Valid(v) && got != want {
		t.Fatalf("Text() = %q, want %q", got, want)
	}
	return want
}

func parse(t *testing.T, doc string) jsonview.Value {
	t.Helper()
	v, err := jsonview.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
