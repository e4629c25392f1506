package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	admit "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/imagelistpulljob"
	"github.com/outrigger-project/outrigger/internal/kind/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
)

// Paths of the webhooks of what pulls images.
const (
	ValidateNodeImagePath        = "/validate-apps-kruise-io-nodeimage"
	ValidateImagePullJobPath     = "/validate-apps-kruise-io-imagepulljob"
	ValidateImageListPullJobPath = "/validate-apps-kruise-io-imagelistpulljob"
)

// ValidateNodeImages refuses NodeImages that are wrong.
func ValidateNodeImages() http.Handler {
	return For(hubRules("NodeImage", func(ni, old *v1beta1.NodeImage) field.ErrorList { return nodeimage.Validate(ni, old) }))
}

// ValidateImagePullJobs refuses ImagePullJobs that are wrong.
func ValidateImagePullJobs() http.Handler {
	return For(hubRules("ImagePullJob", imagepulljob.Validate))
}

// ValidateImageListPullJobs refuses ImageListPullJobs that are wrong.
func ValidateImageListPullJobs() http.Handler {
	return For(hubRules("ImageListPullJob", imagelistpulljob.Validate))
}

// hubRules are those of a kind whose versions have the same structure: whatever version was sent, the API server asks with
// the hub.
func hubRules[O any, T interface {
	*O
	metav1.Object
}](kind string, validate func(object, old T) field.ErrorList) Rules[T] {
	return Rules[T]{
		Kind: schema.GroupKind{Group: v1beta1.GroupName, Kind: kind},
		Decode: func(raw []byte) (T, error) {
			object := T(new(O))
			if err := json.Unmarshal(raw, object); err != nil {
				return nil, fmt.Errorf("read %s: %w", kind, err)
			}
			return object, nil
		},
		Validate: func(_ context.Context, r Review[T]) (field.ErrorList, error) { return validate(r.Obj, r.Old), nil },
	}
}

// SwitchedOff refuses to create or change objects of a kind whose feature gate is off. What is being deleted may go.
func SwitchedOff(resource, gate string) http.Handler {
	return &admit.Webhook{Handler: admit.HandlerFunc(func(_ context.Context, r admit.Request) admit.Response {
		object := metav1.PartialObjectMetadata{}
		deleted := json.Unmarshal(r.Object.Raw, &object) == nil && object.DeletionTimestamp != nil
		if r.Operation != admissionv1.Create && r.Operation != admissionv1.Update || deleted {
			return admit.Allowed("")
		}
		what := schema.GroupResource{Group: v1beta1.GroupName, Resource: resource}
		return answer(apierrors.NewForbidden(what, r.Name, errors.New("the feature gate "+gate+" is off")))
	})}
}
