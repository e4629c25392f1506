package engine

import (
	"context"
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Fate says what became of a write.
type Fate uint8

const (
	// Done says that the API server acknowledged it.
	Done Fate = iota
	// Gone says that the unit is not there any more.
	Gone
	// Stale says that the unit is not as it was observed; nothing was written.
	Stale
	// Exists says that there is something of the name already; nothing was created.
	Exists
	// Refused says that the API server does not accept this write to this unit; nothing was written. Others may go on.
	Refused
	// Busy says that the API server asks to wait; nothing was written. Nothing else is started.
	Busy
	// Broken says that the API server failed on this very write, which may have been committed. Nothing else is started,
	// and the unit waits before it is tried again, so that it cannot block the others for ever.
	Broken
	// Unknown says that there is no answer, so it may have been committed. Nothing else is started.
	Unknown
)

// Outcome is the fate of a write and what the API server said.
type Outcome struct {
	Fate Fate
	// Version is the unit's resourceVersion after a write that is Done, or after the one before the one that is not.
	Version string
	// Message is what a write that did not succeed got for an answer.
	Message string
	// RetryAfter is how long the API server asked to wait.
	RetryAfter time.Duration
}

// After is the outcome of two writes to one unit, of which the first was Done.
func (o Outcome) After(first Outcome) Outcome {
	if o.Version == "" {
		o.Version = first.Version
	}
	return o
}

// stops tells whether nothing more is started after such an outcome.
func (o Outcome) stops() bool { return o.Fate == Busy || o.Fate == Broken || o.Fate == Unknown }

// Judge says what an answer of the API server to a write means.
func Judge(version string, err error) Outcome {
	if err == nil {
		return Outcome{Fate: Done, Version: version}
	}
	o := Outcome{Fate: Unknown, Message: err.Error()}
	var status apierrors.APIStatus
	if !errors.As(err, &status) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return o
	}
	s := status.Status()
	if s.Details != nil {
		o.RetryAfter = time.Duration(s.Details.RetryAfterSeconds) * time.Second
	}
	o.Fate = fateOf(s)
	return o
}

func fateOf(s metav1.Status) Fate {
	if s.Reason == metav1.StatusReasonAlreadyExists {
		return Exists
	}
	switch s.Code {
	case http.StatusNotFound, http.StatusGone:
		return Gone
	case http.StatusConflict:
		return Stale
	case http.StatusTooManyRequests:
		return Busy
	case http.StatusInternalServerError:
		return Broken
	case http.StatusUnauthorized, http.StatusRequestTimeout:
		return Unknown
	}
	switch {
	case patchDoesNotApply(s):
		return Stale
	case s.Code >= 400 && s.Code < 500:
		return Refused
	}
	return Unknown
}

// patchDoesNotApply tells a test that failed from a Pod that does not validate: both are answered 422, but the
// API server names the object in the latter only (apiserver's applyJSPatch answers with an empty resource and
// leaves out which test it was, so the unit may also be gone: the next look tells).
func patchDoesNotApply(s metav1.Status) bool {
	if s.Code != http.StatusUnprocessableEntity || s.Reason != metav1.StatusReasonInvalid {
		return false
	}
	return s.Details == nil || s.Details.Kind == "" && s.Details.Name == "" && len(s.Details.Causes) == 0
}
