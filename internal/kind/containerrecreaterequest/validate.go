package containerrecreaterequest

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
)

const (
	shortestDeadline = 3
	longest          = 1<<31 - 1
	// mostOfOrder is how many bytes an order may have: all requests of a node have to fit into one object.
	mostOfOrder = 64 << 10
)

// Validate lists everything that is wrong with a request, given the one it replaces, and at its creation (old is nil) the
// Pod that it names. Every error names path, value and rule. What users may not send of what Fill writes is for Sent to say.
func Validate(r, old *v1beta1.ContainerRecreateRequest, t Target) field.ErrorList {
	errs := WellFormed(r)
	switch {
	case old != nil:
		errs = append(errs, nothingChanges(r, old)...)
	case len(errs) == 0:
		errs = append(statusIsNotSent(r), targetIsThere(r, t)...)
	}
	return errs
}

// WellFormed lists what is wrong with a request whatever runs.
func WellFormed(r *v1beta1.ContainerRecreateRequest) (errs field.ErrorList) {
	for _, check := range []func(*v1beta1.ContainerRecreateRequest) field.ErrorList{
		podIsNamed, containersAreNamed, strategyIsValid, timesAreValid, annotationsAreStatus,
	} {
		errs = append(errs, check(r)...)
	}
	return errs
}

func podIsNamed(r *v1beta1.ContainerRecreateRequest) field.ErrorList {
	path := field.NewPath("spec", "podName")
	if r.Spec.PodName == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalid(path, r.Spec.PodName, validation.IsDNS1123Subdomain(r.Spec.PodName))
}

func containersAreNamed(r *v1beta1.ContainerRecreateRequest) (errs field.ErrorList) {
	if len(r.Spec.Containers) == 0 {
		return field.ErrorList{field.Required(field.NewPath("spec", "containers"), "at least one container")}
	}
	seen := map[string]bool{}
	for i, c := range r.Spec.Containers {
		path := at(i).Child("name")
		switch {
		case c.Name == "":
			errs = append(errs, field.Required(path, ""))
		case seen[c.Name]:
			errs = append(errs, field.Duplicate(path, c.Name))
		default:
			errs = append(errs, invalid(path, c.Name, validation.IsDNS1123Label(c.Name))...)
		}
		seen[c.Name] = true
	}
	return errs
}

func strategyIsValid(r *v1beta1.ContainerRecreateRequest) (errs field.ErrorList) {
	s := r.Spec.Strategy
	if s == nil {
		return nil
	}
	path := field.NewPath("spec", "strategy")
	switch s.FailurePolicy {
	case "", v1beta1.ContainerRecreateRequestFailurePolicyFail, v1beta1.ContainerRecreateRequestFailurePolicyIgnore:
	default:
		errs = append(errs, field.NotSupported(path.Child("failurePolicy"), s.FailurePolicy, []string{"Fail", "Ignore"}))
	}
	errs = append(errs, between(path.Child("terminationGracePeriodSeconds"), s.TerminationGracePeriodSeconds, 0)...)
	errs = append(errs, between(path.Child("unreadyGracePeriodSeconds"), s.UnreadyGracePeriodSeconds, 0)...)
	started := int64(s.MinStartedSeconds)
	return append(errs, between(path.Child("minStartedSeconds"), &started, 0)...)
}

func timesAreValid(r *v1beta1.ContainerRecreateRequest) field.ErrorList {
	errs := between(field.NewPath("spec", "activeDeadlineSeconds"), r.Spec.ActiveDeadlineSeconds, shortestDeadline)
	if r.Spec.TTLSecondsAfterFinished == nil {
		return errs
	}
	ttl := int64(*r.Spec.TTLSecondsAfterFinished)
	return append(errs, between(field.NewPath("spec", "ttlSecondsAfterFinished"), &ttl, 0)...)
}

// annotationsAreStatus refuses annotations that v1alpha1 has in place of the status, where they are not read as such.
func annotationsAreStatus(r *v1beta1.ContainerRecreateRequest) (errs field.ErrorList) {
	for _, key := range []string{v1beta1.ContainerRecreateRequestSyncContainerStatusesAnnotation, v1beta1.ContainerRecreateRequestUnreadyAcquired} {
		if _, there := r.Annotations[key]; there {
			errs = append(errs, field.Forbidden(field.NewPath("metadata", "annotations").Key(key), "is written by the manager"))
		}
	}
	return errs
}

// statusIsNotSent refuses a new request that has a status already: by v1alpha1's annotations, the only way there is.
func statusIsNotSent(r *v1beta1.ContainerRecreateRequest) field.ErrorList {
	if equality.Semantic.DeepEqual(r.Status, v1beta1.ContainerRecreateRequestStatus{}) {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("status"), "is written by the manager and the node agent, and so are v1alpha1's annotations "+
		v1beta1.ContainerRecreateRequestSyncContainerStatusesAnnotation+" and "+v1beta1.ContainerRecreateRequestUnreadyAcquired)}
}

// nothingChanges refuses changes of what is being done. The label active goes when the request is completed, and does
// not come back.
func nothingChanges(r, old *v1beta1.ContainerRecreateRequest) (errs field.ErrorList) {
	if !equality.Semantic.DeepEqual(r.Spec, old.Spec) {
		errs = append(errs, field.Forbidden(field.NewPath("spec"), "field is immutable: create another request"))
	}
	if !equality.Semantic.DeepEqual(r.Status, old.Status) {
		errs = append(errs, field.Forbidden(field.NewPath("status"), "is written by the manager and the node agent"))
	}
	fixed := []string{v1beta1.ContainerRecreateRequestPodUIDLabel, v1beta1.ContainerRecreateRequestNodeNameLabel}
	if ended := old.Status.CompletionTime != nil && r.Labels[v1beta1.ContainerRecreateRequestActiveLabel] == ""; !ended {
		fixed = append(fixed, v1beta1.ContainerRecreateRequestActiveLabel)
	}
	for _, key := range fixed {
		if r.Labels[key] != old.Labels[key] {
			errs = append(errs, field.Invalid(label(key), r.Labels[key], fmt.Sprintf("must stay %q", old.Labels[key])))
		}
	}
	return errs
}

// targetIsThere refuses a request for what does not run.
func targetIsThere(r *v1beta1.ContainerRecreateRequest, t Target) field.ErrorList {
	if why := notRunning(r, t); why != "" {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "podName"), r.Spec.PodName, why)}
	}
	errs := labelsAreFilled(r, t.Pod)
	for i := range r.Spec.Containers {
		if err := containerIsThere(&r.Spec.Containers[i], at(i), t.Pod); err != nil {
			errs = append(errs, err)
		}
	}
	if n := sizeOf(Order(r)); n > mostOfOrder && len(errs) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "containers"), n, fmt.Sprintf(
			"so many bytes are to be told to the node agent, most of them preStop hooks; at most %d can be: recreate fewer containers at a time", mostOfOrder)))
	}
	return errs
}

// notRunning tells why containers of a Pod cannot be recreated; empty: they can.
func notRunning(r *v1beta1.ContainerRecreateRequest, t Target) string {
	pod := t.Pod
	if pod == nil {
		return "there is no such Pod in namespace " + r.Namespace
	}
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	sidecarsEnd := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == v1beta1.SidecarTerminated && c.Status == corev1.ConditionTrue
	})
	switch {
	case pod.DeletionTimestamp != nil:
		return "the Pod is being deleted"
	case ended && !sidecarsEnd:
		return "the Pod is not active: its phase is " + string(pod.Status.Phase)
	case pod.Spec.NodeName == "":
		return "the Pod is not bound to a node yet"
	case t.NoNode:
		return "its node " + pod.Spec.NodeName + " does not exist"
	case r.Annotations[v1beta1.ContainerRecreateRequestRenewalAnnotation] != "" &&
		r.Annotations[v1beta1.ContainerRecreateRequestRenewalAnnotation] != inplace.AskedFor(pod):
		return "the Pod does not ask for the renewal that annotation " + v1beta1.ContainerRecreateRequestRenewalAnnotation + " says, or not any more"
	}
	return ""
}

// labelsAreFilled tells that the mutating webhook was not called, or that somebody changed what it wrote.
func labelsAreFilled(r *v1beta1.ContainerRecreateRequest, pod *corev1.Pod) (errs field.ErrorList) {
	for key, want := range map[string]string{
		v1beta1.ContainerRecreateRequestPodUIDLabel: string(pod.UID), v1beta1.ContainerRecreateRequestNodeNameLabel: pod.Spec.NodeName,
		v1beta1.ContainerRecreateRequestActiveLabel: "true",
	} {
		if r.Labels[key] != want {
			errs = append(errs, field.Invalid(label(key), r.Labels[key], fmt.Sprintf("must be %q, which the mutating webhook writes: leave it out, and try again", want)))
		}
	}
	slices.SortFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return errs
}

// containerIsThere refuses a container that cannot be recreated, and one of which something else is said than the Pod says.
func containerIsThere(c *v1beta1.ContainerRecreateRequestContainer, path *field.Path, pod *corev1.Pod) *field.Error {
	copied, status := copyOf(c.Name, pod), statusOf(c.Name, pod)
	isInit := slices.ContainsFunc(pod.Spec.InitContainers, func(init corev1.Container) bool { return init.Name == c.Name })
	switch {
	case isInit:
		return field.Invalid(path.Child("name"), c.Name, "is an init container: only containers can be recreated")
	case copied == nil:
		return field.Invalid(path.Child("name"), c.Name, "the Pod has no such container; it has "+namesOf(pod))
	case status == nil:
		return field.Invalid(path.Child("name"), c.Name, "kubelet has not reported anything of it yet")
	case status.ContainerID == "":
		return field.Invalid(path.Child("name"), c.Name, "it has no containerID: it was not started yet")
	}
	if calls := callsElsewhere(copied.PreStop, pod.Spec.HostNetwork); calls != "" {
		return field.Invalid(path.Child("name"), c.Name, "its preStop hook calls "+calls+": a node agent calls nothing but the Pod's own address")
	}
	copied.StatusContext = c.StatusContext
	switch {
	case !equality.Semantic.DeepEqual(c, copied):
		return field.Forbidden(path, "preStop, ports and restartPolicy are not as in the Pod: the mutating webhook copies them; leave them out, and try again")
	case c.StatusContext == nil || c.StatusContext.ContainerID == "":
		return field.Required(path.Child("statusContext"), "the mutating webhook writes it: try again")
	}
	return nil
}

// callsElsewhere tells what a hook calls that is not the Pod's own address; empty: nothing.
func callsElsewhere(hook *corev1.LifecycleHandler, hostNetwork bool) string {
	switch {
	case hook == nil || hook.HTTPGet == nil:
	case hook.HTTPGet.Host != "":
		return fmt.Sprintf("host %q", hook.HTTPGet.Host)
	case hostNetwork:
		return "a port of the host's network"
	}
	return ""
}

func namesOf(pod *corev1.Pod) string {
	var names []string
	for i := range pod.Spec.Containers {
		names = append(names, pod.Spec.Containers[i].Name)
	}
	return strings.Join(names, ", ")
}

func label(key string) *field.Path { return field.NewPath("metadata", "labels").Key(key) }

func between(path *field.Path, n *int64, least int64) field.ErrorList {
	if n == nil || *n >= least && *n <= longest {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *n, fmt.Sprintf("must be from %d to %d", least, longest))}
}

func invalid(path *field.Path, value string, why []string) (errs field.ErrorList) {
	for _, w := range why {
		errs = append(errs, field.Invalid(path, value, w))
	}
	return errs
}
