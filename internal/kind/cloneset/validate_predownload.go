package cloneset

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// preDownloadField is a field about the pre-download of images, and v1alpha1's annotation for it.
type preDownloadField struct {
	name, annotation string
	value            *int32
	least            int32
}

func preDownloadFields(set *v1beta1.CloneSet) []preDownloadField {
	s := &set.Spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy
	return []preDownloadField{
		{"imagePreDownloadParallelism", v1beta1.ImagePreDownloadParallelismAnnotation, s.ImagePreDownloadParallelism, 1},
		{"imagePreDownloadTimeoutSeconds", v1beta1.ImagePreDownloadTimeoutSecondsAnnotation, s.ImagePreDownloadTimeoutSeconds, 1},
		{"imagePreDownloadMinUpdatedReadyPods", v1beta1.ImagePreDownloadMinUpdatedReadyPodsAnnotation, s.ImagePreDownloadMinUpdatedReadyPods, 0},
	}
}

// preDownloadIsValid: conversion makes fields of v1alpha1's annotations, and leaves those that are no numbers as they are.
// What is stored already, by OpenKruise, stays: it has the default.
func preDownloadIsValid(s subject) field.ErrorList {
	_, at := s.rolling()
	var errs field.ErrorList
	for _, f := range preDownloadFields(s.set) {
		if f.value != nil && *f.value < f.least {
			errs = append(errs, field.Invalid(at.Child("inPlaceUpdateStrategy", f.name), *f.value, fmt.Sprintf("must be at least %d", f.least)))
		}
		text, annotated := s.set.Annotations[f.annotation]
		if !annotated || s.old != nil && s.old.Annotations[f.annotation] == text {
			continue
		}
		errs = append(errs, field.Invalid(field.NewPath("metadata", "annotations").Key(f.annotation), text, "must be a whole number"))
	}
	return errs
}

// Idle are warnings about fields that do nothing here: preDownload tells whether images are pre-downloaded.
func Idle(set *v1beta1.CloneSet, preDownload bool) (warnings []string) {
	if preDownload {
		return nil
	}
	for _, f := range preDownloadFields(set) {
		if _, annotated := set.Annotations[f.annotation]; annotated || f.value != nil {
			warnings = append(warnings, fmt.Sprintf("spec.updateStrategy.rollingUpdate.inPlaceUpdateStrategy.%s does nothing: "+
				"the feature gate PreDownloadImageForInPlaceUpdate is off", f.name))
		}
	}
	return warnings
}
