// Package image answers what an image is called: how a reference as users write it splits into the name and the tag that
// a NodeImage lists, which entry of a NodeImage is about it, how long its pull may take, and what is wrong with the part
// that jobs which pull images have in common.
//
// Whether and when something is pulled is decided in internal/kind. Start at Parse.
package image

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Ref is an image as NodeImages list it.
type Ref struct {
	// Name is complete and has no tag: docker.io/library/nginx.
	Name string
	// Tag is a tag, or a digest: sha256:….
	Tag string
}

// Parse reads a reference as users write it. Without a tag and a digest, the tag is latest; with both, the digest decides,
// as it does for a Pod.
func Parse(text string) (Ref, error) {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return Ref{}, fmt.Errorf("%q does not name an image: %w", text, err)
	}
	switch r := reference.TagNameOnly(named).(type) {
	case reference.Digested:
		return Ref{named.Name(), r.Digest().String()}, nil
	case reference.Tagged:
		return Ref{named.Name(), r.Tag()}, nil
	}
	return Ref{}, fmt.Errorf("%q does not name an image: it has neither a tag nor a digest", text)
}

// Check tells what is wrong with a name and a tag of a NodeImage.
func Check(r Ref) error {
	parsed, err := Parse(r.String())
	if err != nil {
		return err
	}
	if parsed != r {
		return errors.New("must be the complete name of an image, such as " + parsed.Name)
	}
	return nil
}

// String is the reference that a container runtime takes.
func (r Ref) String() string {
	if strings.Contains(r.Tag, ":") {
		return r.Name + "@" + r.Tag
	}
	return r.Name + ":" + r.Tag
}

// Pointer is the image's name in a JSON pointer (RFC 6901).
func (r Ref) Pointer() string {
	return strings.ReplaceAll(strings.ReplaceAll(r.Name, "~", "~0"), "/", "~1")
}

// Wanted is what a NodeImage says is wanted of an image; nil: nothing.
func (r Ref) Wanted(spec *v1beta1.NodeImageSpec) *v1beta1.ImageTagSpec {
	tags := spec.Images[r.Name].Tags
	i := slices.IndexFunc(tags, func(t v1beta1.ImageTagSpec) bool { return t.Tag == r.Tag })
	if i < 0 {
		return nil
	}
	return &tags[i]
}

// Told is what a NodeImage tells of an image; nil: nothing.
func (r Ref) Told(status *v1beta1.NodeImageStatus) *v1beta1.ImageTagStatus {
	tags := status.ImageStatuses[r.Name].Tags
	i := slices.IndexFunc(tags, func(t v1beta1.ImageTagStatus) bool { return t.Tag == r.Tag })
	if i < 0 {
		return nil
	}
	return &tags[i]
}

// Finished tells whether a pull has ended, well or not.
func Finished(phase v1beta1.ImagePullPhase) bool {
	return phase == v1beta1.ImagePhaseSucceeded || phase == v1beta1.ImagePhaseFailed
}

// The defaults of a pull policy.
const (
	DefaultTimeout = 600 * time.Second
	DefaultBackoff = 3

	longestPause = 30 * time.Second
)

// Limits of a pull on one node.
type Limits struct {
	// Timeout is how long one try may take, Tries how many there may be.
	Timeout time.Duration
	Tries   int
}

// LimitsOf reads a pull policy.
func LimitsOf(timeoutSeconds, backoffLimit *int32) Limits {
	l := Limits{Timeout: DefaultTimeout, Tries: DefaultBackoff + 1}
	if timeoutSeconds != nil {
		l.Timeout = time.Duration(*timeoutSeconds) * time.Second
	}
	if backoffLimit != nil {
		l.Tries = int(*backoffLimit) + 1
	}
	return l
}

// TagLimits reads the pull policy of a tag.
func TagLimits(p *v1beta1.ImageTagPullPolicy) Limits {
	if p == nil {
		return LimitsOf(nil, nil)
	}
	return LimitsOf(p.TimeoutSeconds, p.BackoffLimit)
}

// Longest is how long all tries may take with the pauses between them.
func (l Limits) Longest() time.Duration {
	all := time.Duration(l.Tries) * l.Timeout
	for try := 1; try < l.Tries; try++ {
		all += Pause(try)
	}
	return all
}

// Pause is how long to wait after so many tries have failed: 1 s, 2 s, 4 s, up to 30 s.
func Pause(failed int) time.Duration {
	if failed > 5 {
		return longestPause
	}
	return min(longestPause, time.Second<<max(0, failed-1))
}

// Compare orders by name, then tag.
func (r Ref) Compare(other Ref) int {
	return cmp.Or(cmp.Compare(r.Name, other.Name), cmp.Compare(r.Tag, other.Tag))
}
