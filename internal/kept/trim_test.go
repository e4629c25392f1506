package kept

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// changes are what can happen to a Pod, each on its own.
func changes() map[string]func(*corev1.Pod) {
	annotate := func(key, value string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.Annotations[key] = value }
	}
	status := func(change func(*corev1.ContainerStatus)) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { change(&pod.Status.ContainerStatuses[0]) }
	}
	return map[string]func(*corev1.Pod){
		"nothing":              func(*corev1.Pod) {},
		"uid":                  func(pod *corev1.Pod) { pod.UID = "another" },
		"generation":           func(pod *corev1.Pod) { pod.Generation = 8 },
		"label":                func(pod *corev1.Pod) { pod.Labels["app"] = "other" },
		"deleting":             func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: testkit.Start()} },
		"heartbeat annotation": annotate("example.com/heartbeat", "now"),
		"injected list":        annotate(v1beta1.SidecarSetInjectedListAnnotation, "other"),
		"hash":                 annotate(v1beta1.SidecarSetHashAnnotation, "{}"),
		"hash without image":   annotate(v1beta1.SidecarSetHashWithoutImageAnnotation, "{}"),
		"state":                annotate(v1beta1.SidecarSetInPlaceUpdateStateAnnotation, "{}"),
		"unreadable state":     annotate(v1beta1.SidecarSetInPlaceUpdateStateAnnotation, "["),
		"unscheduled":          func(pod *corev1.Pod) { pod.Spec.NodeName = "" },
		"image":                func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "logtail:9" },
		"fewer containers":     func(pod *corev1.Pod) { pod.Spec.Containers = pod.Spec.Containers[1:] },
		"env":                  func(pod *corev1.Pod) { pod.Spec.Containers[1].Env = []corev1.EnvVar{{Name: "A"}} },
		"phase":                func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodPending },
		"finished":             func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded },
		"observed generation":  func(pod *corev1.Pod) { pod.Status.ObservedGeneration = 3 },
		"not ready":            func(pod *corev1.Pod) { pod.Status.Conditions[1].Status = corev1.ConditionFalse },
		"ready since": func(pod *corev1.Pod) {
			pod.Status.Conditions[1].LastTransitionTime = metav1.NewTime(testkit.Start())
		},
		"not upgradable": func(pod *corev1.Pod) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: v1beta1.PodUpgradable, Status: corev1.ConditionFalse, Message: `{"logtail":false,"other":true}`,
			})
		},
		"upgradable again": func(pod *corev1.Pod) {
			pod.Status.Conditions = append([]corev1.PodCondition{{
				Type: v1beta1.PodUpgradable, Status: corev1.ConditionTrue, Message: `{"logtail":true,"other":true}`,
			}}, pod.Status.Conditions...)
		},
		"nonsense in the condition": func(pod *corev1.Pod) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: v1beta1.PodUpgradable, Status: corev1.ConditionUnknown, Message: `null`,
			})
		},
		"probed":          func(pod *corev1.Pod) { pod.Status.Conditions[1].LastProbeTime = metav1.NewTime(testkit.Start()) },
		"status image":    status(func(s *corev1.ContainerStatus) { s.Image = "logtail:9" }),
		"image id":        status(func(s *corev1.ContainerStatus) { s.ImageID = "sha256:9" }),
		"container id":    status(func(s *corev1.ContainerStatus) { s.ContainerID = "containerd://9" }),
		"container ready": status(func(s *corev1.ContainerStatus) { s.Ready = !s.Ready }),
		"working":         annotate(v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation, `{"envoy":"envoy-2"}`),
		"hot version":     annotate(v1beta1.SidecarSetVersionAnnotationPrefix+"envoy-1", "7"),
		"native sidecar": func(pod *corev1.Pod) {
			always := corev1.ContainerRestartPolicyAlways
			pod.Spec.InitContainers = []corev1.Container{{Name: "logtail", Image: "logtail:1", RestartPolicy: &always, Env: pod.Spec.Containers[0].Env}}
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "logtail", Image: "logtail:1", ImageID: "sha256:1", Ready: true}}
		},
		"cpu": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0.2")}
		},
		"other limits": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("1Gi")}
		},
		"resized": func(pod *corev1.Pod) {
			pod.ManagedFields = []metav1.ManagedFieldsEntry{{
				Manager: "outrigger", Subresource: "resize", Time: &metav1.Time{Time: testkit.Start()},
				FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:containers":{"k:{\"name\":\"logtail\"}":{"f:resources":{"f:requests":{"f:cpu":{}}}}}}}`),
			}}
		},
		"resize deferred": func(pod *corev1.Pod) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: "Deferred"})
		},
		"restarts":  status(func(s *corev1.ContainerStatus) { s.RestartCount = 9 }),
		"no status": func(pod *corev1.Pod) { pod.Status.ContainerStatuses = nil },
		"waiting": status(func(s *corev1.ContainerStatus) {
			s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}
		}),
	}
}

func trimmed(t testing.TB, pod *corev1.Pod) *Pod {
	t.Helper()
	kept, err := Trim(pod.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	return kept.(*Pod)
}

// updatedCarrier is a Pod of which every fact has a value.
func updatedCarrier() *corev1.Pod {
	pod := testkit.Carrier("web-1", testkit.SidecarSet("logtail", "logtail:1", intstr.FromInt32(1)))
	pod.Generation, pod.ResourceVersion = 7, "1001"
	pod.Annotations[v1beta1.SidecarSetInPlaceUpdateStateAnnotation] = `{"logtail":{"revision":"r","updateTimestamp":"2030-01-01T00:00:00Z",` +
		`"lastContainerStatuses":{"logtail":{"image":"logtail:0","imageID":"sha256:logtail:0","containerID":"containerd://web-1-logtail-0"}}}}`
	return pod
}

func TestTrim_keepsEveryFact(t *testing.T) {
	for name, change := range changes() {
		t.Run(name, func(t *testing.T) {
			pod := updatedCarrier()
			change(pod)
			want, wantOK := sidecarset.Project(pod, "logtail")
			kept := trimmed(t, pod)
			got, gotOK := sidecarset.Project(kept.Pod(), "logtail")
			if gotOK {
				got.Complete(kept)
			}
			if diff := cmp.Diff(want, got); diff != "" || wantOK != gotOK {
				t.Errorf("carries %v, trimmed %v (-whole +trimmed):\n%s", wantOK, gotOK, diff)
			}
			if !wantOK {
				return
			}
			if diff := cmp.Diff(trimmed(t, pod).Pod(), trimmed(t, trimmed(t, pod).Pod()).Pod()); diff != "" {
				t.Errorf("twice is not once:\n%s", diff)
			}
		})
	}
}

func TestSame_isFalseForWhateverChangesARecord(t *testing.T) {
	all, same := changes(), 0
	for _, first := range slices.Sorted(maps.Keys(all)) {
		for second, change := range all {
			old := updatedCarrier()
			all[first](old)
			now := old.DeepCopy()
			if len(now.Spec.Containers) < 2 || len(now.Status.ContainerStatuses) == 0 {
				continue
			}
			change(now)
			before, beforeOK := sidecarset.Project(old, "logtail")
			after, afterOK := sidecarset.Project(now, "logtail")
			changed := beforeOK != afterOK || !cmp.Equal(before, after, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(before, "Annotations"))
			if !Same(trimmed(t, old), trimmed(t, now)) {
				continue
			}
			same++
			if changed {
				t.Errorf("%s, then %s: the record changes and Same does not tell", first, second)
			}
		}
	}
	if same < 4*len(all)/2 {
		t.Errorf("only %d changes make no difference: Same tells too much", same)
	}
}

func TestTrim_whatIsNotAPod(t *testing.T) {
	if got, err := Trim(toolscache.DeletedFinalStateUnknown{Key: "a"}); err != nil || got == nil {
		t.Errorf("a tombstone: %v, %v", got, err)
	}
	if _, err := Trim(&corev1.Node{}); err == nil {
		t.Error("a node is no error")
	}
}

// TestTrim_size is goal B7: at most 2.5 KB of cache per Pod.
func TestTrim_size(t *testing.T) {
	foreign := func(pod *corev1.Pod) *corev1.Pod {
		pod.OwnerReferences = []metav1.OwnerReference{controller("apps/v1", "ReplicaSet")}
		return pod
	}
	if got := size(func(i int) any { return whole(updatedCarrier(), i) }); got < 8000 {
		t.Fatalf("a whole pod is %d bytes: not what it is meant to be", got)
	}
	for name, c := range map[string]struct {
		pod  func() *corev1.Pod
		most int
	}{
		"a carrier":                    {func() *corev1.Pod { return foreign(updatedCarrier()) }, 2500},
		"a carrier that is nobody's":   {updatedCarrier, 2500},
		"one of a CloneSet":            {func() *corev1.Pod { return plain(owned()) }, 2500},
		"a carrier of a CloneSet":      {owned, 2500},
		"one of nobody":                {func() *corev1.Pod { return plain(orphaned(owned())) }, 2500},
		"a foreign one, none of these": {func() *corev1.Pod { return foreign(plain(owned())) }, 500},
	} {
		if got := size(func(i int) any { return trimmed(t, whole(c.pod(), i)) }); got > c.most {
			t.Errorf("%s takes %d bytes, at most %d are allowed", name, got, c.most)
		} else {
			t.Logf("%s takes %d bytes", name, got)
		}
	}
}

// size is how much memory one of many takes.
func size(make func(i int) any) int {
	const n = 500
	pods := [n]any{}
	before := heap()
	for i := range pods {
		pods[i] = make(i)
	}
	after := heap()
	runtime.KeepAlive(&pods)
	return int(after-before) / n
}

// whole adds to a Pod what real ones have beside.
func whole(pod *corev1.Pod, i int) *corev1.Pod {
	id := fmt.Sprintf("b%04d", i)
	pod.Name, pod.Labels["apps.kruise.io/cloneset-instance-id"] = "web-"+id, id
	pod.Annotations["cni.projectcalico.org/containerID"] = fmt.Sprintf("%064d", i)
	pod.Annotations["cni.projectcalico.org/podIP"] = fmt.Sprintf("10.0.%d.%d/32", i/256, i%256)
	pod.Annotations["prometheus.io/scrape"], pod.Status.PodIP = "true", fmt.Sprintf("10.0.%d.%d", i/256, i%256)
	pod.Annotations["k8s.v1.cni.cncf.io/network-status"] = fmt.Sprintf("%0200d", i)
	pod.Annotations[corev1.LastAppliedConfigAnnotation] = fmt.Sprintf("%03000d", i)
	for range 10 {
		pod.ManagedFields = append(pod.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: "kubelet", Time: &metav1.Time{Time: time.Unix(0, 0)}, FieldsV1: metav1.NewFieldsV1(fmt.Sprintf("%0600d", i)),
		})
	}
	return received(pod)
}

// received is a Pod as the watch brings it: no string of it is anybody else's.
func received(pod *corev1.Pod) *corev1.Pod {
	data, err := pod.Marshal()
	if err != nil {
		panic(err)
	}
	pod = &corev1.Pod{}
	if err := pod.Unmarshal(data); err != nil {
		panic(err)
	}
	return pod
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
