package kept

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// probing is what is kept of every Pod for PodProbeMarkers: any of them may select it, now or later. 0.1 KB beside the labels.
type probing struct {
	node, ip string
	shape    unique.Handle[shape]
	// marks are what results of probes left; nil in most Pods.
	marks *marks
	// conditions of other types than those of Kubernetes and OpenKruise.
	conditions []ownCondition
}

// shape is the same in all Pods of an owner.
type shape struct {
	initialized, active bool
	// containers are their names, each with its named ports: "app http=80 admin=81,proxy".
	containers string
}

type marks struct {
	probe.Own
	annotations []keptAnnotation
}

type ownCondition struct{ kind, status, message string }

// TrimProbed is Trim for a manager that runs PodProbeMarkers.
func TrimProbed(object any) (any, error) {
	pod, whole := object.(*corev1.Pod)
	if !whole {
		return Trim(object)
	}
	probing := trimProbing(pod)
	all := shared(pod.Name, pod.Labels)
	kept := trim(pod)
	kept.Labels, kept.probing = all, probing
	return kept, nil
}

func trimProbing(pod *corev1.Pod) *probing {
	p := &probing{node: One(pod.Spec.NodeName), ip: pod.Status.PodIP}
	p.shape = unique.Make(shape{probe.IsInitialized(pod), probe.IsActive(pod), encode(probe.ContainersOf(pod))})
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; !slices.Contains(probe.Reserved(), string(c.Type)) {
			p.conditions = append(p.conditions, ownCondition{One(string(c.Type)), One(string(c.Status)), One(c.Message)})
		}
	}
	own := probe.OwnOf(pod.ManagedFields)
	if len(own.Labels)+len(own.Annotations)+len(own.Conditions) == 0 {
		return p
	}
	p.marks = &marks{Own: own}
	for _, key := range own.Annotations {
		if value, ok := pod.Annotations[key]; ok {
			p.marks.annotations = append(p.marks.annotations, keptAnnotation{One(key), One(value)})
		}
	}
	return p
}

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

// Node is the Pod's node; empty if it has none, or nothing is kept for probes.
func (k *Pod) Node() string {
	if k == nil || k.probing == nil {
		return ""
	}
	return k.probing.node
}

// Probed tells whether results of probes left something in the Pod.
func (k *Pod) Probed() bool { return k != nil && k.probing != nil && k.probing.marks != nil }

// ForProbes is what PodProbeMarkers have to know of the Pod. Kept by TrimProbed only.
func (k *Pod) ForProbes() probe.Pod {
	if k.probing == nil {
		return probe.Pod{}
	}
	s := k.probing.shape.Value()
	return probe.Pod{
		Unit: plan.Unit{Namespace: k.Namespace, Name: k.Name, UID: string(k.UID)}, Labels: labels.Set(k.Labels),
		Node: k.probing.node, IP: k.probing.ip, Initialized: s.initialized, Active: s.active, Containers: decode(s.containers),
	}
}

// Marks tells what results of probes left in the Pod: what is theirs, and the values of annotations that are.
func (k *Pod) Marks() (own probe.Own, annotations map[string]string) {
	if !k.Probed() {
		return probe.Own{}, nil
	}
	annotations = map[string]string{}
	for _, a := range k.probing.marks.annotations {
		annotations[a.key] = a.value
	}
	return k.probing.marks.Own, annotations
}

// OtherConditions calls each with the conditions that are not Kubernetes' or OpenKruise's own.
func (k *Pod) OtherConditions(each func(kind, status, message string)) {
	if k.probing == nil {
		return
	}
	for _, c := range k.probing.conditions {
		each(c.kind, c.status, c.message)
	}
}

// SameForProbes tells whether two versions of a Pod are the same for PodProbeMarkers.
func SameForProbes(a, b *Pod) bool {
	p, q := a.probing, b.probing
	if a.UID != b.UID || p == nil || q == nil || !maps.Equal(a.Labels, b.Labels) {
		return false
	}
	if p.node != q.node || p.ip != q.ip || p.shape != q.shape || !slices.Equal(p.conditions, q.conditions) || (p.marks == nil) != (q.marks == nil) {
		return false
	}
	return p.marks == nil || p.marks.same(q.marks)
}

func (m *marks) same(o *marks) bool {
	return slices.Equal(m.annotations, o.annotations) && slices.Equal(m.Annotations, o.Annotations) &&
		slices.Equal(m.Labels, o.Labels) && slices.Equal(m.Conditions, o.Conditions)
}

// byNode indexes Pods by their node.
const byNode = "outrigger.node"

// OnNode returns the keys of the Pods on a node, in any order, and InNamespace those of a namespace. Both need TrimProbed and
// PodsOnNodes.
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
