package sidecarset

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func securityIsValid(c container) field.ErrorList {
	sc, at := c.SecurityContext, c.at.Child("securityContext")
	if sc == nil {
		return nil
	}
	var errs field.ErrorList
	if sc.RunAsUser != nil {
		errs = append(errs, invalid(at.Child("runAsUser"), *sc.RunAsUser, validation.IsValidUserID(*sc.RunAsUser))...)
	}
	if sc.RunAsGroup != nil {
		errs = append(errs, invalid(at.Child("runAsGroup"), *sc.RunAsGroup, validation.IsValidGroupID(*sc.RunAsGroup))...)
	}
	if sc.ProcMount != nil {
		errs = append(errs, oneOf(at.Child("procMount"), *sc.ProcMount, corev1.DefaultProcMount, corev1.UnmaskedProcMount)...)
	}
	errs = append(errs, profilesAreValid(at, sc)...)
	return append(errs, escalationIsConsistent(at.Child("allowPrivilegeEscalation"), sc)...)
}

func profilesAreValid(at *field.Path, sc *corev1.SecurityContext) field.ErrorList {
	var errs field.ErrorList
	if p := sc.SeccompProfile; p != nil {
		at := at.Child("seccompProfile")
		errs = append(errs, profileIsValid(at, string(p.Type), p.LocalhostProfile)...)
		if p.LocalhostProfile != nil {
			errs = append(errs, pathIsInside(at.Child("localhostProfile"), *p.LocalhostProfile)...)
		}
	}
	if p := sc.AppArmorProfile; p != nil {
		at := at.Child("appArmorProfile")
		errs = append(errs, profileIsValid(at, string(p.Type), p.LocalhostProfile)...)
		if name := p.LocalhostProfile; name != nil && (*name == "" || strings.TrimSpace(*name) != *name) {
			errs = append(errs, field.Invalid(at.Child("localhostProfile"), *name, "must be a name without white space around it"))
		}
	}
	return errs
}

// profileIsValid: the types of both kinds of profiles have the same names.
func profileIsValid(at *field.Path, kind string, localhost *string) field.ErrorList {
	known := []string{string(corev1.SeccompProfileTypeLocalhost), string(corev1.SeccompProfileTypeRuntimeDefault), string(corev1.SeccompProfileTypeUnconfined)}
	if !slices.Contains(known, kind) {
		return field.ErrorList{field.NotSupported(at.Child("type"), kind, known)}
	}
	if (kind == known[0]) != (localhost != nil) {
		return field.ErrorList{field.Invalid(at.Child("localhostProfile"), kind, "must be set for type Localhost, and for no other")}
	}
	return nil
}

func escalationIsConsistent(at *field.Path, sc *corev1.SecurityContext) field.ErrorList {
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
		return nil
	}
	var errs field.ErrorList
	if isPrivileged(sc) {
		errs = append(errs, field.Invalid(at, false, "must not be false when privileged is true"))
	}
	if sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "CAP_SYS_ADMIN") {
		errs = append(errs, field.Invalid(at, false, "must not be false when CAP_SYS_ADMIN is added"))
	}
	return errs
}

func isPrivileged(sc *corev1.SecurityContext) bool {
	return sc != nil && sc.Privileged != nil && *sc.Privileged
}

// pathIsInside: relative, and without a way out.
func pathIsInside(at *field.Path, path string) field.ErrorList {
	if path == "" || strings.HasPrefix(path, "/") || strings.HasPrefix(path, "..") || climbs(path) {
		return field.ErrorList{field.Invalid(at, path, `must be a relative path without ".."`)}
	}
	return nil
}

func climbs(path string) bool { return slices.Contains(strings.Split(path, "/"), "..") }
