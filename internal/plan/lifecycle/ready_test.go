package lifecycle

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

const (
	other   = `{"userAgent":"ContainerRecreateRequest","key":"ns/crr"}`
	update  = `{"userAgent":"Lifecycle","key":"preUpdateHook"}`
	deleted = `{"userAgent":"Lifecycle","key":"preDeleteHook"}`
)

func TestMessages(t *testing.T) {
	for message, want := range map[string][]Message{
		"": nil, "[]": {}, "null": nil,
		"[" + update + "]":               {{UserAgent: "Lifecycle", Key: "preUpdateHook"}},
		"[" + other + "," + update + "]": {{UserAgent: "ContainerRecreateRequest", Key: "ns/crr"}, {UserAgent: "Lifecycle", Key: "preUpdateHook"}},
	} {
		got, err := Messages(message)
		if err != nil {
			t.Errorf("%s: %v", message, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", message, diff)
		}
	}
	for _, bad := range []string{"x", "{}", `["a"]`, "[", `[{"userAgent":1}]`} {
		if got, err := Messages(bad); err == nil {
			t.Errorf("%s: %v, want an error", bad, got)
		}
	}
}

func TestWithAndWithout(t *testing.T) {
	m := Message{UserAgent: "Lifecycle", Key: "preDeleteHook"}
	for name, c := range map[string]struct {
		message, with, without string
	}{
		"none":                 {"", "[" + deleted + "]", ""},
		"an empty list":        {"[]", "[" + deleted + "]", "[]"},
		"only this":            {"[" + deleted + "]", "[" + deleted + "]", "[]"},
		"another":              {"[" + update + "]", "[" + deleted + "," + update + "]", "[" + update + "]"},
		"among others":         {"[" + other + "," + deleted + "," + update + "]", "[" + other + "," + deleted + "," + update + "]", "[" + other + "," + update + "]"},
		"not sorted":           {"[" + update + "," + other + "]", "[" + other + "," + deleted + "," + update + "]", "[" + update + "," + other + "]"},
		"twice":                {"[" + deleted + "," + deleted + "]", "[" + deleted + "," + deleted + "]", "[]"},
		"another twice":        {"[" + other + "," + other + "]", "[" + other + "," + deleted + "]", "[" + other + "," + other + "]"},
		"not a list":           {"by hand", "[" + deleted + "]", "by hand"},
		"space is not changed": {"[ " + deleted + " ]", "[ " + deleted + " ]", "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, changed := With(c.message, m); got != c.with || changed != (c.with != c.message) {
				t.Errorf("With() = %s, %t; want %s", got, changed, c.with)
			}
			if got, changed := Without(c.message, m); got != c.without || changed != (c.without != c.message) {
				t.Errorf("Without() = %s, %t; want %s", got, changed, c.without)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	for message, want := range map[string]corev1.ConditionStatus{
		"": "True", "[]": "True", "[" + other + "]": "False", "by hand": "False",
	} {
		if got := Status(message); got != want {
			t.Errorf("Status(%s) = %s", message, got)
		}
	}
}

func TestReadyMessage(t *testing.T) {
	marked := &v1beta1.Lifecycle{InPlaceUpdate: hook(true), PreDelete: hook(true)}
	plain := &v1beta1.Lifecycle{InPlaceUpdate: hook(false), PreDelete: hook(false)}
	for name, c := range map[string]struct {
		hooks         *v1beta1.Lifecycle
		in            State
		message, want string
	}{
		"PreparingUpdate":                           {marked, preparingUpdate, "", "[" + update + "]"},
		"PreparingUpdate, again":                    {marked, preparingUpdate, "[" + update + "]", "[" + update + "]"},
		"PreparingUpdate, no longer marked":         {plain, preparingUpdate, "[" + update + "]", "[]"},
		"PreparingUpdate, only preDelete is marked": {preDelete(true), preparingUpdate, "", ""},
		"Updating keeps it":                         {marked, updating, "[" + update + "]", "[" + update + "]"},
		"Updating does not add it":                  {marked, updating, "[]", "[]"},
		"Updated":                                   {marked, updated, "[" + update + "]", "[]"},
		"Updated, the hook was taken away":          {nil, updated, "[" + update + "]", "[]"},
		"Normal, called off or done":                {marked, normal, "[" + update + "]", "[]"},
		"others' reasons stay":                      {marked, normal, "[" + other + "," + update + "]", "[" + other + "]"},
		"PreparingDelete":                           {marked, preparingDelete, "[]", "[" + deleted + "]"},
		"PreparingDelete out of an update":          {plain, preparingDelete, "[" + update + "]", "[" + update + "]"},
		"PreparingDelete out of an update, marked":  {marked, preparingDelete, "[" + update + "]", "[" + deleted + "," + update + "]"},
		"PreparingDelete, no longer marked":         {plain, preparingDelete, "[" + deleted + "]", "[]"},
		"taken back":                                {plain, preparingNormal, "[" + deleted + "," + update + "]", "[]"},
		"no hooks":                                  {nil, preparingUpdate, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got, changed := ReadyMessage(c.hooks, c.in, c.message); got != c.want || changed != (c.want != c.message) {
				t.Errorf("ReadyMessage() = %s, %t; want %s", got, changed, c.want)
			}
		})
	}
}
