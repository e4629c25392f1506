package revision

import (
	corev1 "k8s.io/api/core/v1"
)

// defaultVolume writes out what is meant when a volume of a Pod says nothing (SetDefaults_Volume and its neighbours).
func defaultVolume(v *corev1.VolumeSource) {
	if *v == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	defaultFileVolume(v)
	defaultDiskVolume(v)
	switch {
	case v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil:
		*v.EmptyDir.SizeLimit = normalQuantity(*v.EmptyDir.SizeLimit)
	case v.Image != nil:
		orElse(&v.Image.PullPolicy, PullPolicy(v.Image.Reference))
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
		claim := &v.Ephemeral.VolumeClaimTemplate.Spec
		orPoint(&claim.VolumeMode, corev1.PersistentVolumeFilesystem)
		normalQuantities(claim.Resources.Limits)
		normalQuantities(claim.Resources.Requests)
	}
}

// defaultFileVolume is for volumes whose files Kubernetes itself writes.
func defaultFileVolume(v *corev1.VolumeSource) {
	switch {
	case v.HostPath != nil:
		orPoint(&v.HostPath.Type, corev1.HostPathUnset)
	case v.Secret != nil:
		orPoint(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	case v.ConfigMap != nil:
		orPoint(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	case v.DownwardAPI != nil:
		orPoint(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		normalFiles(v.DownwardAPI.Items)
	case v.Projected != nil:
		orPoint(&v.Projected.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
		for i := range v.Projected.Sources {
			if d := v.Projected.Sources[i].DownwardAPI; d != nil {
				normalFiles(d.Items)
			}
			if token := v.Projected.Sources[i].ServiceAccountToken; token != nil {
				orPoint(&token.ExpirationSeconds, 60*60)
			}
		}
	}
}

func normalFiles(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		defaultFieldRef(items[i].FieldRef)
		normalResourceRef(items[i].ResourceFieldRef)
	}
}

// defaultDiskVolume is for volumes of particular vendors.
func defaultDiskVolume(v *corev1.VolumeSource) {
	switch {
	case v.ISCSI != nil:
		orElse(&v.ISCSI.ISCSIInterface, "default")
	case v.RBD != nil:
		orElse(&v.RBD.RBDPool, "rbd")
		orElse(&v.RBD.RadosUser, "admin")
		orElse(&v.RBD.Keyring, "/etc/ceph/keyring")
	case v.AzureDisk != nil:
		orPoint(&v.AzureDisk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		orPoint(&v.AzureDisk.FSType, "ext4")
		orPoint(&v.AzureDisk.ReadOnly, false)
		orPoint(&v.AzureDisk.Kind, corev1.AzureSharedBlobDisk)
	case v.ScaleIO != nil:
		orElse(&v.ScaleIO.StorageMode, "ThinProvisioned")
		orElse(&v.ScaleIO.FSType, "xfs")
	}
}
