// Package behaviour answers how a simulated container behaves: how long it
// takes to start, when it fails, what it exits with.
//
// There is one table of settings (see settings); each of them is a flag of the
// simulated kubelet, and an annotation of a pod that overrides the flag for
// the pod or for one of its containers. What the settings lead to is package
// podlife's business.
//
// Start reading at Settings and Parse.
package behaviour

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Prefix of the annotations: devcluster.outrigger.dev/SETTING for a pod,
// devcluster.outrigger.dev/SETTING.CONTAINER for one container.
const Prefix = "devcluster.outrigger.dev/"

// Forever is a RunFor without end.
const Forever = time.Duration(1<<63 - 1)

// Settings are how one container behaves. They are never changed after they
// were made, so they may be shared.
type Settings struct {
	// StartDelay is the time from the first attempt to start a container to it running.
	StartDelay time.Duration
	// ReadyDelay is the time from a container running to it being ready.
	ReadyDelay time.Duration
	// RestartGap is how long a container is down when its image changes.
	RestartGap time.Duration
	// TerminationDelay is how long a container takes to end when its pod is
	// deleted; the pod's grace period cuts it off.
	TerminationDelay time.Duration
	// RunFor is how long a container runs before it ends by itself; nil means
	// InitRunFor for an init container, JobRunFor where the restart policy
	// lets a container end, and Forever elsewhere.
	RunFor *time.Duration
	// JobRunFor, InitRunFor: see RunFor.
	JobRunFor, InitRunFor time.Duration
	// ExitCode of a container that ends by itself.
	ExitCode int32
	// PullFail are images that cannot be pulled, besides those of the host "invalid".
	PullFail Images
	// Crash are images whose containers end with exit code 1 as soon as they run.
	Crash Images
	// NeverReady are images whose containers run without ever becoming ready.
	NeverReady Images
	// Digests gives images a digest: "sha256:…", or that of another image.
	Digests map[string]string
	// PullBackoff is the time from ErrImagePull to ImagePullBackOff.
	PullBackoff time.Duration
	// CrashBackoff is the wait before the second restart of a container that
	// keeps ending (the first is immediate); it doubles up to CrashBackoffMax.
	CrashBackoff, CrashBackoffMax time.Duration
}

// Defaults are the settings of a kubelet without flags: everything at once.
func Defaults() Settings {
	return Settings{
		JobRunFor:       time.Second,
		PullBackoff:     500 * time.Millisecond,
		CrashBackoff:    time.Second,
		CrashBackoffMax: 10 * time.Second,
	}
}

// PullFails tells whether an image cannot be pulled: its host is "invalid" or
// starts with "invalid.", or it is one of PullFail.
func (s Settings) PullFails(image string) bool {
	return strings.HasPrefix(image, "invalid.") || strings.HasPrefix(image, "invalid/") || s.PullFail.Match(image)
}

// ImageID is what the container runtime would report for an image:
// repository@digest. Without an entry in Digests the digest is a hash of the
// reference, so that every tag is another image.
func (s Settings) ImageID(image string) string {
	repository, digest := split(image)
	if digest == "" {
		digest = s.digest(image)
	}
	return repository + "@" + digest
}

func (s Settings) digest(image string) string {
	mapped, ok := s.Digests[image]
	switch {
	case !ok:
		return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(image)))
	case strings.HasPrefix(mapped, "sha256:"):
		return mapped
	default:
		return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(mapped)))
	}
}

// split separates an image reference into its repository and its digest, if it
// has one. The tag is dropped; a port of the registry is not a tag.
func split(image string) (repository, digest string) {
	repository, digest, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository = repository[:i]
	}
	return repository, digest
}

// Images is a list of image references in which * stands for any characters.
type Images []string

// Match tells whether an image is in the list.
func (l Images) Match(image string) bool {
	return slices.ContainsFunc(l, func(pattern string) bool { return match(pattern, image) })
}

func match(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, last)
}
