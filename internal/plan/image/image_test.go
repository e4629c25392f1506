package image

import (
	"testing"
	"time"
)

func TestParse_names(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for text, want := range map[string]Ref{
		"nginx":                                 {"docker.io/library/nginx", "latest"},
		"nginx:1.25":                            {"docker.io/library/nginx", "1.25"},
		"docker.io/nginx":                       {"docker.io/library/nginx", "latest"},
		"index.docker.io/team/app:v1":           {"docker.io/team/app", "v1"},
		"registry.example:5000/a/b":             {"registry.example:5000/a/b", "latest"},
		"localhost/a:1":                         {"localhost/a", "1"},
		"registry.example/a@" + digest:          {"registry.example/a", digest},
		"registry.example/a:1@" + digest:        {"registry.example/a", digest},
		"registry.example/a_b.c--d/e__f:V1.0_x": {"registry.example/a_b.c--d/e__f", "V1.0_x"},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", text, got, err, want)
		}
		again, err := Parse(got.String())
		if err != nil || again != got {
			t.Errorf("%s is read as %+v, %v", got, again, err)
		}
		if err := Check(got); err != nil {
			t.Errorf("Check(%+v): %v", got, err)
		}
	}
	for _, text := range []string{"", " ", "Nginx", "a b", "a:", "a@sha256:12", "http://a/b", "-a", "a//b", "[::1]/a:"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", text, got)
		}
	}
}

func TestCheck_completeNamesOnly(t *testing.T) {
	for _, r := range []Ref{{"nginx", "1"}, {"docker.io/nginx", "1"}, {"a/b:1", "2"}, {"", "1"}, {"a.b/c", ""}} {
		if Check(r) == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
}

// 4 tries of 10 minutes, and 1 s, 2 s, 4 s between them.
func TestLimits_longest(t *testing.T) {
	if got, want := LimitsOf(nil, nil).Longest(), 40*time.Minute+7*time.Second; got != want {
		t.Errorf("Longest() = %s, want %s", got, want)
	}
	var pauses []time.Duration
	for failed := 1; failed <= 8; failed++ {
		pauses = append(pauses, Pause(failed)/time.Second)
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		if pauses[i] != want {
			t.Errorf("pause %d is %d s, want %d s", i+1, pauses[i], want)
		}
	}
}
