package kept

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/annotation"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

func controller(apiVersion, kind string) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: apiVersion, Kind: kind, Name: "web", UID: "uid-web", Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}

// owned is a Pod of a CloneSet of which every fact has a value. It carries sidecars.
func owned() *corev1.Pod {
	pod := updatedCarrier()
	pod.OwnerReferences = []metav1.OwnerReference{controller("apps.kruise.io/v1beta1", "CloneSet")}
	pod.Finalizers = []string{"example.com/hook"}
	maps.Copy(pod.Labels, map[string]string{
		"controller-revision-hash": "web-5d4f8c7b9", "apps.kruise.io/cloneset-instance-id": "bcdfg", v1beta1.LifecycleStateLabel: "Normal",
	})
	maps.Copy(pod.Annotations, map[string]string{
		v1beta1.LifecycleTimestampAnnotation: "2030-01-01T00:00:00Z",
		v1beta1.InPlaceUpdateStateAnnotation: `{"revision":"web-5d4f8c7b9","updateTimestamp":"2030-01-01T00:00:00Z",` +
			`"lastContainerStatuses":{"app":{"imageID":"sha256:0","image":"web:0","containerID":"containerd://0","changing":"false"}}}`,
		"prometheus.io/scrape": "true",
	})
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.KruisePodReady}, {ConditionType: v1beta1.InPlaceUpdateReady}}
	for _, added := range []corev1.PodConditionType{corev1.ContainersReady, v1beta1.InPlaceUpdateReady, corev1.PodInitialized, v1beta1.KruisePodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: added, Status: corev1.ConditionTrue})
	}
	for i := range pod.Spec.Containers {
		pod.Spec.Containers[i].Resources = corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi")},
		}
	}
	return pod
}

// plain takes away what sidecars left in a Pod but the containers.
func plain(pod *corev1.Pod) *corev1.Pod {
	maps.DeleteFunc(pod.Annotations, func(key, _ string) bool { return strings.HasPrefix(key, "kruise.io/sidecarset") })
	return pod
}

func orphaned(pod *corev1.Pod) *corev1.Pod {
	pod.OwnerReferences = nil
	return pod
}

// workloadChanges are what can happen to a Pod of a workload, each on its own, beside changes.
func workloadChanges() map[string]func(*corev1.Pod) {
	annotate := func(key, value string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.Annotations[key] = value }
	}
	condition := func(of corev1.PodConditionType, change func(*corev1.PodCondition)) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			for i := range pod.Status.Conditions {
				if c := &pod.Status.Conditions[i]; c.Type == of {
					change(c)
				}
			}
		}
	}
	no := func(c *corev1.PodCondition) { c.Status, c.Reason = corev1.ConditionFalse, "SomeReason" }
	all := map[string]func(*corev1.Pod){
		"other finalizer": func(pod *corev1.Pod) { pod.Finalizers = []string{"example.com/other"} },
		"no finalizer":    func(pod *corev1.Pod) { pod.Finalizers = nil },
		"second owner": func(pod *corev1.Pod) {
			pod.OwnerReferences = append(pod.OwnerReferences, metav1.OwnerReference{Name: "n"})
		},
		"another owner": func(pod *corev1.Pod) {
			pod.OwnerReferences = []metav1.OwnerReference{controller("apps.kruise.io/v1", "DaemonSet")}
		},
		"released":            func(pod *corev1.Pod) { pod.OwnerReferences = nil },
		"in grace":            annotate(v1beta1.InPlaceUpdateGraceAnnotation, `{"revision":"r"}`),
		"in grace, as it was": annotate(v1beta1.LegacyInPlaceUpdateGraceAnnotation, `{"revision":"r"}`),
		"updated":             annotate(v1beta1.InPlaceUpdateStateAnnotation, `{"revision":"r"}`),
		"updated, as it was":  annotate(v1beta1.LegacyInPlaceUpdateStateAnnotation, `{"revision":"r"}`),
		"cost":                annotate(corev1.PodDeletionCost, "-7"),
		"stated":              annotate(v1beta1.LifecycleTimestampAnnotation, "2031-01-01T00:00:00Z"),
		"no gates":            func(pod *corev1.Pod) { pod.Spec.ReadinessGates = nil },
		"one gate": func(pod *corev1.Pod) {
			pod.Spec.ReadinessGates = slices.Delete(pod.Spec.ReadinessGates, 0, min(1, len(pod.Spec.ReadinessGates)))
		},
		"drained":                condition(v1beta1.InPlaceUpdateReady, no),
		"drained, with words":    condition(v1beta1.InPlaceUpdateReady, func(c *corev1.PodCondition) { c.Message = "words" }),
		"kept not ready":         condition(v1beta1.KruisePodReady, no),
		"kept not ready, by who": condition(v1beta1.KruisePodReady, func(c *corev1.PodCondition) { c.Message = `[{"userAgent":"Lifecycle","key":"k"}]` }),
		"not scheduled":          condition(corev1.PodScheduled, no),
		"containers not ready":   condition(corev1.ContainersReady, no),
		"why not ready":          condition(corev1.PodReady, func(c *corev1.PodCondition) { c.Message = "containers with unready status: [app]" }),
		"conditions in another order": func(pod *corev1.Pod) {
			slices.Reverse(pod.Status.Conditions)
		},
		"a condition fewer": func(pod *corev1.Pod) {
			pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == v1beta1.KruisePodReady })
		},
		"a condition of somebody, while one of ours lacks": func(pod *corev1.Pod) {
			pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == v1beta1.InPlaceUpdateReady })
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "example.com/more", Status: corev1.ConditionTrue})
		},
		"no conditions": func(pod *corev1.Pod) { pod.Status.Conditions = nil },
		"more cpu": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("0.25")
		},
		"given": given,
		"given something else": func(pod *corev1.Pod) {
			given(pod)
			pod.Spec.Containers[len(pod.Spec.Containers)-1].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("3")
		},
		"given, and kubelet is behind": func(pod *corev1.Pod) {
			given(pod)
			pod.Generation, pod.Status.ObservedGeneration = 8, 7
		},
		"being resized": func(pod *corev1.Pod) {
			given(pod)
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodResizeInProgress, Status: corev1.ConditionTrue})
		},
		"resize put off": func(pod *corev1.Pod) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: "Deferred", Message: "no room",
			})
		},
		"resized by us": func(pod *corev1.Pod) {
			pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "outrigger", Subresource: "resize", FieldsV1: metav1.NewFieldsV1(
				`{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{"f:resources":{"f:requests":{"f:cpu":{}}}}}}}`)}}
		},
		"restarts for cpu": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}
		},
		"no limits":  func(pod *corev1.Pod) { pod.Spec.Containers[0].Resources.Limits = nil },
		"other ones": func(pod *corev1.Pod) { pod.Spec.Containers[0].Resources.Limits = manyResources() },
		"priority": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Env = append(pod.Spec.Containers[0].Env, corev1.EnvVar{Name: v1beta1.ContainerLaunchPriorityEnv, Value: "10"})
		},
	}
	maps.Copy(all, changes())
	maps.Copy(all, heartbeats())
	return all
}

// given has kubelet report that containers have what their spec names.
func given(pod *corev1.Pod) {
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		for j := range pod.Spec.Containers {
			if c := &pod.Spec.Containers[j]; c.Name == s.Name {
				s.Resources = c.Resources.DeepCopy()
			}
		}
	}
}

func manyResources() corev1.ResourceList {
	return corev1.ResourceList{
		"nvidia.com/gpu": resource.MustParse("1"), corev1.ResourceEphemeralStorage: resource.MustParse("10Gi"), corev1.ResourceMemory: resource.MustParse("1.5Gi"),
	}
}

// heartbeats are what happens all the time and matters to no workload.
func heartbeats() map[string]func(*corev1.Pod) {
	return map[string]func(*corev1.Pod){
		"of an annotation": func(pod *corev1.Pod) { pod.Annotations["example.com/heartbeat"] = "now" },
		"of a probe":       func(pod *corev1.Pod) { pod.Status.Conditions[1].LastProbeTime = metav1.NewTime(testkit.Start()) },
		"of the scheduler": func(pod *corev1.Pod) {
			pod.Status.Conditions[0].Message, pod.Status.Conditions[0].Reason = "0/5 nodes are available", "Unschedulable"
		},
		"of another condition": func(pod *corev1.Pod) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "example.com/other", Message: "now"})
		},
		"of a version": func(pod *corev1.Pod) { pod.ResourceVersion = "2002" },
		"of fields": func(pod *corev1.Pod) {
			pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", Time: &metav1.Time{Time: testkit.Start()}}}
		},
		"of an IP": func(pod *corev1.Pod) { pod.Status.PodIP, pod.Status.HostIP = "10.0.0.1", "10.1.0.1" },
	}
}

// facing is what a workload reads of a Pod.
type facing struct {
	Unit, UID, Node                  string
	Generation, Observed, ReadySince int64
	Created                          metav1.Time
	Leaving                          bool
	Grace                            int64
	Phase                            corev1.PodPhase
	Labels                           map[string]string
	Annotations                      annotation.List
	Finalizers                       []string
	Owners                           []metav1.OwnerReference
	Gates                            [2]bool
	Types                            []corev1.PodConditionType // of all conditions, if the Pod lacks one of its gates'
	Conditions                       map[corev1.PodConditionType]keptCondition
	Containers                       []container
	Statuses                         []corev1.ContainerStatus
	Trouble                          inplace.Trouble
	QoS                              inplace.QoS
}

type container struct {
	Name, Image, Priority string
	Size                  inplace.Size
}

// facingOfKept does the same with what is kept of it.
func facingOfKept(k *Pod) facing {
	f := facingOf(k.Pod())
	for i := range f.Containers {
		f.Containers[i].Size = k.Size(i)
	}
	f.Trouble, f.QoS = k.Resizes()
	return f
}

// facingOf reads a Pod as a workload would.
func facingOf(pod *corev1.Pod) facing {
	f := facing{
		Unit: pod.Namespace + "/" + pod.Name, UID: string(pod.UID), Node: pod.Spec.NodeName,
		Generation: pod.Generation, Observed: pod.Status.ObservedGeneration, Created: pod.CreationTimestamp,
		Leaving: pod.DeletionTimestamp != nil, Phase: pod.Status.Phase, Labels: pod.Labels, Annotations: annotation.Of(pod.Annotations), Grace: 30,
		Finalizers: pod.Finalizers, Owners: pod.OwnerReferences, Conditions: map[corev1.PodConditionType]keptCondition{},
	}
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		f.Grace = *g
	}
	for _, gate := range pod.Spec.ReadinessGates {
		f.Gates[0] = f.Gates[0] || gate.ConditionType == "InPlaceUpdateReady"
		f.Gates[1] = f.Gates[1] || gate.ConditionType == "KruisePodReady"
	}
	for i, c := range pod.Status.Conditions {
		switch c.Type {
		case "Ready", "InPlaceUpdateReady", "KruisePodReady":
			f.Conditions[c.Type] = keptCondition{status: c.Status, reason: c.Reason, message: c.Message, index: i}
		case "PodScheduled", "ContainersReady":
			f.Conditions[c.Type] = keptCondition{status: c.Status, index: i}
		}
		if c.Type == "Ready" {
			f.ReadySince = c.LastTransitionTime.Unix()
		}
	}
	if f.Gates[0] && f.Conditions["InPlaceUpdateReady"].status == "" || f.Gates[1] && f.Conditions["KruisePodReady"].status == "" {
		for _, c := range pod.Status.Conditions {
			f.Types = append(f.Types, c.Type)
		}
	}
	for _, c := range pod.Spec.Containers {
		is := container{Name: c.Name, Image: c.Image}
		is.Size = inplace.SizeOf(pod, &c, inplace.StatusOf(pod.Status.ContainerStatuses, c.Name), inplace.ResizedFieldsOf(pod.ManagedFields))
		f.QoS.Add(&is.Size.Amounts)
		for _, env := range c.Env {
			if env.Name == "KRUISE_CONTAINER_PRIORITY" {
				is.Priority = env.Value
			}
		}
		f.Containers = append(f.Containers, is)
	}
	for i := range pod.Spec.InitContainers {
		amounts := inplace.AmountsOf(&pod.Spec.InitContainers[i], true, "")
		f.QoS.Add(&amounts)
	}
	f.Trouble, f.QoS.Fixed = inplace.TroubleOf(&pod.Status), pod.Spec.Resources != nil
	for _, s := range pod.Status.ContainerStatuses {
		s.State.Waiting, s.State.Terminated, s.Resources = nil, nil, nil
		f.Statuses = append(f.Statuses, s)
	}
	return f
}

func compare() cmp.Options {
	return cmp.Options{cmpopts.EquateEmpty(), cmp.AllowUnexported(keptCondition{})}
}

func TestTrim_keepsEveryFactForWorkloads(t *testing.T) {
	kinds := map[string]func() *corev1.Pod{
		"owned":                     owned,
		"owned, without sidecars":   func() *corev1.Pod { return plain(owned()) },
		"nobody's":                  func() *corev1.Pod { return orphaned(owned()) },
		"nobody's without sidecars": func() *corev1.Pod { return plain(orphaned(owned())) },
	}
	for kind, made := range kinds {
		for name, change := range workloadChanges() {
			t.Run(kind+"/"+name, func(t *testing.T) {
				pod := made()
				change(pod)
				kept := trimmed(t, pod)
				if diff := cmp.Diff(facingOf(pod), facingOfKept(kept), compare()); diff != "" {
					t.Errorf("(-whole +trimmed):\n%s", diff)
				}
				if diff := cmp.Diff(kept.Pod(), trimmed(t, kept.Pod()).Pod(), compare()); diff != "" {
					t.Errorf("twice is not once:\n%s", diff)
				}
			})
		}
	}
}

// TestSameForWorkloads_isFalseForWhateverAWorkloadReads makes every change after every other.
func TestSameForWorkloads_isFalseForWhateverAWorkloadReads(t *testing.T) {
	all := workloadChanges()
	for _, first := range slices.Sorted(maps.Keys(all)) {
		for second, change := range all {
			old := owned()
			all[first](old)
			now := old.DeepCopy()
			if len(now.Spec.Containers) < 2 || len(now.Status.ContainerStatuses) == 0 || len(now.Status.Conditions) < 2 {
				continue
			}
			change(now)
			before, after := facingOf(old), facingOf(now)
			for _, f := range []*facing{&before, &after} {
				f.Annotations = slices.DeleteFunc(f.Annotations, func(e annotation.Entry) bool { return strings.HasPrefix(e.Key, "example.com/") })
			}
			if !cmp.Equal(before, after, compare()) && SameForWorkloads(trimmed(t, old), trimmed(t, now)) {
				t.Errorf("%s, then %s: what a workload reads changes, and nothing tells", first, second)
			}
		}
	}
}

func TestSameForWorkloads_isTrueForHeartbeats(t *testing.T) {
	for name, change := range heartbeats() {
		old, now := owned(), owned()
		change(now)
		if !SameForWorkloads(trimmed(t, old), trimmed(t, now)) {
			t.Errorf("a heartbeat %s wakes somebody", name)
		}
	}
}

func TestSameAnnotations(t *testing.T) {
	old, now := trimmed(t, owned()), owned()
	now.Annotations["prometheus.io/scrape"] = "false"
	delete(now.Annotations, "example.com/owner")
	changed := trimmed(t, now)
	for key, same := range map[string]bool{"prometheus.io/scrape": false, "example.com/owner": false, v1beta1.LifecycleTimestampAnnotation: true, "none": true} {
		if got := SameAnnotations(old, changed, []string{"other", key}); got != same {
			t.Errorf("%s: same %v", key, got)
		}
	}
}

func TestTrim_whomAPodConcerns(t *testing.T) {
	owner := func(o ...metav1.OwnerReference) *corev1.Pod {
		pod := plain(owned())
		pod.OwnerReferences = o
		return pod
	}
	carrier := updatedCarrier()
	carrier.OwnerReferences = []metav1.OwnerReference{controller("apps/v1", "ReplicaSet")}
	notController := controller("apps.kruise.io/v1alpha1", "CloneSet")
	notController.Controller = nil
	for name, c := range map[string]struct {
		pod                                *corev1.Pod
		facts, carries, controlled, orphan bool
	}{
		"of a CloneSet":                   {pod: owner(controller("apps.kruise.io/v1alpha1", "CloneSet")), facts: true, controlled: true},
		"of a CloneSet, with sidecars":    {pod: owned(), facts: true, carries: true, controlled: true},
		"of nobody":                       {pod: owner(), facts: true, orphan: true},
		"of nobody, with sidecars":        {pod: updatedCarrier(), facts: true, carries: true, orphan: true},
		"with an owner that controls not": {pod: owner(notController), facts: true, orphan: true},
		"of a ReplicaSet":                 {pod: owner(controller("apps/v1", "ReplicaSet"))},
		"of a ReplicaSet, with sidecars":  {pod: carrier, facts: true, carries: true},
		"of a group that sounds like it":  {pod: owner(controller("apps.kruise.io.example.com/v1", "CloneSet"))},
		"of a node":                       {pod: owner(controller("v1", "Node"))},
	} {
		kept := trimmed(t, c.pod)
		by, controlled := kept.Controller()
		got := [...]bool{kept.facts != nil, kept.Carries(), controlled, kept.Orphan()}
		if want := [...]bool{c.facts, c.carries, c.controlled, c.orphan}; got != want {
			t.Errorf("%s: facts, carries, controlled, orphan: %v, want %v", name, got, want)
		}
		if want := (Owner{APIVersion: by.APIVersion, Kind: "CloneSet", Name: "web", UID: "uid-web"}); controlled && by != want {
			t.Errorf("%s: controlled by %+v", name, by)
		}
		if workloads := c.controlled || c.orphan; !workloads && len(kept.Pod().OwnerReferences) > 0 {
			t.Errorf("%s: keeps owners for nobody", name)
		}
	}
}
