package cloneset_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/sim/node"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// happens is everything that may happen between two rounds:
//
//	user sets WHAT VALUE                     see sets
//	user deletes web-1
//	user labels web-1 KEY=VALUE (or KEY-)    the same with "finalizes web-1 NAME" (or NAME-)
//	kubelet runs all|web-1                   Pods are scheduled, containers run what the specs name and are ready
//	kubelet sees all|web-1                   it has begun, and the containers of before still run
//	web-1 fails|recovers                     the application is not ready, or is again
//	kubelet puts off web-1: WHY              its new cpu and memory, until "kubelet takes up web-1"
//	API server refuses to change web-1: WHY  our next writes, until "API server changes web-1"
//	agent works for all|web-1                it has stopped containers, and kubelet has started them anew
//	agent fails web-1: WHY                   its request is over, and no container was started anew
//	a pod web-1 ends                         phase Failed
//	API server refuses pods: WHY             new ones, until "API server accepts pods"
//	N seconds pass
func (s *story) happens(t *testing.T, section string) {
	t.Helper()
	words := strings.Fields(section)
	switch {
	case strings.HasPrefix(section, "user sets "):
		s.sets(t, words[2], strings.Join(words[3:], " "))
	case strings.HasPrefix(section, "user deletes "):
		for _, p := range s.find(t, words[2]) {
			s.delete(slices.Index(s.pods, p))
		}
	case strings.HasPrefix(section, "user labels "), strings.HasPrefix(section, "user finalizes "):
		for _, p := range s.find(t, words[2]) {
			s.marks(p, words[1], words[3])
		}
	case strings.HasPrefix(section, "kubelet puts off "), strings.HasPrefix(section, "kubelet takes up "):
		name, why, _ := strings.Cut(words[3]+" "+strings.Join(words[4:], " "), ": ")
		for _, p := range s.find(t, strings.TrimSpace(name)) {
			p.putOff = why
			s.runs(p, true)
		}
	case strings.HasPrefix(section, "API server refuses to change "), strings.HasPrefix(section, "API server changes "):
		_, rest, _ := strings.Cut(section, "change")
		name, why, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(rest, "s")), ": ")
		for _, p := range s.find(t, name) {
			p.refused = why
		}
	case strings.HasPrefix(section, "agent "):
		name, why, _ := strings.Cut(words[2]+" "+strings.Join(words[3:], " "), ": ")
		s.agent(t, strings.TrimSpace(strings.TrimPrefix(name, "for ")), why)
	case strings.HasPrefix(section, "kubelet "):
		for _, p := range s.find(t, words[2]) {
			s.runs(p, words[1] == "runs")
		}
	case len(words) == 2 && (words[1] == "fails" || words[1] == "recovers" || words[1] == "ends"):
		for _, p := range s.find(t, words[0]) {
			p.ready = words[1] == "recovers"
			s.report(p)
			if words[1] == "ends" {
				p.Status.Phase = corev1.PodFailed
			}
		}
	case strings.HasPrefix(section, "API server "):
		_, s.refusal, _ = strings.Cut(section, "refuses pods: ")
	case strings.HasSuffix(section, " seconds pass"):
		s.now += time.Duration(number(t, words[0])-10) * time.Second
	default:
		t.Fatalf("%q cannot happen", section)
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// marks adds a label or a finalizer, or takes it off.
func (s *story) marks(p *pod, how, mark string) {
	p.Pod = p.DeepCopy()
	name, off := strings.CutSuffix(mark, "-")
	key, value, _ := strings.Cut(name, "=")
	switch {
	case how == "labels" && off:
		delete(p.Labels, key)
	case how == "labels":
		p.Labels[key] = value
	case off:
		p.Finalizers = slices.DeleteFunc(p.Finalizers, func(f string) bool { return f == name })
		if p.DeletionTimestamp != nil && len(p.Finalizers) == 0 {
			s.pods = slices.DeleteFunc(s.pods, func(other *pod) bool { return other == p })
		}
	default:
		p.Finalizers = append(p.Finalizers, name)
	}
}

// kubelet has kubelets run what Pods say.
func (s *story) kubelet(which func(*pod) bool) {
	for _, p := range s.pods {
		if which(p) {
			s.runs(p, true)
		}
	}
}

// runs has kubelet see a Pod, and bring it to what it says unless an image cannot be pulled.
func (s *story) runs(p *pod, done bool) {
	if p.runs == nil {
		p.runs = make([]node.Container, len(p.Spec.Containers))
	}
	s.report(p)
	if !done {
		return
	}
	p.ready = true
	for i := range p.Spec.Containers {
		image := p.Spec.Containers[i].Image
		switch {
		case node.Bad(image):
			p.ready, p.runs[i].Gone, p.runs[i].Waiting = false, p.runs[i].Image != "", "ErrImagePull"
		case p.runs[i].Image != image || p.runs[i].Gone:
			p.runs[i].Start(image, s.images, s.clock())
		}
		if size := node.SizeOf(&p.Spec.Containers[i]); size != p.runs[i].Size && p.putOff == "" {
			if p.runs[i].Size != [4]string{} && len(p.Spec.Containers[i].ResizePolicy) > 0 {
				p.runs[i].Start(image, s.images, s.clock())
			}
			p.runs[i].Size = size
		}
	}
	s.report(p)
}

// report has kubelet report. A Pod is ready when its readiness gates are open, too.
func (s *story) report(p *pod) {
	before := p.Pod
	ready := p.ready
	for _, gate := range p.Spec.ReadinessGates {
		ready = ready && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue
		})
	}
	others := slices.DeleteFunc(slices.Clone(p.Status.Conditions), func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady || c.Type == corev1.PodScheduled
	})
	next := node.Report(p.Pod, p.runs, ready, p.Generation, s.clock()).DeepCopy()
	next.Status.Conditions = append(others, slices.DeleteFunc(next.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type != corev1.PodReady
	})...)
	next.Status.Conditions = append(next.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
	node.PutOff(next, p.putOff)
	for i := range next.Status.ContainerStatuses {
		next.Status.ContainerStatuses[i].Ready = p.ready
	}
	p.Pod = next
	p.origins = p.origins.Watch(before, p.Pod)
}

// applied is a Pod after a change.
func applied(t *testing.T, before *corev1.Pod, change *plan.Change) *corev1.Pod {
	t.Helper()
	p := before.DeepCopy()
	resize(t, p, change.Resources)
	for _, c := range change.Images {
		if p.Spec.Containers[c.Index].Image != c.From {
			t.Fatalf("the image of %s is %s, not %s", c.Container, p.Spec.Containers[c.Index].Image, c.From)
		}
		p.Spec.Containers[c.Index].Image = c.To
		p.Generation++
	}
	for _, c := range change.Labels {
		if p.Labels[c.Key] != c.From {
			t.Fatalf("label %s is %q, not %q", c.Key, p.Labels[c.Key], c.From)
		}
		if p.Labels[c.Key] = c.To; c.Remove {
			delete(p.Labels, c.Key)
		}
	}
	for _, c := range change.Annotations {
		if !c.Unchecked && p.Annotations[c.Key] != c.From {
			t.Fatalf("annotation %s is %q, not %q", c.Key, p.Annotations[c.Key], c.From)
		}
		if p.Annotations[c.Key] = c.To; c.Remove {
			delete(p.Annotations, c.Key)
		}
	}
	for _, c := range change.Conditions {
		if c.Keep {
			continue
		}
		condition(p, &c)
	}
	if change.Finalizers != nil {
		p.Finalizers = change.Finalizers.To
	}
	if change.Owners != nil {
		p.OwnerReferences = nil
		unmarshal(t, change.Owners.To, &p.OwnerReferences)
	}
	return p
}

// resize is what the API server does with pods/resize.
func resize(t *testing.T, p *corev1.Pod, changes []plan.ResourceChange) {
	t.Helper()
	before := p.DeepCopy()
	for _, c := range changes {
		r := &p.Spec.Containers[c.Index].Resources
		list := r.Requests
		if c.List == "limits" {
			list = r.Limits
		}
		if was := list[corev1.ResourceName(c.Resource)]; was.String() != c.From {
			t.Fatalf("%s.%s of %s is %s, not %s", c.List, c.Resource, c.Container, was.String(), c.From)
		}
		list[corev1.ResourceName(c.Resource)] = resource.MustParse(c.To)
	}
	if len(changes) > 0 {
		testkit.Resized(before, p, plan.FieldManager)
		p.Generation++
	}
}

func condition(p *corev1.Pod, c *plan.ConditionChange) {
	next := corev1.PodCondition{
		Type: corev1.PodConditionType(c.Type), Status: corev1.ConditionStatus(c.Status), Reason: c.Reason, Message: c.Message,
	}
	if since, err := time.Parse(time.RFC3339, c.Since); err == nil {
		next.LastTransitionTime = metav1.NewTime(since)
	}
	if c.Absent {
		p.Status.Conditions = append(p.Status.Conditions, next)
		return
	}
	p.Status.Conditions[c.Index] = next
}

// sets changes the spec: replicas, image, policy, partition, maxUnavailable, maxSurge, paused, type, delete (names,
// or "none"), grace, minReady, preDelete, inPlaceUpdate, preNormal (a label KEY=VALUE or a finalizer, " notReady", or
// "none"), exclude, claim, reuse, env, annotation, scaleMaxUnavailable, deadline, ordered, scatter, rollBack (the gate), cpu,
// memory, cpuLimit, memoryLimit, restartsFor, noResize, refers (the environment to a label), beside (another container),
// noAgents, virtual (all nodes are).
func (s *story) sets(t *testing.T, what, value string) {
	t.Helper()
	spec := &s.set.Spec
	rolling := &spec.UpdateStrategy.RollingUpdate
	parsed := intstr.Parse(value)
	n := int32(parsed.IntValue()) //nolint:gosec // small numbers
	switch what {
	case "replicas":
		spec.Replicas = &n
	case "image":
		spec.Template.Spec.Containers[0].Image = value
	case "env":
		spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LEVEL", Value: value}}
	case "annotation":
		key, text, _ := strings.Cut(value, "=")
		spec.Template.Annotations = map[string]string{key: text}
	case "policy":
		rolling.PodUpdatePolicy = v1beta1.CloneSetPodUpdatePolicy(value)
	case "partition":
		rolling.Partition = &parsed
	case "maxUnavailable":
		rolling.MaxUnavailable = &parsed
	case "maxSurge":
		rolling.MaxSurge = &parsed
	case "scaleMaxUnavailable":
		spec.ScaleStrategy.MaxUnavailable = &parsed
	case "paused":
		rolling.Paused = value == "true"
	case "type":
		spec.UpdateStrategy.Type = v1beta1.CloneSetUpdateStrategyType(value)
	case "grace":
		rolling.InPlaceUpdateStrategy.GracePeriodSeconds = n
	case "minReady":
		spec.MinReadySeconds = n
	case "deadline":
		spec.ProgressDeadlineSeconds = &n
	case "exclude":
		spec.ScaleStrategy.ExcludePreparingDelete = value == "true"
	case "reuse":
		spec.ScaleStrategy.EnablePVCReuse = value == "true"
	case "delete":
		spec.ScaleStrategy.PodsToDelete = nil
		for _, p := range s.pods {
			if slices.Contains(strings.Split(value, ","), s.aliases.Replace(p.Name)) {
				spec.ScaleStrategy.PodsToDelete = append(spec.ScaleStrategy.PodsToDelete, p.Name)
			}
		}
	default:
		s.setsMore(t, what, value)
	}
	s.set.Generation++
}

func (s *story) setsMore(t *testing.T, what, value string) {
	t.Helper()
	spec := &s.set.Spec
	switch what {
	case "claim":
		c := v1beta1.VolumeClaimTemplate{}
		c.Name = value
		spec.VolumeClaimTemplates = []v1beta1.VolumeClaimTemplate{c}
	case "cpu", "memory", "cpuLimit", "memoryLimit":
		s.sizes(what, value)
	case "restartsFor":
		spec.Template.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceName(value), RestartPolicy: corev1.RestartContainer}}
	case "noResize": // of the cluster
		s.noResize = value == "true"
	case "refers":
		env := corev1.EnvVar{Name: strings.ToUpper(value), ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['" + value + "']"}}}
		spec.Template.Spec.Containers[0].Env = append(spec.Template.Spec.Containers[0].Env, env)
	case "beside":
		spec.Template.Spec.Containers = append(spec.Template.Spec.Containers, corev1.Container{Name: "beside", Image: value})
	case "noAgents":
		s.noAgents = value == "true"
	case "virtual":
		s.virtual = value == "true"
	case "both": // image and label
		image, label, _ := strings.Cut(value, " ")
		spec.Template.Spec.Containers[0].Image = image
		s.setsMore(t, "label", label)
	case "label": // of the template
		key, text, _ := strings.Cut(value, "=")
		spec.Template.Labels[key] = text
	case "preDelete", "inPlaceUpdate", "preNormal":
		if spec.Lifecycle == nil {
			spec.Lifecycle = &v1beta1.Lifecycle{}
		}
		hook := hookOf(value)
		switch what {
		case "preDelete":
			spec.Lifecycle.PreDelete = hook
		case "inPlaceUpdate":
			spec.Lifecycle.InPlaceUpdate = hook
		default:
			spec.Lifecycle.PreNormal = hook
		}
	case "ordered":
		spec.UpdateStrategy.RollingUpdate.PriorityStrategy = &v1beta1.UpdatePriorityStrategy{
			OrderPriority: []v1beta1.UpdatePriorityOrderTerm{{OrderedKey: value}},
		}
	case "rollBack":
		s.rollBack = value == "true"
	case "scatter":
		key, label, _ := strings.Cut(value, "=")
		spec.UpdateStrategy.RollingUpdate.ScatterStrategy = []v1beta1.UpdateScatterTerm{{Key: key, Value: label}}
	default:
		t.Fatalf("sets %s?", what)
	}
}

// sizes changes what the container requests, and its limits.
func (s *story) sizes(what, value string) {
	r := &s.set.Spec.Template.Spec.Containers[0].Resources
	name, limit := strings.CutSuffix(what, "Limit")
	list := &r.Requests
	if limit {
		list = &r.Limits
	}
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[corev1.ResourceName(name)] = resource.MustParse(value)
}

func hookOf(value string) *v1beta1.LifecycleHook {
	mark, notReady := strings.CutSuffix(value, " notReady")
	if mark == "none" {
		return nil
	}
	hook := &v1beta1.LifecycleHook{MarkPodNotReady: notReady}
	if key, label, ok := strings.Cut(mark, "="); ok {
		hook.LabelsHandler = map[string]string{key: label}
	} else {
		hook.FinalizersHandler = []string{mark}
	}
	return hook
}
