package behaviour

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

const digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestParse_settings(t *testing.T) {
	forever, second := Forever, time.Second
	cases := map[string]struct {
		key, value string
		want       func(*Settings)
	}{
		"duration":           {"start-delay", "1m", func(s *Settings) { s.StartDelay = time.Minute }},
		"zero":               {"job-run-for", "0", func(s *Settings) { s.JobRunFor = 0 }},
		"run for":            {"run-for", "1s", func(s *Settings) { s.RunFor = &second }},
		"run forever":        {"run-for", "forever", func(s *Settings) { s.RunFor = &forever }},
		"exit code":          {"exit-code", "255", func(s *Settings) { s.ExitCode = 255 }},
		"images":             {"pull-fail", "a:1, b:*", func(s *Settings) { s.PullFail = Images{"a:1", "b:*"} }},
		"all images":         {"never-ready", "true", func(s *Settings) { s.NeverReady = Images{"*"} }},
		"no images":          {"never-ready", "false", func(*Settings) {}},
		"digest":             {"digest", "a:1=" + digestA, func(s *Settings) { s.Digests = map[string]string{"a:1": digestA} }},
		"digest of an image": {"digest", "a:2=a:1", func(s *Settings) { s.Digests = map[string]string{"a:2": "a:1"} }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			want := Defaults()
			c.want(&want)
			p, problems := Parse(map[string]string{Prefix + c.key: c.value, "other.io/start-delay": "9s"}, Containers{Apps: []string{"app"}}, Defaults())
			if len(problems) > 0 {
				t.Fatalf("problems: %v", problems)
			}
			if diff := cmp.Diff(want, p.Of("app")); diff != "" {
				t.Errorf("as an annotation (-want +got):\n%s", diff)
			}
			got := Defaults()
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			AddFlags(flags, "x-", &got)
			if err := flags.Parse([]string{"--x-" + c.key + "=" + c.value}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("as a flag (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFlags_valueReadsBack: `up` remembers flags as text and sets them again.
func TestFlags_valueReadsBack(t *testing.T) {
	for key, value := range map[string]string{
		"start-delay": "1m0s", "run-for": "forever", "exit-code": "3", "pull-fail": "a,b:*", "digest": "a=" + digestA + ",b=c",
	} {
		var s Settings
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		AddFlags(flags, "", &s)
		if err := flags.Set(key, value); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if got := flags.Lookup(key).Value.String(); got != value {
			t.Errorf("%s: got %q, want %q", key, got, value)
		}
	}
}

func TestParse_problemsLeaveTheDefault(t *testing.T) {
	cases := map[string]struct{ key, value, want string }{
		"unknown setting":    {"start-dely", "1s", `there is no setting "start-dely"`},
		"unknown container":  {"start-delay.nobody", "1s", `the pod has no container "nobody"`},
		"not a duration":     {"start-delay", "3", `value "3": not a duration`},
		"negative":           {"restart-gap", "-1s", "may not be negative"},
		"run for":            {"run-for", "ever", `nor "forever"`},
		"exit code too high": {"exit-code", "256", "not a number from 0 to 255"},
		"digest without =":   {"digest", "a:1", "is not IMAGE="},
		"short digest":       {"digest", "a:1=sha256:abc", "64 hexadecimal digits"},
		"of a container":     {"exit-code.app", "x", "not a number"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, problems := Parse(map[string]string{Prefix + c.key: c.value}, Containers{Apps: []string{"app"}}, Defaults())
			if len(problems) != 1 || problems[0].Annotation != Prefix+c.key || !strings.Contains(problems[0].Message, c.want) {
				t.Errorf("problems %v, want one about %s that says %q", problems, c.key, c.want)
			}
			if diff := cmp.Diff(Defaults(), p.Of("app")); diff != "" {
				t.Errorf("settings changed:\n%s", diff)
			}
		})
	}
}

func TestParse_whoIsMeant(t *testing.T) {
	p, problems := Parse(map[string]string{
		Prefix + "ready-delay":      "1s",
		Prefix + "ready-delay.side": "2s",
		Prefix + "exit-code":        "3",
		Prefix + "exit-code.side":   "4",
	}, Containers{Apps: []string{"app"}, Inits: []string{"init", "side"}}, Defaults())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	type view struct {
		Ready time.Duration
		Code  int32
	}
	got := map[string]view{}
	for _, name := range []string{"app", "init", "side"} {
		got[name] = view{p.Of(name).ReadyDelay, p.Of(name).ExitCode}
	}
	want := map[string]view{"app": {time.Second, 3}, "init": {time.Second, 0}, "side": {2 * time.Second, 4}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestImages_match(t *testing.T) {
	cases := []struct {
		pattern, image string
		want           bool
	}{
		{"a:1", "a:1", true}, {"a:1", "a:11", false}, {"*", "anything", true},
		{"r/*:v2", "r/x/y:v2", true}, {"r/*:v2", "r/x:v3", false},
		{"*bad*", "r/bad/app:1", true}, {"*bad*", "r/good:1", false},
		{"a*a", "a", false}, {"a*b*c", "a-b-c", true}, {"a*b*c", "a-c", false},
	}
	for _, c := range cases {
		if got := (Images{c.pattern}).Match(c.image); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.image, got, c.want)
		}
	}
}

func TestSettings_pullFails(t *testing.T) {
	s := Settings{PullFail: Images{"r/broken:*"}}
	for image, want := range map[string]bool{
		"invalid.example/app:v1": true, "invalid/app": true, "invalidate/app": false, "r/broken:1": true, "r/fine:1": false,
	} {
		if got := s.PullFails(image); got != want {
			t.Errorf("%s: %v, want %v", image, got, want)
		}
	}
}

func TestSettings_imageID(t *testing.T) {
	s := Settings{Digests: map[string]string{"r/app:v2": "r/app:v1", "r/app:v3": digestA}}
	v1 := s.ImageID("r/app:v1")
	if !strings.HasPrefix(v1, "r/app@sha256:") || len(v1) != len("r/app@sha256:")+64 {
		t.Errorf("image ID %q is not r/app@sha256:…", v1)
	}
	if got := s.ImageID("r/app:v2"); got != v1 {
		t.Errorf("mapped to v1: got %s, want %s", got, v1)
	}
	if got := s.ImageID("r/app:v4"); got == v1 {
		t.Error("another tag has the same image ID")
	}
	for image, want := range map[string]string{
		"r/app:v3": "r/app@" + digestA, "host:5000/app@" + digestA: "host:5000/app@" + digestA, "host:5000/app:v9@" + digestA: "host:5000/app@" + digestA,
	} {
		if got := s.ImageID(image); got != want {
			t.Errorf("%s: got %s, want %s", image, got, want)
		}
	}
}

// FuzzParse: an annotation is followed or reported, never both.
func FuzzParse(f *testing.F) {
	f.Add("start-delay.app", "1s")
	f.Add("digest", "a=b,c")
	f.Add("run-for", "forever")
	f.Fuzz(func(t *testing.T, key, value string) {
		p, problems := Parse(map[string]string{Prefix + key: value}, Containers{Apps: []string{"app"}}, Defaults())
		if len(problems) > 0 && !cmp.Equal(p.Of("app"), Defaults()) {
			t.Errorf("reported %v, and followed: %s", problems, cmp.Diff(Defaults(), p.Of("app")))
		}
		if id := p.Of("app").ImageID(value); !strings.Contains(id, "@") {
			t.Errorf("image ID %q has no digest", id)
		}
	})
}
