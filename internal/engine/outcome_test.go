package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/internal/testkit"
)

func TestJudge(t *testing.T) {
	pods, pod := corev1.Resource("pods"), schema.GroupKind{Kind: "Pod"}
	tests := map[string]struct {
		err   error
		want  Fate
		after time.Duration
	}{
		"acknowledged":                {nil, Done, 0},
		"not found":                   {apierrors.NewNotFound(pods, "a"), Gone, 0},
		"wrapped not found":           {fmt.Errorf("patch: %w", apierrors.NewNotFound(pods, "a")), Gone, 0},
		"conflict":                    {apierrors.NewConflict(pods, "a", errors.New("x")), Stale, 0},
		"something has that name":     {apierrors.NewAlreadyExists(pods, "a"), Exists, 0},
		"a test of the patch failed":  {testkit.DoesNotApply(errors.New("test failed")), Stale, 0},
		"the patched pod is invalid":  {apierrors.NewInvalid(pod, "a", field.ErrorList{field.Required(field.NewPath("spec"), "")}), Refused, 0},
		"forbidden":                   {apierrors.NewForbidden(pods, "a", errors.New("quota")), Refused, 0},
		"bad request":                 {apierrors.NewBadRequest("x"), Refused, 0},
		"too many requests":           {apierrors.NewTooManyRequests("x", 7), Busy, 7 * time.Second},
		"internal error":              {apierrors.NewInternalError(errors.New("x")), Broken, 0},
		"unavailable":                 {apierrors.NewServiceUnavailable("x"), Unknown, 0},
		"the server gave up waiting":  {apierrors.NewTimeoutError("x", 3), Unknown, 3 * time.Second},
		"unauthorized stops everyone": {apierrors.NewUnauthorized("x"), Unknown, 0},
		"connection lost":             {errors.New("EOF"), Unknown, 0},
		"cancelled":                   {context.Canceled, Unknown, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := Judge("7", tc.err)
			if got.Fate != tc.want || got.RetryAfter != tc.after {
				t.Errorf("fate %d, retry after %s; want %d, %s", got.Fate, got.RetryAfter, tc.want, tc.after)
			}
			if (got.Message == "") != (tc.err == nil) {
				t.Errorf("message %q", got.Message)
			}
		})
	}
}
