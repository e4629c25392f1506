package sidecarset

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Two SidecarSets that may select the same Pod are in conflict where both claim the same:
//
//	a name of a container          breaks   a Pod has each name once; of HotUpgrade also name-1 and name-2
//	a volume, defined otherwise    breaks   the Pod gets one of the two definitions
//	an annotation, overwritten     breaks   the Pod would have the one or the other after every update
//	a port of the host             breaks   the API server refuses such a Pod
//	a port                         risky    containers share the Pod's addresses, so only one can listen; but a
//	                                        containerPort is only said, and what is said need not be so
//	files, written to              risky    the same host directory or claim behind volumes of different names: who
//	                                        shares files on purpose does so by one volume of one name
//	a source of transferEnv that   risky    injected containers are no source: the variables would be missing
//	the other set injects
//
// Mount paths and variables are a container's own, and pull secrets add up: they cannot be in conflict.

// claim is something that a SidecarSet wants of a Pod.
type claim struct {
	// key is what it is about: claims with different keys have nothing to do with each other.
	key string
	// share, if not empty, allows others whose claim says the same.
	share  string
	at     *field.Path
	value  any
	breaks bool
	// why is Conflict.Why, with %s for the other set.
	why string
}

// excludes tells whether two claims of one key are in conflict.
func (c *claim) excludes(o *claim) bool { return c.share == "" || c.share != o.share }

// claimsOf lists what a set claims, in the order of the fields.
func claimsOf(set *v1beta1.SidecarSet) []claim {
	var all []claim
	for _, c := range containersOf(set) {
		all = append(all, nameClaims(c)...)
		all = append(all, portClaims(c)...)
		all = append(all, sourceClaims(c)...)
	}
	for i := range set.Spec.Volumes {
		all = append(all, volumeClaim(&set.Spec.Volumes[i], field.NewPath("spec", "volumes").Index(i)))
	}
	all = append(all, fileClaims(set)...)
	return append(all, annotationClaims(set)...)
}

// namesInPod are the names that a sidecar takes in a Pod. Of a HotUpgrade sidecar these are the two that it becomes;
// its own stands in the Pod's annotations, which name the one of the two that works.
func namesInPod(c *v1beta1.SidecarContainer) []string {
	if c.UpgradeStrategy.UpgradeType == v1beta1.HotUpgrade {
		return []string{c.Name, c.Name + "-1", c.Name + "-2"}
	}
	return []string{c.Name}
}

func nameClaims(c container) []claim {
	var all []claim
	for _, name := range namesInPod(c.SidecarContainer) {
		why := "is used by SidecarSet %s as well"
		if name != c.Name {
			why = "becomes two containers (HotUpgrade), of which " + name + " " + why
		}
		all = append(all,
			claim{key: "name " + name, at: c.at.Child("name"), value: c.Name, breaks: true, why: why},
			claim{key: "source " + name, share: "injected", at: c.at.Child("name"), value: c.Name, why: "takes the place of the container that SidecarSet %s transfers variables from"})
	}
	return all
}

// runsAlong tells whether a container runs beside the others; init containers end before these begin.
func (c container) runsAlong() bool {
	return !c.init || c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func portClaims(c container) []claim {
	if !c.runsAlong() {
		return nil
	}
	var all []claim
	for i, p := range c.Ports {
		at, protocol := c.at.Child("ports").Index(i), cmp.Or(p.Protocol, corev1.ProtocolTCP)
		if p.HostPort != 0 {
			all = append(all, claim{
				key: "hostPort " + hostPort(p), at: at.Child("hostPort"), value: p.HostPort, breaks: true,
				why: "is used by SidecarSet %s as well",
			})
		}
		all = append(all, claim{
			key: fmt.Sprintf("port %d/%s", p.ContainerPort, protocol), at: at.Child("containerPort"), value: p.ContainerPort,
			why: "is a port of SidecarSet %s as well: only one container of a Pod can listen on it",
		})
	}
	return all
}

// hostPort is what one port takes of the host. No address, 0.0.0.0 and :: are all addresses.
func hostPort(p corev1.ContainerPort) string {
	ip := p.HostIP
	if ip == "0.0.0.0" || ip == "::" {
		ip = ""
	}
	return fmt.Sprintf("%d/%s/%s", p.HostPort, cmp.Or(p.Protocol, corev1.ProtocolTCP), ip)
}

func sourceClaims(c container) []claim {
	var all []claim
	for i, t := range c.TransferEnv {
		if t.SourceContainerName != "" {
			all = append(all, claim{
				key: "source " + t.SourceContainerName, share: "read", at: c.at.Child("transferEnv").Index(i).Child("sourceContainerName"), value: t.SourceContainerName,
				why: "is injected by SidecarSet %s, and variables are transferred from the Pod's own containers only",
			})
		}
	}
	return all
}

func volumeClaim(v *corev1.Volume, at *field.Path) claim {
	definition, err := json.Marshal(v)
	if err != nil {
		definition = nil // then it is like no other
	}
	return claim{
		key: "volume " + v.Name, share: string(definition), at: at.Child("name"), value: v.Name, breaks: true,
		why: "with another definition is used by SidecarSet %s as well",
	}
}

// fileClaims are on the files behind volumes that a sidecar may write to.
func fileClaims(set *v1beta1.SidecarSet) []claim {
	var all []claim
	for i := range set.Spec.Volumes {
		v, at := &set.Spec.Volumes[i], field.NewPath("spec", "volumes").Index(i)
		c := claim{share: "volume " + v.Name, why: "is written to by SidecarSet %s as well, through a volume of another name"}
		switch {
		case !isWritten(set, v.Name):
			continue
		case v.HostPath != nil && holdsFiles(v.HostPath):
			c.key, c.at, c.value = "files "+path.Clean(v.HostPath.Path), at.Child("hostPath", "path"), v.HostPath.Path
		case v.PersistentVolumeClaim != nil && !v.PersistentVolumeClaim.ReadOnly:
			c.key, c.at, c.value = "claim "+v.PersistentVolumeClaim.ClaimName, at.Child("persistentVolumeClaim", "claimName"), v.PersistentVolumeClaim.ClaimName
		default:
			continue
		}
		all = append(all, c)
	}
	return all
}

func isWritten(set *v1beta1.SidecarSet, volume string) bool {
	writes := func(m corev1.VolumeMount) bool { return m.Name == volume && !m.ReadOnly }
	return slices.ContainsFunc(containersOf(set), func(c container) bool {
		return slices.ContainsFunc(c.VolumeMounts, writes)
	})
}

// holdsFiles leaves out sockets, devices and what the kernel shows as files: there is no harm in using them together.
func holdsFiles(h *corev1.HostPathVolumeSource) bool {
	if h.Type != nil && slices.Contains([]corev1.HostPathType{corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev}, *h.Type) {
		return false
	}
	root, _, _ := strings.Cut(strings.TrimPrefix(path.Clean(h.Path), "/"), "/")
	return !slices.Contains([]string{"dev", "proc", "sys"}, root)
}
