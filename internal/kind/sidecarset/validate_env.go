package sidecarset

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func envIsWellFormed(c container) field.ErrorList {
	var errs field.ErrorList
	for i := range c.Env {
		e, at := &c.Env[i], c.at.Child("env").Index(i)
		errs = append(errs, invalid(at.Child("name"), e.Name, validation.IsRelaxedEnvVarName(e.Name))...)
		if e.ValueFrom == nil {
			continue
		}
		if e.Value != "" {
			errs = append(errs, field.Invalid(at.Child("valueFrom"), e.Value, "value and valueFrom exclude each other"))
		}
		errs = append(errs, sourceIsValid(at.Child("valueFrom"), e.ValueFrom)...)
	}
	for i, e := range c.EnvFrom {
		errs = append(errs, envFromIsValid(c.at.Child("envFrom").Index(i), e)...)
	}
	return errs
}

func sourceIsValid(at *field.Path, from *corev1.EnvVarSource) field.ErrorList {
	errs := exactlyOne(at, "source", from.ConfigMapKeyRef != nil, from.FieldRef != nil, from.FileKeyRef != nil, from.ResourceFieldRef != nil, from.SecretKeyRef != nil)
	if r := from.FieldRef; r != nil {
		errs = append(errs, fieldIsKnown(at.Child("fieldRef"), r, "metadata.name", "metadata.namespace", "metadata.uid",
			"spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")...)
	}
	if r := from.ResourceFieldRef; r != nil {
		errs = append(errs, resourceFieldIsKnown(at.Child("resourceFieldRef"), r)...)
	}
	if r := from.SecretKeyRef; r != nil {
		errs = append(errs, keyIsValid(at.Child("secretKeyRef"), r.Name, r.Key)...)
	}
	if r := from.ConfigMapKeyRef; r != nil {
		errs = append(errs, keyIsValid(at.Child("configMapKeyRef"), r.Name, r.Key)...)
	}
	if r := from.FileKeyRef; r != nil {
		errs = append(errs, pathIsInside(at.Child("fileKeyRef", "path"), r.Path)...)
		errs = append(errs, invalid(at.Child("fileKeyRef", "key"), r.Key, validation.IsRelaxedEnvVarName(r.Key))...)
	}
	return errs
}

func envFromIsValid(at *field.Path, e corev1.EnvFromSource) field.ErrorList {
	errs := exactlyOne(at, "source", e.ConfigMapRef != nil, e.SecretRef != nil)
	if e.Prefix != "" {
		errs = append(errs, invalid(at.Child("prefix"), e.Prefix, validation.IsRelaxedEnvVarName(e.Prefix))...)
	}
	if e.ConfigMapRef != nil {
		errs = append(errs, referenceIsValid(at.Child("configMapRef", "name"), e.ConfigMapRef.Name)...)
	}
	if e.SecretRef != nil {
		errs = append(errs, referenceIsValid(at.Child("secretRef", "name"), e.SecretRef.Name)...)
	}
	return errs
}

// fieldIsKnown: one of known, or one label or annotation.
func fieldIsKnown(at *field.Path, r *corev1.ObjectFieldSelector, known ...string) field.ErrorList {
	errs := oneOf(at.Child("apiVersion"), r.APIVersion, "v1")
	at = at.Child("fieldPath")
	if slices.Contains(known, r.FieldPath) {
		return errs
	}
	which, rest, _ := strings.Cut(r.FieldPath, "['")
	key, closed := strings.CutSuffix(rest, "']")
	switch {
	case closed && which == "metadata.labels":
		return append(errs, invalid(at, r.FieldPath, validation.IsQualifiedName(key))...)
	case closed && which == "metadata.annotations":
		return append(errs, invalid(at, r.FieldPath, validation.IsQualifiedName(strings.ToLower(key)))...)
	}
	return append(errs, field.Invalid(at, r.FieldPath, "must be one of "+strings.Join(known, ", ")+", metadata.labels['<key>'], metadata.annotations['<key>']"))
}

func resourceFieldIsKnown(at *field.Path, r *corev1.ResourceFieldSelector) field.ErrorList {
	kind, name, _ := strings.Cut(r.Resource, ".")
	isHuge := strings.HasPrefix(name, corev1.ResourceHugePagesPrefix)
	if kind != "limits" && kind != "requests" || !isHuge && !isNative(name) {
		return field.ErrorList{field.Invalid(at.Child("resource"), r.Resource, "must be limits.<name> or requests.<name> of cpu, memory, ephemeral-storage or hugepages-<size>")}
	}
	divisors := []string{"0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
	if name == "cpu" {
		divisors = []string{"0", "1", "1m"}
	}
	if divisor := r.Divisor.String(); !slices.Contains(divisors, divisor) {
		return field.ErrorList{field.Invalid(at.Child("divisor"), divisor, "must be one of "+strings.Join(divisors, ", "))}
	}
	return nil
}

func keyIsValid(at *field.Path, name, key string) field.ErrorList {
	return append(referenceIsValid(at.Child("name"), name), invalid(at.Child("key"), key, validation.IsConfigMapKey(key))...)
}

// referenceIsValid: the name of a Secret or ConfigMap.
func referenceIsValid(at *field.Path, name string) field.ErrorList {
	return invalid(at, name, validation.IsDNS1123Subdomain(name))
}
