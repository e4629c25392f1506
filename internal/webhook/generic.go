package webhook

import (
	"context"
	"fmt"
	"net/http"

	jsonpatch "gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	admit "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Review is one question of the API server. T is a pointer to the hub version.
type Review[T metav1.Object] struct {
	admit.Request
	Obj T
	// Old is nil at creation.
	Old T
}

// Change is what a mutating webhook answers.
type Change struct {
	Operations []jsonpatch.Operation
	// Warnings are shown to the user.
	Warnings []string
	// Refused lists what only the object as it was sent tells to be wrong.
	Refused field.ErrorList
}

// Rules say how objects of one kind are admitted. T is a pointer to the hub version.
type Rules[T metav1.Object] struct {
	Kind schema.GroupKind
	// Decode reads an object of any version that the webhook is registered for.
	Decode func(raw []byte) (T, error)
	// Default returns what to change in the object as it was sent. What it cannot read it
	// leaves for the schema to refuse, which says it better, and all that can be told later for Validate.
	Default func(ctx context.Context, r Review[T]) (Change, error)
	// Validate lists everything that is wrong. The error is ours, not the user's.
	Validate func(ctx context.Context, r Review[T]) (field.ErrorList, error)
	// Prepare makes the cluster ready for an object that is right. It is not called for dry runs.
	Prepare func(ctx context.Context, r Review[T]) error
}

// For returns the handler: decode, Default, Validate, Prepare, answer. Bad input is answered with 422 and one
// cause per field; what is wrong on our side with 503, so that the caller tries again.
func For[T metav1.Object](rules Rules[T]) http.Handler {
	return &admit.Webhook{Handler: admit.HandlerFunc(rules.handle)}
}

// LeaveAlone returns a handler that admits everything as it is.
func LeaveAlone() http.Handler {
	return &admit.Webhook{Handler: admit.HandlerFunc(func(context.Context, admit.Request) admit.Response { return admit.Allowed("") })}
}

func (r Rules[T]) handle(ctx context.Context, req admit.Request) admit.Response {
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return admit.Allowed("")
	}
	review := Review[T]{Request: req}
	var err, oldErr error
	review.Obj, err = r.Decode(req.Object.Raw)
	if len(req.OldObject.Raw) > 0 {
		review.Old, oldErr = r.Decode(req.OldObject.Raw)
	}
	switch {
	case r.Default != nil && (err != nil || oldErr != nil):
		return admit.Allowed("")
	case r.Default != nil:
		return r.defaulted(ctx, review)
	case err != nil:
		return r.refused(req, field.ErrorList{field.Invalid(nil, req.Name, err.Error())})
	case review.Obj.GetDeletionTimestamp() != nil:
		return admit.Allowed("") // nothing but its finalizers is of interest
	case oldErr != nil:
		return unavailable(fmt.Errorf("read the stored object: %w", oldErr))
	}
	return r.validated(ctx, review)
}

func (r Rules[T]) defaulted(ctx context.Context, review Review[T]) admit.Response {
	change, err := r.Default(ctx, review)
	if err != nil {
		return admit.Allowed("")
	}
	if len(change.Refused) > 0 {
		return r.refused(review.Request, change.Refused)
	}
	return admit.Patched("", change.Operations...).WithWarnings(change.Warnings...)
}

func (r Rules[T]) validated(ctx context.Context, review Review[T]) admit.Response {
	errs, err := r.Validate(ctx, review)
	if err != nil {
		return unavailable(err)
	}
	if len(errs) > 0 {
		return r.refused(review.Request, errs)
	}
	if dryRun := review.DryRun != nil && *review.DryRun; r.Prepare == nil || dryRun {
		return admit.Allowed("")
	}
	if err := r.Prepare(ctx, review); err != nil {
		return unavailable(err)
	}
	return admit.Allowed("")
}

func (r Rules[T]) refused(req admit.Request, errs field.ErrorList) admit.Response {
	return answer(apierrors.NewInvalid(r.Kind, req.Name, errs))
}

func unavailable(err error) admit.Response {
	return answer(apierrors.NewServiceUnavailable(err.Error()))
}

func answer(err *apierrors.StatusError) admit.Response {
	status := err.Status()
	return admit.Response{AdmissionResponse: admissionv1.AdmissionResponse{Allowed: false, Result: &status}}
}
