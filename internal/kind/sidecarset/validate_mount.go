package sidecarset

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// mountsAreUnique: two mounts, or a mount and a device, cannot be at the same path.
func mountsAreUnique(c container) field.ErrorList {
	var errs field.ErrorList
	taken := map[string]bool{}
	add := func(at *field.Path, p string) {
		switch {
		case p == "":
			errs = append(errs, field.Required(at, ""))
		case taken[path.Clean(p)]:
			errs = append(errs, field.Invalid(at, p, "must be unique among mountPath and devicePath"))
		}
		taken[path.Clean(p)] = true
	}
	for i := range c.VolumeMounts {
		add(c.at.Child("volumeMounts").Index(i).Child("mountPath"), c.VolumeMounts[i].MountPath)
	}
	for i := range c.VolumeDevices {
		add(c.at.Child("volumeDevices").Index(i).Child("devicePath"), c.VolumeDevices[i].DevicePath)
	}
	return errs
}

func mountsHaveVolumes(c container) field.ErrorList {
	var errs field.ErrorList
	known := map[string]bool{}
	for i := range c.volumes {
		known[c.volumes[i].Name] = true
	}
	for i, m := range c.VolumeMounts {
		if !known[m.Name] {
			errs = append(errs, field.NotFound(c.at.Child("volumeMounts").Index(i).Child("name"), m.Name))
		}
	}
	for i, d := range c.VolumeDevices {
		if !known[d.Name] {
			errs = append(errs, field.NotFound(c.at.Child("volumeDevices").Index(i).Child("name"), d.Name))
		}
	}
	return errs
}

func mountsAreValid(c container) field.ErrorList {
	var errs field.ErrorList
	for i := range c.VolumeMounts {
		m, at := &c.VolumeMounts[i], c.at.Child("volumeMounts").Index(i)
		if m.SubPath != "" && m.SubPathExpr != "" {
			errs = append(errs, field.Invalid(at.Child("subPathExpr"), m.SubPathExpr, "subPath and subPathExpr exclude each other"))
		}
		errs = append(errs, subPathIsInside(at.Child("subPath"), m.SubPath)...)
		errs = append(errs, subPathIsInside(at.Child("subPathExpr"), m.SubPathExpr)...)
		errs = append(errs, mountOptionsAreValid(at, m, c.SecurityContext)...)
	}
	return errs
}

// subPathIsInside: unlike an item's path it may begin with two dots, if they are part of a name.
func subPathIsInside(at *field.Path, p string) field.ErrorList {
	if strings.HasPrefix(p, "/") || climbs(p) {
		return field.ErrorList{field.Invalid(at, p, `must be a relative path without ".."`)}
	}
	return nil
}

func mountOptionsAreValid(at *field.Path, m *corev1.VolumeMount, sc *corev1.SecurityContext) field.ErrorList {
	propagation := corev1.MountPropagationNone
	if m.MountPropagation != nil {
		propagation = *m.MountPropagation
	}
	errs := oneOf(at.Child("mountPropagation"), propagation, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
	if propagation == corev1.MountPropagationBidirectional && !isPrivileged(sc) {
		errs = append(errs, field.Forbidden(at.Child("mountPropagation"), "Bidirectional is only for privileged containers"))
	}
	if r, at := m.RecursiveReadOnly, at.Child("recursiveReadOnly"); r != nil {
		errs = append(errs, oneOf(at, *r, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)...)
		if *r != corev1.RecursiveReadOnlyDisabled && (!m.ReadOnly || propagation != corev1.MountPropagationNone) {
			errs = append(errs, field.Invalid(at, *r, "needs readOnly true and mountPropagation None"))
		}
	}
	return errs
}

// devicesAreBlocks: only claims can be devices, and a volume is either mounted or one device.
func devicesAreBlocks(c container) field.ErrorList {
	var errs field.ErrorList
	blocks, mounted := map[string]bool{}, map[string]bool{}
	for i := range c.volumes {
		v := &c.volumes[i]
		blocks[v.Name] = v.PersistentVolumeClaim != nil || v.Ephemeral != nil
	}
	for i := range c.VolumeMounts {
		mounted[c.VolumeMounts[i].Name] = true
	}
	seen := map[string]bool{}
	for i, d := range c.VolumeDevices {
		at := c.at.Child("volumeDevices").Index(i)
		if block, known := blocks[d.Name]; known && !block {
			errs = append(errs, field.Invalid(at.Child("name"), d.Name, "must be a persistentVolumeClaim or ephemeral volume"))
		}
		if seen[d.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), d.Name))
		}
		seen[d.Name] = true
		if mounted[d.Name] {
			errs = append(errs, field.Invalid(at.Child("name"), d.Name, "must not be mounted as well"))
		}
		if climbs(d.DevicePath) {
			errs = append(errs, field.Invalid(at.Child("devicePath"), d.DevicePath, `must not contain ".."`))
		}
	}
	return errs
}
