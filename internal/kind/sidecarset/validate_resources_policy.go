package sidecarset

import (
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject/expr"
)

// resourcesPolicyIsValid: what can be said of it without a Pod.
func resourcesPolicyIsValid(c container) field.ErrorList {
	p, at := c.ResourcesPolicy, c.at.Child("resourcesPolicy")
	if p == nil {
		return nil
	}
	var errs field.ErrorList
	if c.init && (c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways) {
		errs = append(errs, field.Forbidden(at, "only for init containers with restartPolicy Always"))
	}
	if len(c.Resources.Limits)+len(c.Resources.Requests)+len(c.Resources.Claims) > 0 {
		errs = append(errs, field.Forbidden(at, "resources and resourcesPolicy exclude each other"))
	}
	if p.TargetContainersMode == "" {
		errs = append(errs, field.Required(at.Child("targetContainersMode"), ""))
	}
	errs = append(errs, oneOf(at.Child("targetContainersMode"), p.TargetContainersMode, v1beta1.TargetContainersModeMax, v1beta1.TargetContainersModeSum)...)
	if _, err := regexp.Compile(p.TargetContainersNameRegex); err != nil {
		errs = append(errs, field.Invalid(at.Child("targetContainersNameRegex"), p.TargetContainersNameRegex, err.Error()))
	}
	return append(errs, expressionsAreValid(at.Child("resourcesExpr"), &p.ResourcesExpr)...)
}

func expressionsAreValid(at *field.Path, e *v1beta1.ResourcesExpr) field.ErrorList {
	var limits v1beta1.ResourceExprLimits
	var requests v1beta1.ResourceExprRequests
	if e.Limits != nil {
		limits = *e.Limits
	}
	if e.Requests != nil {
		requests = *e.Requests
	}
	if limits.CPU+limits.Memory+requests.CPU+requests.Memory == "" {
		return field.ErrorList{field.Required(at, "at least one expression is required")}
	}
	return append(expressionPairIsValid(at, expr.CPU, limits.CPU, requests.CPU), expressionPairIsValid(at, expr.Memory, limits.Memory, requests.Memory)...)
}

// expressionPairIsValid: both can be read, and a request that is the same in every Pod fits a limit that is.
func expressionPairIsValid(at *field.Path, of expr.Resource, limitText, requestText string) field.ErrorList {
	limit, errs := expressionIsValid(at.Child("limits", string(of)), of, limitText)
	request, others := expressionIsValid(at.Child("requests", string(of)), of, requestText)
	if limit != nil && request != nil && request.Cmp(*limit) > 0 {
		others = append(others, field.Invalid(at.Child("requests", string(of)), requestText, "must not be larger than the limit"))
	}
	return append(errs, others...)
}

// expressionIsValid returns the result too, if it is a constant.
func expressionIsValid(at *field.Path, of expr.Resource, text string) (*resource.Quantity, field.ErrorList) {
	if text == "" {
		return nil, nil
	}
	e, err := expr.Parse(of, text)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(at, text, err.Error())}
	}
	if !e.Constant() {
		return nil, nil
	}
	result, err := e.Eval(nil)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(at, text, err.Error())}
	}
	return &result, nil
}
