package kept

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// marks are what results of probes left in a Pod, or could run into.
type marks struct {
	probe.Own
	annotations []keptAnnotation
	// conditions of other types than those of Kubernetes and OpenKruise, whosever they are.
	conditions []ownCondition
}

type ownCondition struct{ kind, status, message string }

// marksOf is nil if there is nothing to keep.
func marksOf(pod *corev1.Pod) *marks {
	m := marks{Own: probe.OwnOf(pod.ManagedFields)}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; !slices.Contains(probe.Reserved(), string(c.Type)) {
			m.conditions = append(m.conditions, ownCondition{One(string(c.Type)), One(string(c.Status)), One(c.Message)})
		}
	}
	for _, key := range m.Annotations {
		if value, ok := pod.Annotations[key]; ok {
			m.annotations = append(m.annotations, keptAnnotation{One(key), One(value)})
		}
	}
	if !m.own() && len(m.conditions) == 0 {
		return nil
	}
	return &m
}

// own tells whether anything of it is ours.
func (m *marks) own() bool { return m != nil && len(m.Labels)+len(m.Annotations)+len(m.Conditions) > 0 }

func encode(containers []probe.Container) string {
	var b []byte
	for i, c := range containers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, c.Name...)
		for _, p := range c.Ports {
			b = fmt.Appendf(b, " %s=%d", p.Name, p.Number)
		}
	}
	return string(b)
}

func decode(text string) (containers []probe.Container) {
	for one := range strings.SplitSeq(text, ",") {
		parts := strings.Split(one, " ")
		c := probe.Container{Name: parts[0]}
		for _, part := range parts[1:] {
			name, number, _ := strings.Cut(part, "=")
			n, err := strconv.ParseInt(number, 10, 32)
			if err != nil {
				panic(fmt.Sprintf("a port that was kept is no number: %v", err))
			}
			c.Ports = append(c.Ports, probe.Port{Name: name, Number: int32(n)})
		}
		containers = append(containers, c)
	}
	return containers
}

// Probed tells whether results of probes left something in the Pod.
func (k *Pod) Probed() bool { return k != nil && k.marks.own() }

// ForProbes is what PodProbeMarkers have to know of the Pod.
func (k *Pod) ForProbes() probe.Pod {
	s := k.shape.Value()
	return probe.Pod{
		Unit: plan.Unit{Namespace: k.Namespace, Name: k.Name, UID: string(k.UID)}, Labels: k.LabelSet(),
		Node: k.node, IP: k.ip, Initialized: s.initialized, Active: s.active, Containers: decode(s.containers),
	}
}

// Marks tells what results of probes left in the Pod: what is theirs, and the values of annotations that are.
func (k *Pod) Marks() (own probe.Own, annotations map[string]string) {
	if !k.Probed() {
		return probe.Own{}, nil
	}
	annotations = map[string]string{}
	for _, a := range k.marks.annotations {
		annotations[a.key] = a.value
	}
	return k.marks.Own, annotations
}

// OtherConditions calls each with the conditions that are not Kubernetes' or OpenKruise's own.
func (k *Pod) OtherConditions(each func(kind, status, message string)) {
	if k.marks == nil {
		return
	}
	for _, c := range k.marks.conditions {
		each(c.kind, c.status, c.message)
	}
}

// SameForProbes tells whether two versions of a Pod are the same for PodProbeMarkers.
func SameForProbes(a, b *Pod) bool {
	return a.UID == b.UID && a.node == b.node && a.ip == b.ip && a.shape == b.shape && sameLabels(a, b) && a.marks.same(b.marks)
}

func (m *marks) same(o *marks) bool {
	if m == nil || o == nil {
		return m == o
	}
	return slices.Equal(m.annotations, o.annotations) && slices.Equal(m.conditions, o.conditions) &&
		slices.Equal(m.Annotations, o.Annotations) && slices.Equal(m.Labels, o.Labels) && slices.Equal(m.Conditions, o.Conditions)
}

// byNode indexes Pods by their node.
const byNode = "outrigger.node"

// OnNode returns the keys of the Pods on a node, in any order, and InNamespace those of a namespace. Both need PodsOnNodes.
func (p Pods) OnNode(node string) []string { return p.keys(byNode, node) }

// InNamespace returns the keys of the Pods of a namespace, in any order.
func (p Pods) InNamespace(namespace string) []string {
	return p.keys(toolscache.NamespaceIndex, namespace)
}

// PodsOnNodes is PodsOf for who asks OnNode and InNamespace, too.
func PodsOnNodes(informer toolscache.SharedIndexInformer) (Pods, error) {
	have := informer.GetIndexer().GetIndexers()
	for name, index := range map[string]toolscache.IndexFunc{
		toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc,
		byNode: func(object any) ([]string, error) {
			pod, _ := object.(*Pod)
			if node := pod.Node(); node != "" {
				return []string{node}, nil
			}
			return nil, nil
		},
	} {
		if _, there := have[name]; there {
			continue
		}
		if err := informer.AddIndexers(toolscache.Indexers{name: index}); err != nil {
			return Pods{}, fmt.Errorf("index pods by %s: %w", name, err)
		}
	}
	return PodsOf(informer)
}
