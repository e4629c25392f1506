package sidecarset

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/annotation"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

// Project makes the record of a Pod for the named set. It returns false when the Pod does not carry the set
// (kruise.io/sidecarset-injected-list), is being deleted or is finished. The record shares memory with the
// Pod, which must not be changed afterwards. What a Pod alone cannot tell is left for the caller: Unseen and Refused,
// and what was watched (see Know).
func Project(pod *corev1.Pod, set string) (Pod, bool) {
	if !carries(pod.Annotations[v1beta1.SidecarSetInjectedListAnnotation], set) || !active(pod) {
		return Pod{}, false
	}
	p := Pod{
		Unit:            plan.Unit{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)},
		ResourceVersion: pod.ResourceVersion,
		Labels:          pod.Labels,
		Scheduled:       pod.Spec.NodeName != "",
		Phase:           pod.Status.Phase,
		Created:         pod.CreationTimestamp.Unix(),
		Annotations:     annotation.Of(pod.Annotations),
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			p.Ready = c.Status == corev1.ConditionTrue && pod.Status.Phase == corev1.PodRunning
			p.ReadySince = c.LastTransitionTime.Unix()
		} else if c.Type == v1beta1.PodUpgradable {
			p.Upgradable = upgradableOf(i, c, set)
		}
	}
	p.ResizeTrouble = inplace.TroubleOf(&pod.Status).Reason
	for i := range pod.Status.ContainerStatuses {
		p.Restarts = max(p.Restarts, pod.Status.ContainerStatuses[i].RestartCount)
	}
	sidecarList := p.readAnnotations(pod.Annotations, set)
	p.readContainers(pod, set, sidecarList)
	p.readResources(pod)
	p.readPairs(pod)
	return p, true
}

// carries tells whether a comma-joined list has the name.
func carries(list, name string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item == name {
			return true
		}
	}
	return false
}

// active tells whether a Pod is neither finished nor being deleted.
func active(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil &&
		pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// readAnnotations reads the set's version from the bookkeeping annotations, and returns the JSON list of its
// containers in the Pod, empty if they do not say.
func (p *Pod) readAnnotations(annotations map[string]string, set string) (sidecarList string) {
	p.HashJSON = annotations[v1beta1.SidecarSetHashAnnotation]
	state, hasState := annotations[v1beta1.SidecarSetInPlaceUpdateStateAnnotation]
	p.StateJSON, p.StateAbsent = state, !hasState
	p.WithoutImageJSON = annotations[v1beta1.SidecarSetHashWithoutImageAnnotation]
	for _, a := range [...]struct{ key, text string }{
		{v1beta1.SidecarSetHashAnnotation, p.HashJSON},
		{v1beta1.SidecarSetHashWithoutImageAnnotation, p.WithoutImageJSON},
		{v1beta1.SidecarSetInPlaceUpdateStateAnnotation, p.StateJSON},
	} {
		if a.text == "" && a.key == v1beta1.SidecarSetInPlaceUpdateStateAnnotation {
			continue
		}
		if err := inplace.CheckObject(a.text); err != nil {
			p.Unreadable = "annotation " + a.key + ": " + err.Error()
			return ""
		}
	}
	entry := inplace.EntryOf(p.HashJSON, set)
	p.Hash, p.Revision = entry.Hash, entry.Revision
	withoutImage := inplace.EntryOf(p.WithoutImageJSON, set)
	p.HashWithoutImage, p.HashWithoutResources = withoutImage.Hash, withoutImage.WithoutResources
	return entry.SidecarList
}

// readContainers records the set's containers in the Pod: those that the hash annotation names or, where its
// legacy form does not say, all that were injected.
func (p *Pod) readContainers(pod *corev1.Pod, set, sidecarList string) {
	var names []string
	known := sidecarList != "" && json.Unmarshal([]byte(sidecarList), &names) == nil
	for _, list := range [...]struct {
		containers []corev1.Container
		statuses   []corev1.ContainerStatus
		init       bool
	}{
		{pod.Spec.Containers, pod.Status.ContainerStatuses, false},
		{pod.Spec.InitContainers, pod.Status.InitContainerStatuses, true},
	} {
		for i := range list.containers {
			c := &list.containers[i]
			if list.init && !native(c) || known && !contains(names, c.Name) || !known && !injected(c) {
				continue
			}
			s := sidecarOf(pod, c, list.statuses)
			s.Index, s.Init = i, list.init
			p.Sidecars = append(p.Sidecars, s)
		}
	}
	p.settle(set)
}

// settle judges whether kubelet runs what the spec names.
func (p *Pod) settle(set string) {
	p.Settled, p.SettledFrom = true, 0
	state := p.StateJSON
	if p.Unreadable != "" {
		state = ""
	}
	for i := range p.Sidecars {
		s := &p.Sidecars[i]
		s.Settled, s.SettledFrom = inplace.Settled(s.Image, s.Runs, state, set, s.Name)
		p.Settled, p.SettledFrom = p.Settled && s.Settled, max(p.SettledFrom, s.SettledFrom)
	}
}

// Kept is what the cache keeps of a Pod in another form than a corev1.Pod.
type Kept interface {
	AnnotationList() annotation.List
	Amounts(init bool, index int) inplace.Amounts
	Resizes() (trouble inplace.Trouble, qos inplace.QoS)
}

// Complete fills in what Project found nothing of, because it was kept in another form.
func (p *Pod) Complete(k Kept) {
	p.Annotations = k.AnnotationList()
	trouble, qos := k.Resizes()
	p.ResizeTrouble, p.QoS = trouble.Reason, qos
	for i := range p.Sidecars {
		s := &p.Sidecars[i]
		s.Amounts = k.Amounts(s.Init, s.Index)
	}
}

// readResources records cpu and memory.
func (p *Pod) readResources(pod *corev1.Pod) {
	resized := inplace.ResizedFieldsOf(pod.ManagedFields)
	p.QoS.Fixed = pod.Spec.Resources != nil
	read := func(list []corev1.Container, init bool) {
		for i := range list {
			amounts := inplace.AmountsOf(&list[i], init, resized)
			p.QoS.Add(&amounts)
			if s := p.sidecar(list[i].Name); s != nil {
				s.Amounts = amounts
			}
		}
	}
	read(pod.Spec.Containers, false)
	read(pod.Spec.InitContainers, true)
}

// Know completes the record of a Pod that carries the set by what was watched.
func (p *Pod) Know(set string, o inplace.Origins) {
	known := false
	for i := range p.Sidecars {
		s := &p.Sidecars[i]
		for _, origin := range o {
			if origin.Container == s.Name && origin.ContainerID == s.Runs.ContainerID {
				s.Runs.MadeFrom, known = origin.Image, true
			}
		}
	}
	if known {
		p.settle(set)
	}
}

// sidecarOf records one container.
func sidecarOf(pod *corev1.Pod, c *corev1.Container, statuses []corev1.ContainerStatus) Sidecar {
	s := Sidecar{Container: Container{Name: c.Name, Image: c.Image}}
	if status := inplace.StatusOf(statuses, c.Name); status != nil {
		s.Runs, s.Ready = inplace.ReportOf(pod, status), status.Ready
	}
	return s
}

func native(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// readPairs finds the hot upgrades: the sidecars x-1 and x-2 are one when the working annotation speaks of x.
func (p *Pod) readPairs(pod *corev1.Pod) {
	working := pod.Annotations[v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation]
	if working == "" || inplace.CheckObject(working) != nil {
		return
	}
	p.WorkingJSON = working
	for i := range p.Sidecars {
		name, first := strings.CutSuffix(p.Sidecars[i].Name, "-1")
		works := inplace.GetText(working, name)
		second := slices.IndexFunc(p.Sidecars, func(s Sidecar) bool { return s.Name == inplace.HotNames(name)[1] })
		if !first || works == "" || second < 0 {
			continue
		}
		pair := Pair{Name: name, Halves: [2]int{i, second}}
		for half, container := range inplace.HotNames(name) {
			pair.Versions[half] = pod.Annotations[v1beta1.SidecarSetVersionAnnotationPrefix+container]
		}
		pair.Working = max(0, slices.Index([]string{p.Sidecars[i].Name, p.Sidecars[second].Name}, works))
		p.Pairs = append(p.Pairs, pair)
		p.Migrating = p.Migrating || p.hot(&pair, 0).Migrating()
	}
	if len(p.Pairs) > 0 {
		p.OthersReady = pod.Status.Phase == corev1.PodRunning && p.readyBut(pod.Status.ContainerStatuses)
	}
}

// readyBut tells whether all containers are ready, but for those of hot upgrades that do not work.
func (p *Pod) readyBut(statuses []corev1.ContainerStatus) bool {
	spare := func(at int) bool {
		return slices.ContainsFunc(p.Pairs, func(pair Pair) bool { return pair.Halves[1-pair.Working] == at })
	}
	for i := range p.Sidecars {
		if !p.Sidecars[i].Ready && !spare(i) {
			return false
		}
	}
	for i := range statuses {
		at := slices.IndexFunc(p.Sidecars, func(s Sidecar) bool { return s.Name == statuses[i].Name })
		if !statuses[i].Ready && at < 0 {
			return false
		}
	}
	return true
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func injected(c *corev1.Container) bool {
	for i := range c.Env {
		if c.Env[i].Name == v1beta1.InjectedEnv {
			return c.Env[i].Value == "true"
		}
	}
	return false
}
