package sidecarset

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/internal/plan/wellformed"
)

func resourcesFit(c container) field.ErrorList {
	var errs field.ErrorList
	at := c.at.Child("resources")
	huge, ordinary := false, false
	for list, quantities := range map[string]corev1.ResourceList{"limits": c.Resources.Limits, "requests": c.Resources.Requests} {
		for name, quantity := range quantities {
			errs = append(errs, resourceIsValid(at.Child(list).Key(string(name)), string(name), quantity)...)
			huge = huge || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
			ordinary = ordinary || name == corev1.ResourceCPU || name == corev1.ResourceMemory
		}
	}
	if huge && !ordinary {
		errs = append(errs, field.Forbidden(at, "huge pages need cpu or memory as well"))
	}
	return wellformed.Sorted(append(errs, requestsFitLimits(at, c.Resources)...))
}

func requestsFitLimits(at *field.Path, r corev1.ResourceRequirements) field.ErrorList {
	var errs field.ErrorList
	for name, request := range r.Requests {
		limit, limited := r.Limits[name]
		at := at.Child("requests").Key(string(name))
		switch {
		case isNative(string(name)) && limited && request.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(at, request.String(), "must not be larger than the limit"))
		case !isNative(string(name)) && (!limited || request.Cmp(limit) != 0):
			errs = append(errs, field.Invalid(at, request.String(), "must equal the limit"))
		}
	}
	return errs
}

// resourceIsValid: what is not the node's own has a domain, and comes in whole pieces.
func resourceIsValid(at *field.Path, name string, quantity resource.Quantity) field.ErrorList {
	var errs field.ErrorList
	if quantity.Sign() < 0 {
		errs = append(errs, field.Invalid(at, quantity.String(), "must not be negative"))
	}
	if isNative(name) {
		return errs
	}
	if size, isHuge := strings.CutPrefix(name, corev1.ResourceHugePagesPrefix); isHuge {
		page, err := resource.ParseQuantity(size)
		if err != nil || page.Sign() <= 0 || quantity.Value()%page.Value() != 0 {
			errs = append(errs, field.Invalid(at, quantity.String(), "must be a multiple of the page size in the name"))
		}
		return errs
	}
	if !strings.Contains(name, "/") {
		return append(errs, field.Invalid(at, name, "must be cpu, memory, ephemeral-storage, hugepages-<size> or a resource with a domain such as example.com/gpu"))
	}
	errs = append(errs, invalid(at, name, validation.IsQualifiedName(name))...)
	if quantity.Cmp(*resource.NewQuantity(quantity.Value(), resource.DecimalSI)) != 0 {
		errs = append(errs, field.Invalid(at, quantity.String(), "must be a whole number"))
	}
	return errs
}

func isNative(name string) bool {
	return slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name)
}

func resizePolicyIsValid(c container) field.ErrorList {
	var errs field.ErrorList
	if c.init && len(c.ResizePolicy) > 0 {
		return field.ErrorList{field.Forbidden(c.at.Child("resizePolicy"), "must not be set for init containers")}
	}
	seen := map[corev1.ResourceName]bool{}
	for i, p := range c.ResizePolicy {
		at := c.at.Child("resizePolicy").Index(i)
		if p.ResourceName != corev1.ResourceCPU && p.ResourceName != corev1.ResourceMemory {
			errs = append(errs, field.NotSupported(at.Child("resourceName"), p.ResourceName, []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}))
		}
		if p.RestartPolicy != corev1.NotRequired && p.RestartPolicy != corev1.RestartContainer {
			errs = append(errs, field.NotSupported(at.Child("restartPolicy"), p.RestartPolicy, []corev1.ResourceResizeRestartPolicy{corev1.NotRequired, corev1.RestartContainer}))
		}
		if seen[p.ResourceName] {
			errs = append(errs, field.Duplicate(at.Child("resourceName"), p.ResourceName))
		}
		seen[p.ResourceName] = true
	}
	return errs
}
