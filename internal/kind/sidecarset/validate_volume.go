package sidecarset

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumesAreValid: unique names, one source each, and that one well formed.
func volumesAreValid(s subject) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range s.set.Spec.Volumes {
		v, at := &s.set.Spec.Volumes[i], s.spec.Child("volumes").Index(i)
		errs = append(errs, invalid(at.Child("name"), v.Name, validation.IsDNS1123Label(v.Name))...)
		if seen[v.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), v.Name))
		}
		seen[v.Name] = true
		if n := sources(v.VolumeSource); n != 1 {
			errs = append(errs, field.Invalid(at, v.Name, "exactly one volume source is required"))
		}
		errs = append(errs, placeIsValid(at, v)...)
		errs = append(errs, filesAreValid(at, v)...)
		errs = append(errs, projectedIsValid(at.Child("projected"), v.Projected)...)
	}
	return errs
}

// sources counts what is set, whatever sources this version of the API has.
func sources[T any](of T) int {
	set, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&of)
	if err != nil {
		return 0
	}
	return len(set)
}

// placeIsValid is about volumes that are somewhere.
func placeIsValid(at *field.Path, v *corev1.Volume) field.ErrorList {
	var errs field.ErrorList
	if h := v.HostPath; h != nil {
		switch {
		case h.Path == "":
			errs = append(errs, field.Required(at.Child("hostPath", "path"), ""))
		case climbs(h.Path):
			errs = append(errs, field.Invalid(at.Child("hostPath", "path"), h.Path, `must not contain ".."`))
		}
		if h.Type != nil {
			errs = append(errs, oneOf(at.Child("hostPath", "type"), *h.Type, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
				corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
		}
	}
	if e := v.EmptyDir; e != nil && e.SizeLimit != nil && e.SizeLimit.Sign() < 0 {
		errs = append(errs, field.Invalid(at.Child("emptyDir", "sizeLimit"), e.SizeLimit.String(), "must not be negative"))
	}
	if p := v.PersistentVolumeClaim; p != nil && p.ClaimName == "" {
		errs = append(errs, field.Required(at.Child("persistentVolumeClaim", "claimName"), ""))
	}
	return errs
}

// filesAreValid is about volumes whose files come from the API.
func filesAreValid(at *field.Path, v *corev1.Volume) field.ErrorList {
	var errs field.ErrorList
	if c, at := v.ConfigMap, at.Child("configMap"); c != nil {
		errs = append(errs, referenceIsValid(at.Child("name"), c.Name)...)
		errs = append(errs, modeIsValid(at.Child("defaultMode"), c.DefaultMode)...)
		errs = append(errs, itemsAreValid(at, c.Items)...)
	}
	if s, at := v.Secret, at.Child("secret"); s != nil {
		errs = append(errs, referenceIsValid(at.Child("secretName"), s.SecretName)...)
		errs = append(errs, modeIsValid(at.Child("defaultMode"), s.DefaultMode)...)
		errs = append(errs, itemsAreValid(at, s.Items)...)
	}
	if d, at := v.DownwardAPI, at.Child("downwardAPI"); d != nil {
		errs = append(errs, modeIsValid(at.Child("defaultMode"), d.DefaultMode)...)
		errs = append(errs, fieldFilesAreValid(at, d.Items)...)
	}
	return errs
}

func projectedIsValid(at *field.Path, p *corev1.ProjectedVolumeSource) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := modeIsValid(at.Child("defaultMode"), p.DefaultMode)
	for i, s := range p.Sources {
		at := at.Child("sources").Index(i)
		if n := sources(s); n != 1 {
			errs = append(errs, field.Invalid(at, n, "exactly one source is required"))
		}
		errs = append(errs, projectionIsValid(at, s)...)
	}
	return errs
}

func projectionIsValid(at *field.Path, s corev1.VolumeProjection) field.ErrorList {
	var errs field.ErrorList
	if s.ConfigMap != nil {
		errs = append(errs, referenceIsValid(at.Child("configMap", "name"), s.ConfigMap.Name)...)
		errs = append(errs, itemsAreValid(at.Child("configMap"), s.ConfigMap.Items)...)
	}
	if s.Secret != nil {
		errs = append(errs, referenceIsValid(at.Child("secret", "name"), s.Secret.Name)...)
		errs = append(errs, itemsAreValid(at.Child("secret"), s.Secret.Items)...)
	}
	if s.DownwardAPI != nil {
		errs = append(errs, fieldFilesAreValid(at.Child("downwardAPI"), s.DownwardAPI.Items)...)
	}
	if t, at := s.ServiceAccountToken, at.Child("serviceAccountToken"); t != nil {
		errs = append(errs, pathIsInside(at.Child("path"), t.Path)...)
		if e := t.ExpirationSeconds; e != nil && (*e < 600 || *e > 1<<32) {
			errs = append(errs, field.Invalid(at.Child("expirationSeconds"), *e, "must be from 600 to 4294967296"))
		}
	}
	return errs
}

func itemsAreValid(at *field.Path, items []corev1.KeyToPath) field.ErrorList {
	var errs field.ErrorList
	for i, item := range items {
		at := at.Child("items").Index(i)
		errs = append(errs, invalid(at.Child("key"), item.Key, validation.IsConfigMapKey(item.Key))...)
		errs = append(errs, pathIsInside(at.Child("path"), item.Path)...)
		errs = append(errs, modeIsValid(at.Child("mode"), item.Mode)...)
	}
	return errs
}

func fieldFilesAreValid(at *field.Path, items []corev1.DownwardAPIVolumeFile) field.ErrorList {
	var errs field.ErrorList
	for i, item := range items {
		at := at.Child("items").Index(i)
		errs = append(errs, pathIsInside(at.Child("path"), item.Path)...)
		errs = append(errs, modeIsValid(at.Child("mode"), item.Mode)...)
		errs = append(errs, exactlyOne(at, "source", item.FieldRef != nil, item.ResourceFieldRef != nil)...)
		if item.FieldRef != nil {
			errs = append(errs, fieldIsKnown(at.Child("fieldRef"), item.FieldRef, "metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations")...)
		}
		if r := item.ResourceFieldRef; r != nil {
			errs = append(errs, resourceFieldIsKnown(at.Child("resourceFieldRef"), r)...)
			if r.ContainerName == "" {
				errs = append(errs, field.Required(at.Child("resourceFieldRef", "containerName"), ""))
			}
		}
	}
	return errs
}

func modeIsValid(at *field.Path, mode *int32) field.ErrorList {
	if mode == nil || *mode >= 0 && *mode <= 0o777 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *mode, "must be from 0 to 0777 octal (511)")}
}

func pullSecretsAreNamed(s subject) field.ErrorList {
	var errs field.ErrorList
	for i, secret := range s.set.Spec.ImagePullSecrets {
		errs = append(errs, referenceIsValid(s.spec.Child("imagePullSecrets").Index(i).Child("name"), secret.Name)...)
	}
	return errs
}
