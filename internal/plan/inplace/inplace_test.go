package inplace

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan"
)

func version() Version {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("", 3600))
	return VersionOf("logtail", "h2", "logtail-h2", []string{"logtail", "agent"}, now)
}

func pod(hashJSON, stateJSON string) Pod {
	return Pod{
		Images:   []plan.ImageChange{{Container: "logtail", Index: 0, From: "logtail:1", To: "logtail:2"}},
		Runs:     []Report{{Image: "logtail:1", ImageID: "sha256:1", ContainerID: "containerd://a"}},
		HashJSON: hashJSON, StateJSON: stateJSON, StateAbsent: stateJSON == "", Settled: []bool{true},
	}
}

func TestChange_annotations(t *testing.T) {
	const (
		ours  = `{"updateTimestamp":"2026-01-02T02:04:05Z","hash":"h2","sidecarSetName":"logtail","sidecarList":["logtail","agent"],"controllerRevision":"logtail-h2"}`
		state = `{"lastContainerStatuses":{"logtail":{"imageID":"sha256:1","containerID":"containerd://a","image":"logtail:1","changing":false}},"revision":"h2","updateTimestamp":"2026-01-02T02:04:05Z"}`
	)
	for name, c := range map[string]struct {
		hash, state         string
		wantHash, wantState string
	}{
		"the first update": {
			hash:     `{"logtail":{"updateTimestamp":"2025-01-01T00:00:00Z","hash":"h1","sidecarSetName":"logtail","sidecarList":["logtail"]}}`,
			wantHash: `{"logtail":` + ours + `}`, wantState: `{"logtail":` + state + `}`,
		},
		"other sets stay, to the letter": {
			hash:     `{"b": {"hash" : "x\u0041", "n": 1e3}, "logtail":{"updateTimestamp":"","hash":"h1"}, "z":{"hash":"y"}}`,
			wantHash: `{"b": {"hash" : "x\u0041", "n": 1e3}, "logtail":` + ours + `, "z":{"hash":"y"}}`,
			state:    `{ "b":{"revision":"x","odd":[{"}":"]"}]} }`, wantState: `{ "b":{"revision":"x","odd":[{"}":"]"}]} ,"logtail":` + state + `}`,
		},
		"unknown fields of our entries stay": {
			hash:     `{"logtail":{"hash":"h1","canary":true}}`,
			wantHash: `{"logtail":{"canary":true,` + ours[1:] + `}`,
			state:    `{"logtail":{"revision":"h1","updateTimestamp":"old","more":{"a":null},"lastContainerStatuses":{"agent":{"imageID":"sha256:9"},"logtail":{"imageID":"sha256:0","x":1}}}}`,
			wantState: `{"logtail":{"revision":"h2","updateTimestamp":"2026-01-02T02:04:05Z","more":{"a":null},"lastContainerStatuses":{` +
				`"agent":{"imageID":"sha256:9"},"logtail":{"imageID":"sha256:1","containerID":"containerd://a","image":"logtail:1","changing":false,"x":1}}}}`,
		},
		"a legacy map becomes a present one": {
			hash:     `{"b":"hb","logtail":"h1"}`,
			wantHash: `{"b":{"hash":"hb","sidecarSetName":"b"},"logtail":` + ours + `}`, wantState: `{"logtail":` + state + `}`,
		},
		"the last of two equal keys counts": {
			hash:     `{"logtail":{"hash":"h0"},"logtail":{"hash":"h1"}}`,
			wantHash: `{"logtail":{"hash":"h0"},"logtail":` + ours + `}`, wantState: `{"logtail":` + state + `}`,
		},
		"a key written with an escape is the same key": {
			hash:     `{"log\u0074ail":{"hash":"h1"}}`,
			wantHash: `{"log\u0074ail":` + ours + `}`, wantState: `{"logtail":` + state + `}`,
		},
		"entries that are no objects are replaced": {
			hash:     `{"logtail":null}`,
			wantHash: `{"logtail":` + ours + `}`, wantState: `{"logtail":` + state + `}`,
			state: `{"logtail":7}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := version().Change(pod(c.hash, c.state))
			if diff := cmp.Diff(decode(t, c.wantHash), decode(t, got.Annotations[0].To)); diff != "" {
				t.Errorf("hash annotation: %s\n%s", diff, got.Annotations[0].To)
			}
			if diff := cmp.Diff(decode(t, c.wantState), decode(t, got.Annotations[1].To)); diff != "" {
				t.Errorf("state annotation: %s\n%s", diff, got.Annotations[1].To)
			}
			if name == "other sets stay, to the letter" && (got.Annotations[0].To != c.wantHash) {
				t.Errorf("hash annotation is\n%s\nwant\n%s", got.Annotations[0].To, c.wantHash)
			}
			if e := EntryOf(got.Annotations[0].To, "logtail"); e.Hash != "h2" || e.Revision == "" || e.SidecarList != `["logtail","agent"]` {
				t.Errorf("EntryOf the result = %+v", e)
			}
		})
	}
}

func TestChange_carriesTheValuesItWasDecidedOn(t *testing.T) {
	got := version().Change(pod(`{"logtail":{"hash":"h1"}}`, ""))
	if got.Annotations[0].From != `{"logtail":{"hash":"h1"}}` || got.Annotations[0].Absent {
		t.Errorf("hash annotation: %+v", got.Annotations[0])
	}
	if !got.Annotations[1].Absent || got.Annotations[1].From != "" {
		t.Errorf("state annotation: %+v", got.Annotations[1])
	}
	if diff := cmp.Diff([]plan.ImageChange{{Container: "logtail", From: "logtail:1", To: "logtail:2"}}, got.Images); diff != "" {
		t.Error(diff)
	}
}

func TestChange_remembersWhatTheRunningContainerWasMadeFrom(t *testing.T) {
	p := pod(`{"logtail":{"hash":"h1"}}`, "")
	p.StateJSON = version().Change(p).Annotations[1].To
	p.Images = []plan.ImageChange{{Container: "logtail", From: "logtail:2", To: "logtail:1"}}
	back := version().Change(p).Annotations[1].To
	if settled, from := Settled("logtail:1", p.Runs[0], back, "logtail", "logtail"); !settled || from != 0 {
		t.Errorf("a return to the image that still runs is not settled: %s", back)
	}
	if settled, _ := Settled("logtail:2", p.Runs[0], back, "logtail", "logtail"); settled {
		t.Errorf("an image that never ran is settled: %s", back)
	}
}

func TestChange_doesNotGuessWhatAnUnsettledContainerWasMadeFrom(t *testing.T) {
	p := pod(`{"logtail":{"hash":"h1"}}`, "")
	p.Settled[0] = false
	if got := version().Change(p).Annotations[1].To; !strings.Contains(got, `"image":""`) {
		t.Errorf("state is %s", got)
	}
}

func TestChange_remembersWhatWasWatched(t *testing.T) {
	p := pod(`{"logtail":{"hash":"h1"}}`, "")
	p.Settled[0], p.Runs[0].MadeFrom = false, "logtail:0"
	if got := version().Change(p).Annotations[1].To; !strings.Contains(got, `"image":"logtail:0"`) {
		t.Errorf("state is %s", got)
	}
}

func TestSettled_whatKubeletReports(t *testing.T) {
	state := func(of, last string) string { return `{"` + of + `":{"lastContainerStatuses":{"c":` + last + `}}}` }
	changed := state("logtail", `{"image":"i:1","imageID":"sha256:1","containerID":"a","changing":false}`)
	midway := state("logtail", `{"image":"i:1","imageID":"sha256:1","containerID":"a","changing":true}`)
	pending := state("logtail", `{"image":"i:1","imageID":"","containerID":"","changing":true}`)
	unsure := state("logtail", `{"image":"","imageID":"sha256:1","containerID":"a","changing":true}`)
	peers := state("logtail", `{"imageID":"sha256:1"}`)
	told := `{"logtail":{"updateTimestamp":"1970-01-01T00:33:20Z",` + unsure[len(`{"logtail":{`):]
	runs := func(image, id, container string) Report {
		return Report{Image: image, ImageID: id, ContainerID: container, Started: 1000, Grace: 30}
	}
	slow := runs("i:2", "sha256:1", "a")
	slow.Grace = 3600
	behind := runs("i:2", "sha256:2", "b")
	behind.Behind = true
	watched := func(image string) Report {
		r := runs("i:2", "sha256:2", "b")
		r.MadeFrom = image
		return r
	}
	gone, goneToo := runs("i:2", "sha256:1", "a"), runs("i:2", "sha256:2", "b")
	gone.Started, goneToo.Started = 0, 0
	const no, yes, later = -1, 0, 1040
	for name, c := range map[string]struct {
		image  string
		report Report
		state  string
		want   int64
	}{
		"nothing runs yet":                       {"i:1", runs("i:1", "", ""), "", no},
		"the image of the spec":                  {"i:2", runs("i:2", "sha256:2", "b"), changed, yes},
		"never changed, under another name":      {"i:1", runs("docker.io/i:1", "sha256:1", "a"), "", yes},
		"changed by another set":                 {"i:1", runs("docker.io/i:1", "sha256:1", "a"), state("other", `{"imageID":"sha256:1"}`), yes},
		"kubelet has not looked yet":             {"i:2", behind, changed, no},
		"the old container still runs":           {"i:2", runs("i:1", "sha256:1", "a"), changed, no},
		"back to the image that still runs":      {"i:1", runs("docker.io/i:1", "sha256:1", "a"), changed, yes},
		"back to it midway":                      {"i:1", runs("i:1", "sha256:1", "a"), midway, yes},
		"the new image, under another name":      {"i:2", runs("sha256:f", "sha256:2", "b"), changed, yes},
		"a new tag of the same image":            {"i:2", runs("i:1", "sha256:1", "b"), changed, later},
		"a new tag of the same image, reported":  {"i:2", runs("i:2", "sha256:1", "b"), changed, later},
		"a new tag, reported, not restarted yet": {"i:2", runs("i:2", "sha256:1", "a"), changed, no},
		"midway, the image of the spec":          {"i:2", runs("docker.io/i:2", "sha256:2", "b"), midway, later},
		"midway, an image in between":            {"i:3", runs("i:2", "sha256:2", "b"), midway, later},
		"midway, back to the image before":       {"i:1", runs("i:1", "sha256:1", "c"), midway, later},
		"changed before it ran, the old image":   {"i:2", runs("i:1", "sha256:1", "a"), pending, later},
		"changed before it ran, the new image":   {"i:2", runs("docker.io/i:2", "sha256:2", "a"), pending, later},
		"watched, the image of the spec":         {"i:2", watched("i:2"), midway, yes},
		"watched, another image":                 {"i:2", watched("i:1"), midway, no},
		"watched, not changed by us":             {"i:2", watched("i:1"), "", no},
		"of unknown make, gone":                  {"i:2", gone, unsure, no},
		"midway, replaced and gone":              {"i:2", goneToo, midway, no},
		"the digest, of an image in between":     {"i@sha256:2", runs("sha256:f", "docker.io/i@sha256:2", "b"), midway, later},
		"OpenKruise's record, the digest":        {"i@sha256:1", runs("sha256:f", "docker.io/i@sha256:1", "b"), peers, yes},
		"of unknown make, the image of the spec": {"i:2", runs("i:2", "sha256:1", "a"), unsure, later},
		"of unknown make, another image":         {"i:2", runs("i:1", "sha256:1", "a"), unsure, later},
		"in doubt, told after it was started":    {"i:2", runs("i:1", "sha256:1", "b"), told, 2040},
		"in doubt, may take an hour to stop":     {"i:2", slow, unsure, later},
		"of unknown make, replaced":              {"i:2", runs("i:1", "sha256:1", "b"), unsure, later},
		"OpenKruise's record, the old image":     {"i:2", runs("i:1", "sha256:1", "b"), peers, no},
		"OpenKruise's record, the new image":     {"i:2", runs("sha256:f", "sha256:2", "b"), peers, yes},
		"OpenKruise's record, a new tag":         {"i:2", runs("i:2", "sha256:1", "b"), peers, yes},
		"the digest of the spec":                 {"i@sha256:2", runs("sha256:f", "docker.io/i@sha256:2", "b"), changed, yes},
		"another digest than the spec's":         {"i@sha256:2", runs("sha256:f", "docker.io/i@sha256:3", "b"), changed, no},
	} {
		t.Run(name, func(t *testing.T) {
			settled, got := Settled(c.image, c.report, c.state, "logtail", "c")
			if !settled {
				got = no
			}
			if got != c.want {
				t.Errorf("Settled = %v from %d on, want %d", settled, got, c.want)
			}
		})
	}
}

func TestHashOf_readsBothForms(t *testing.T) {
	for annotation, want := range map[string][2]string{
		`{"logtail":{"hash":"h1","sidecarList":["a"]}}`: {"h1", `["a"]`},
		`{"logtail":"h1"}`:          {"h1", ""},
		`{"other":{"hash":"h1"}}`:   {"", ""},
		`{"logtail":{"hash":7}}`:    {"", ""},
		`{"x":{"logtail":"wrong"}}`: {"", ""},
		`{}`:                        {"", ""},
	} {
		if e := EntryOf(annotation, "logtail"); e.Hash != want[0] || e.SidecarList != want[1] {
			t.Errorf("EntryOf(%s) = %+v; want %q", annotation, e, want)
		}
	}
}

func TestHashOf_allocatesNothing(t *testing.T) {
	annotation := `{"a":{"hash":"x","sidecarList":["a"]},"logtail":{"hash":"h1","sidecarList":["logtail"]}}`
	if n := testing.AllocsPerRun(100, func() { EntryOf(annotation, "logtail") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// FuzzSet: for every text that is a JSON object, Get and Set do what decoding it, looking up or setting the
// member, and encoding it again would do.
func FuzzSet(f *testing.F) {
	f.Add(`{}`, "a")
	f.Add(` { "a" : 1 , "b":[{"a":"}"}], "c\"":"\\" } `, "a")
	f.Add(`{"a":{"a":2},"a":null,"\u0061":true}`, "a")
	f.Add(`{"a":-1.5e+3}`, "b")
	f.Fuzz(func(t *testing.T, object, key string) {
		if CheckObject(object) != nil || !json.Valid([]byte(quote(key))) {
			return
		}
		want := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(object), &want); err != nil {
			t.Skip(err)
		}
		if _, ok := want["\ufffd"]; ok || quote(key) != quote(string([]rune(key))) {
			t.Skip("not UTF-8: encoding/json makes different keys one")
		}
		value, ok := Get(object, key)
		wantValue, wantOK := want[key]
		if ok != wantOK || ok && value != string(wantValue) && string(wantValue) != "null" {
			t.Fatalf("Get(%q, %q) = %q, %v; want %q, %v", object, key, value, ok, wantValue, wantOK)
		}
		got := Set(object, key, `{"new":"]"}`)
		want[key] = json.RawMessage(`{"new":"]"}`)
		again := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(got), &again); err != nil {
			t.Fatalf("Set(%q, %q) = %q: %v", object, key, got, err)
		}
		if diff := cmp.Diff(normal(t, want), normal(t, again)); diff != "" {
			t.Fatalf("Set(%q, %q) = %q: %s", object, key, got, diff)
		}
		removed := Remove(object, key)
		delete(want, key)
		again = map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(removed), &again); err != nil {
			t.Fatalf("Remove(%q, %q) = %q: %v", object, key, removed, err)
		}
		if diff := cmp.Diff(normal(t, want), normal(t, again)); diff != "" {
			t.Fatalf("Remove(%q, %q) = %q: %s", object, key, removed, diff)
		}
		if err := CheckObject(version().Change(pod(object, object)).Annotations[1].To); err != nil {
			t.Fatal(err)
		}
	})
}

func decode(t *testing.T, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func normal(t *testing.T, m map[string]json.RawMessage) any {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, string(b))
}
