package images

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// errDeadline is OpenKruise's message.
var errDeadline = errors.New("pulling exceeds the activeDeadlineSeconds")

// fetch pulls an image, with pauses between its tries, and returns its name and ID. It gives up when ctx ends.
func fetch(ctx context.Context, rt Runtime, want *nodeimage.Pull) (id string, err error) {
	if !want.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, want.Deadline, errDeadline)
		defer cancel()
	}
	for tried := 1; ; tried++ {
		if id, err = try(ctx, rt, want); err == nil {
			return id, nil
		}
		if context.Cause(ctx) == errDeadline { //nolint:errorlint // it is the very one
			return "", fmt.Errorf("%w; try %d: %w", errDeadline, tried, err)
		}
		if tried >= want.Limits.Tries || ctx.Err() != nil {
			break
		}
		pause(ctx, image.Pause(tried))
	}
	if want.Limits.Tries > 1 {
		return "", fmt.Errorf("%d tries have failed, the last one: %w", want.Limits.Tries, err)
	}
	return "", err
}

// try pulls once, unless the image is there and that is enough.
func try(ctx context.Context, rt Runtime, want *nodeimage.Pull) (id string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, want.Limits.Timeout, fmt.Errorf("it was not pulled within timeoutSeconds (%s)", want.Limits.Timeout))
	defer cancel()
	ref := want.Ref.String()
	if !want.Always {
		id, present, err := rt.Image(ctx, ref)
		if err != nil {
			return "", because(ctx, err)
		}
		if present {
			return want.Ref.Name + "@" + id, nil
		}
	}
	var sandbox *cri.Sandbox
	if s := want.Sandbox; s != nil {
		sandbox = &cri.Sandbox{Labels: s.Labels, Annotations: s.Annotations}
	}
	if id, err = rt.Pull(ctx, ref, sandbox); err != nil {
		return "", because(ctx, err)
	}
	return want.Ref.Name + "@" + id, nil
}

// because says that it was the time-out, where it was.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
