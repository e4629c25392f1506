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

// Rules say how objects of one kind are admitted. T is a pointer to the hub version.
type Rules[T metav1.Object] struct {
	Kind schema.GroupKind
	// Decode reads an object of any version that the webhook is registered for.
	Decode func(raw []byte) (T, error)
	// Default returns what to change in the object as it was sent (raw; obj is the same as the hub version). A
	// webhook with Default refuses nothing: what it cannot read it leaves for the schema to refuse, which says
	// it better.
	Default func(raw []byte, obj T) ([]jsonpatch.Operation, error)
	// Validate lists everything that is wrong. old is nil at creation. The error is ours, not the user's.
	Validate func(ctx context.Context, obj, old T) (field.ErrorList, error)
	// Prepare makes the cluster ready for an object that is right. It is not called for dry runs. old is nil at
	// creation.
	Prepare func(ctx context.Context, obj, old T) error
}

// For returns the handler: decode, Default, Validate, Prepare, answer. Bad input is answered with 422 and one
// cause per field; what is wrong on our side with 503, so that the caller tries again.
func For[T metav1.Object](rules Rules[T]) http.Handler {
	return &admit.Webhook{Handler: admit.HandlerFunc(rules.handle)}
}

func (r Rules[T]) handle(ctx context.Context, req admit.Request) admit.Response {
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return admit.Allowed("")
	}
	obj, err := r.Decode(req.Object.Raw)
	if r.Default != nil {
		if err != nil {
			return admit.Allowed("")
		}
		return r.defaulted(req.Object.Raw, obj)
	}
	if err != nil {
		return r.refused(req, field.ErrorList{field.Invalid(nil, req.Name, err.Error())})
	}
	if obj.GetDeletionTimestamp() != nil {
		return admit.Allowed("") // nothing but its finalizers is of interest
	}
	return r.validated(ctx, req, obj)
}

func (r Rules[T]) defaulted(raw []byte, obj T) admit.Response {
	changes, err := r.Default(raw, obj)
	if err != nil {
		return admit.Allowed("")
	}
	return admit.Patched("", changes...)
}

func (r Rules[T]) validated(ctx context.Context, req admit.Request, obj T) admit.Response {
	var old T
	if len(req.OldObject.Raw) > 0 {
		var err error
		if old, err = r.Decode(req.OldObject.Raw); err != nil {
			return unavailable(fmt.Errorf("read the stored object: %w", err))
		}
	}
	errs, err := r.Validate(ctx, obj, old)
	if err != nil {
		return unavailable(err)
	}
	if len(errs) > 0 {
		return r.refused(req, errs)
	}
	if dryRun := req.DryRun != nil && *req.DryRun; r.Prepare == nil || dryRun {
		return admit.Allowed("")
	}
	if err := r.Prepare(ctx, obj, old); err != nil {
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
