package inplace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// refer notes which containers refer to the metadata that changes, and tells why a new Pod is needed for it.
func (d *Difference) refer(spec *corev1.PodSpec, able Able) string {
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if refs := d.refsOf(c); len(refs) > 0 && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			return staleEnvironment(c, refs[0], "no init container is started anew in place")
		}
	}
	place := map[string]int{}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		place[c.Name] = i
		refs := d.refsOf(c)
		if len(refs) == 0 {
			continue
		}
		at := slices.IndexFunc(d.Images, func(image ContainerImage) bool { return image.Name == c.Name })
		if at >= 0 {
			d.Images[at].Environment, d.Images[at].Refs = true, refs
			continue
		}
		if why := staysAsItIs(spec, c, able); why != "" {
			return staleEnvironment(c, refs[0], why)
		}
		d.Images = append(d.Images, ContainerImage{Name: c.Name, Environment: true, Refs: refs})
	}
	slices.SortFunc(d.Images, func(a, b ContainerImage) int { return cmp.Compare(place[a.Name], place[b.Name]) })
	return ""
}

func staleEnvironment(c *corev1.Container, ref Ref, why string) string {
	return fmt.Sprintf("template.%s differs, which the environment of container %s refers to: %s", ref, c.Name, why)
}

// staysAsItIs tells why nobody starts a container anew whose image stays; empty if a node agent does.
func staysAsItIs(spec *corev1.PodSpec, c *corev1.Container, able Able) string {
	policy := cmp.Or(spec.RestartPolicy, corev1.RestartPolicyAlways)
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	hook := (*corev1.HTTPGetAction)(nil)
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		hook = c.Lifecycle.PreStop.HTTPGet
	}
	switch {
	case !able.Renew:
		return "it gets a new one in place only together with a new image, as the feature gate InPlaceUpdateEnvFromMetadata or KruiseDaemon is off"
	case policy != corev1.RestartPolicyAlways:
		return fmt.Sprintf("its restartPolicy is %s, so kubelet does not start it anew", policy)
	case hook != nil && (hook.Host != "" || spec.HostNetwork):
		return "its preStop hook calls something else than the Pod's own address, which no node agent does"
	}
	return ""
}

// Renews tells of the first container that starts anew although its image stays, for which it takes a node agent; false if
// there is none.
func (d Difference) Renews() (ContainerImage, bool) {
	i := slices.IndexFunc(d.Images, func(image ContainerImage) bool { return image.To == "" })
	if i < 0 {
		return ContainerImage{}, false
	}
	return d.Images[i], true
}

// RefersToMetadata tells whether the environment of a container refers to labels or annotations.
func RefersToMetadata(spec *corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Env, func(env corev1.EnvVar) bool { _, is := refOf(&env); return is })
	})
}

// refsOf returns which of the metadata that changes a container's environment refers to.
func (d *Difference) refsOf(c *corev1.Container) (refs []Ref) {
	for i := range c.Env {
		if ref, is := refOf(&c.Env[i]); is && d.changes(ref) {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(refs)
}

// refOf is what a variable refers to; false if it is no label or annotation. SIDECARSET_VERSION and its like change with
// every hot upgrade, and are read from elsewhere (docs of SidecarSets).
func refOf(env *corev1.EnvVar) (Ref, bool) {
	if env.Name == "SIDECARSET_VERSION" || env.Name == "SIDECARSET_VERSION_ALT" || env.ValueFrom == nil || env.ValueFrom.FieldRef == nil {
		return Ref{}, false
	}
	path := env.ValueFrom.FieldRef.FieldPath
	key, isLabel := quotedIn(path, "metadata.labels['")
	if !isLabel {
		key, _ = quotedIn(path, "metadata.annotations['")
	}
	return Ref{Annotation: !isLabel, Key: key}, key != ""
}

func quotedIn(path, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}
