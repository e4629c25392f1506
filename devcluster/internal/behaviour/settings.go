package behaviour

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Setting is one row of the table: a name, what it means and how its value is
// read and written.
type Setting struct {
	Name, Usage string
	set         func(*Settings, string) error
	get         func(*Settings) string
}

// Table lists all settings: the flags of the simulated kubelet and, behind
// Prefix, the annotations of pods.
func Table() []Setting {
	return []Setting{
		duration("start-delay", "time from the first attempt to start a container to it running", func(s *Settings) *time.Duration { return &s.StartDelay }),
		duration("ready-delay", "time from a container running to it being ready", func(s *Settings) *time.Duration { return &s.ReadyDelay }),
		duration("restart-gap", "how long a container is down when its image changes (ready-delay comes on top)", func(s *Settings) *time.Duration { return &s.RestartGap }),
		duration("termination-delay", "how long a container takes to end when its pod is deleted, at most the grace period", func(s *Settings) *time.Duration { return &s.TerminationDelay }),
		{"run-for", "how long a container runs before it ends by itself, or \"forever\"", setRunFor, getRunFor},
		duration("job-run-for", "run-for of containers whose restart policy is not Always", func(s *Settings) *time.Duration { return &s.JobRunFor }),
		duration("init-run-for", "run-for of init containers that are not sidecars", func(s *Settings) *time.Duration { return &s.InitRunFor }),
		{"exit-code", "exit code (0 to 255) of a container that ends by itself", setExitCode, func(s *Settings) string { return strconv.Itoa(int(s.ExitCode)) }},
		images("pull-fail", "images that cannot be pulled, besides those of the host \"invalid\" or \"invalid.*\"", func(s *Settings) *Images { return &s.PullFail }),
		images("crash", "images whose containers end with exit code 1 as soon as they run", func(s *Settings) *Images { return &s.Crash }),
		images("never-ready", "images whose containers never become ready; \"true\" for all", func(s *Settings) *Images { return &s.NeverReady }),
		{"digest", "digests of images: IMAGE=sha256:… or IMAGE=OTHER-IMAGE (the same digest as that one)", setDigests, getDigests},
		duration("pull-backoff", "time from ErrImagePull to ImagePullBackOff", func(s *Settings) *time.Duration { return &s.PullBackoff }),
		duration("crash-backoff", "wait before the second restart of a container that keeps ending; doubles", func(s *Settings) *time.Duration { return &s.CrashBackoff }),
		duration("crash-backoff-max", "the longest wait before a restart", func(s *Settings) *time.Duration { return &s.CrashBackoffMax }),
	}
}

// AddFlags adds a flag for every setting, its name behind prefix. The flags
// write into s, whose values are their defaults.
func AddFlags(flags *pflag.FlagSet, prefix string, s *Settings) {
	for _, setting := range Table() {
		flags.Var(flag{setting, s}, prefix+setting.Name, setting.Usage)
	}
}

// flag makes a setting a pflag.Value.
type flag struct {
	setting Setting
	target  *Settings
}

func (f flag) String() string {
	if f.target == nil { // pflag makes a zero flag to find out the default
		return ""
	}
	return f.setting.get(f.target)
}

func (f flag) Set(value string) error { return f.setting.set(f.target, value) }

func (f flag) Type() string { return "value" }

func duration(name, usage string, field func(*Settings) *time.Duration) Setting {
	return Setting{
		Name: name, Usage: usage,
		set: func(s *Settings, value string) error {
			d, err := parseDuration(value)
			if err != nil {
				return err
			}
			*field(s) = d
			return nil
		},
		get: func(s *Settings) string { return field(s).String() },
	}
}

func parseDuration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, errors.New("not a duration such as 500ms, 3s or 1m")
	}
	if d < 0 {
		return 0, errors.New("a duration may not be negative")
	}
	return d, nil
}

func setRunFor(s *Settings, value string) error {
	d := Forever
	if value != "forever" {
		var err error
		if d, err = parseDuration(value); err != nil {
			return fmt.Errorf("%w, nor \"forever\"", err)
		}
	}
	s.RunFor = &d
	return nil
}

func getRunFor(s *Settings) string {
	switch {
	case s.RunFor == nil:
		return ""
	case *s.RunFor == Forever:
		return "forever"
	default:
		return s.RunFor.String()
	}
}

func setExitCode(s *Settings, value string) error {
	n, err := strconv.ParseUint(value, 10, 8)
	if err != nil {
		return errors.New("not a number from 0 to 255")
	}
	s.ExitCode = int32(n)
	return nil
}

func images(name, usage string, field func(*Settings) *Images) Setting {
	return Setting{
		Name: name, Usage: usage,
		set: func(s *Settings, value string) error {
			switch value {
			case "true":
				*field(s) = Images{"*"}
			case "false":
				*field(s) = nil
			default:
				*field(s) = list(value)
			}
			return nil
		},
		get: func(s *Settings) string { return strings.Join(*field(s), ",") },
	}
}

// list splits at commas and white space.
func list(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t\n", r) })
}

func setDigests(s *Settings, value string) error {
	form := regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	digests := map[string]string{}
	for _, entry := range list(value) {
		image, digest, found := strings.Cut(entry, "=")
		if !found || image == "" || digest == "" {
			return fmt.Errorf("%q is not IMAGE=sha256:… or IMAGE=OTHER-IMAGE", entry)
		}
		if strings.HasPrefix(digest, "sha256:") && !form.MatchString(digest) {
			return fmt.Errorf("%q: sha256: wants 64 hexadecimal digits", entry)
		}
		digests[image] = digest
	}
	s.Digests = digests
	return nil
}

func getDigests(s *Settings) string {
	var entries []string
	for _, image := range sortedKeys(s.Digests) {
		entries = append(entries, image+"="+s.Digests[image])
	}
	return strings.Join(entries, ",")
}
