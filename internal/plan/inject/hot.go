package inject

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// hot is a container of a hot upgrade: two containers in the Pod, of which the first works and the second is idle
// (inplace.Pair says how that goes on).
type hot struct {
	// name and working are JSON strings.
	name, working []byte
	// versions are the annotations of both.
	versions []element
}

func isHot(c *v1beta1.SidecarContainer) bool {
	return c.UpgradeStrategy.UpgradeType == v1beta1.HotUpgrade
}

// namesInPod are the names of the containers that a sidecar is in a Pod.
func namesInPod(c *v1beta1.SidecarContainer) []string {
	if !isHot(c) {
		return []string{c.Name}
	}
	names := inplace.HotNames(c.Name)
	return names[:]
}

// variants returns the core containers that a sidecar is in a Pod: itself, or the two of a hot upgrade, which are the
// same but for name, image and the two variables that tell them about each other.
func (s *Set) variants(c *v1beta1.SidecarContainer) []*corev1.Container {
	if !isHot(c) {
		return []*corev1.Container{c.Container.DeepCopy()}
	}
	names := namesInPod(c)
	first, second := variant(c, names[0], c.Image), variant(c, names[1], c.UpgradeStrategy.HotUpgradeEmptyImage)
	s.hot = append(s.hot, hot{
		name: appendQuoted(nil, []byte(c.Name)), working: appendQuoted(nil, []byte(names[0])),
		versions: []element{
			{v1beta1.SidecarSetVersionAnnotationPrefix + names[0], []byte("1")},
			{v1beta1.SidecarSetVersionAltAnnotationPrefix + names[0], []byte(inplace.Idle)},
			{v1beta1.SidecarSetVersionAnnotationPrefix + names[1], []byte(inplace.Idle)},
			{v1beta1.SidecarSetVersionAltAnnotationPrefix + names[1], []byte("1")},
		},
	})
	return []*corev1.Container{first, second}
}

func variant(c *v1beta1.SidecarContainer, name, image string) *corev1.Container {
	own := c.Container.DeepCopy()
	own.Name, own.Image = name, image
	theirs := slices.DeleteFunc(own.Env, func(e corev1.EnvVar) bool {
		return e.Name == v1beta1.SidecarSetVersionEnv || e.Name == v1beta1.SidecarSetVersionAltEnv
	})
	own.Env = nil // ours stand first, so that the others can refer to them
	for _, e := range [...]struct{ name, prefix string }{
		{v1beta1.SidecarSetVersionEnv, v1beta1.SidecarSetVersionAnnotationPrefix},
		{v1beta1.SidecarSetVersionAltEnv, v1beta1.SidecarSetVersionAltAnnotationPrefix},
	} {
		path := "metadata.annotations['" + e.prefix + name + "']"
		own.Env = append(own.Env, corev1.EnvVar{Name: e.name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
		}})
	}
	own.Env = append(own.Env, theirs...)
	return own
}

// hotAnnotations returns which containers work, and the versions of all containers of hot upgrades.
func hotAnnotations(annotations jsonview.Value, sets []*Set) ([]element, error) {
	var list, works []element
	for _, s := range sets {
		for _, h := range s.hot {
			works = append(works, element{string(h.name), h.working})
			list = append(list, h.versions...)
		}
	}
	if len(works) == 0 {
		return nil, nil
	}
	const key = v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation
	if text := annotations.Get(key).Text(); text != "" {
		earlier, err := jsonview.Parse([]byte(text))
		if err != nil || !earlier.IsObject() {
			return nil, fmt.Errorf("metadata.annotations[%s]: must be a JSON object from container to container, got %s", key, shortened(text))
		}
		for name, container := range earlier.Fields() {
			if !slices.ContainsFunc(works, func(e element) bool { return e.name == string(name) }) {
				works = append(works, element{string(name), container})
			}
		}
	}
	slices.SortFunc(works, func(a, b element) int { return cmp.Compare(a.name, b.name) })
	value := []byte("{")
	for i, e := range works {
		if i > 0 {
			value = append(value, ',')
		}
		value = append(append(append(value, e.name...), ':'), e.raw...)
	}
	return append([]element{{key, append(value, '}')}}, list...), nil
}
