package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	admit "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// +kubebuilder:rbac:groups="",resources=podtemplates,verbs=create

// Checked is what the API server says of a PodTemplate.
type Checked struct {
	// Object is the PodTemplate with all defaults. Empty if it was refused.
	Object []byte
	// Warnings are for the user.
	Warnings []string
	// Refused says why, by paths below spec.template.
	Refused field.ErrorList
}

// Templates has the API server check PodTemplates.
type Templates interface {
	// Check creates a PodTemplate without storing it. What the API server does with fields that it does not know,
	// unknown says: Strict, Warn or Ignore.
	Check(ctx context.Context, namespace string, probe []byte, unknown string) (Checked, error)
}

// TemplatesFrom checks PodTemplates with dry runs. It needs a client of the core group.
func TemplatesFrom(core rest.Interface) Templates { return dryRuns{core} }

type dryRuns struct{ core rest.Interface }

// Check implements Templates.
func (d dryRuns) Check(ctx context.Context, namespace string, probe []byte, unknown string) (Checked, error) {
	result := d.core.Post().Namespace(namespace).Resource("podtemplates").
		VersionedParams(&metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: unknown}, scheme.ParameterCodec).
		SetHeader("Content-Type", runtime.ContentTypeJSON).SetHeader("Accept", runtime.ContentTypeJSON).
		WarningHandler(rest.NoWarnings{}). // the user gets them, not our log
		Body(probe).Do(ctx)
	data, err := result.Raw()
	if err == nil {
		checked := Checked{Object: data}
		for _, w := range result.Warnings() {
			checked.Warnings = append(checked.Warnings, ofTheCloneSet(w.Text))
		}
		return checked, nil
	}
	if refused := refusal(result.Error()); len(refused) > 0 {
		return Checked{Refused: refused}, nil
	}
	return Checked{}, fmt.Errorf("have the API server check the Pod template: %w", result.Error())
}

// refusal lists what is wrong with the template; it is empty when something else went wrong.
func refusal(err error) field.ErrorList {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return nil
	}
	answer := status.Status()
	switch {
	case answer.Reason == metav1.StatusReasonInvalid && answer.Details != nil:
		var errs field.ErrorList
		for _, cause := range answer.Details.Causes {
			kind := known(field.ErrorType(cause.Type))
			errs = append(errs, &field.Error{
				Type: kind, Field: "spec." + cause.Field, BadValue: field.OmitValueType{},
				Detail: strings.TrimPrefix(strings.TrimPrefix(cause.Message, kind.String()), ": "),
			})
		}
		return errs
	case answer.Reason == metav1.StatusReasonBadRequest:
		_, why, found := strings.Cut(answer.Message, "strict decoding error: ")
		if !found {
			why = answer.Message
		}
		return field.ErrorList{field.Invalid(field.NewPath("spec", "template"), field.OmitValueType{}, ofTheCloneSet(why))}
	// A policy of somebody else. That we may not ask is no fault of the template.
	case answer.Reason == metav1.StatusReasonForbidden && !strings.Contains(answer.Message, `cannot create resource "podtemplates"`):
		return field.ErrorList{field.Forbidden(field.NewPath("spec", "template"), answer.Message)}
	}
	return nil
}

// known is the type itself, or Invalid for one of a newer API server.
func known(kind field.ErrorType) field.ErrorType {
	switch kind {
	case field.ErrorTypeNotFound, field.ErrorTypeRequired, field.ErrorTypeDuplicate, field.ErrorTypeInvalid, field.ErrorTypeNotSupported,
		field.ErrorTypeForbidden, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeInternal, field.ErrorTypeTypeInvalid,
		field.ErrorTypeTooFew, field.ErrorTypeTooShort:
		return kind
	}
	return field.ErrorTypeInvalid
}

// ofTheCloneSet names paths of a PodTemplate as they are in a CloneSet.
func ofTheCloneSet(text string) string {
	if strings.HasPrefix(text, "template.") {
		text = "spec." + text
	}
	return strings.ReplaceAll(text, `"template.`, `"spec.template.`)
}

// onUnknownFields reads what the user wants to be done with unknown fields.
func onUnknownFields(req admit.Request) string {
	var options struct {
		FieldValidation string `json:"fieldValidation"`
	}
	if json.Unmarshal(req.Options.Raw, &options) != nil {
		return ""
	}
	return options.FieldValidation
}
