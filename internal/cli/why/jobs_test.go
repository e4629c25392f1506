package why_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/cli/why"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// imagesOf are the facts of a job, two at a time, on nodes that are ready and have an agent.
func imagesOf(nodes ...string) why.ImageFacts {
	job := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "next", UID: "job"}}
	job.Spec.Image, job.Spec.Parallelism = "registry.example/app:2", ptr.To(intstr.FromInt32(2))
	f := why.ImageFacts{Now: testkit.Start(), Job: job}
	for _, name := range nodes {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		ni := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
		ni.Status.FirstSyncStatus = &v1beta1.SyncStatus{}
		f.Nodes, f.Images = append(f.Nodes, n), append(f.Images, ni)
	}
	return f
}

// pulls has a node pull for the job, as far as phase.
func pulls(f why.ImageFacts, node int, phase v1beta1.ImagePullPhase, message string) {
	ni := f.Images[node]
	tag := v1beta1.ImageTagSpec{Tag: "2", Version: 1, OwnerReferences: []v1beta1.ImageTagOwner{{UID: f.Job.UID}}}
	ni.Spec.Images = map[string]v1beta1.NodeImageEntry{"registry.example/app": {Tags: []v1beta1.ImageTagSpec{tag}}}
	ni.Status.ImageStatuses = map[string]v1beta1.ImageStatus{"registry.example/app": {Tags: []v1beta1.ImageTagStatus{{Tag: "2", Version: 1, Phase: phase, Message: message}}}}
}

func TestOfImagePullJob(t *testing.T) {
	tests := map[string]struct {
		change func(f *why.ImageFacts)
		want   []string
	}{
		"it begins": {
			func(*why.ImageFacts) {},
			[]string{
				"ImagePullJob shop/next\n  image       registry.example/app:2", "4 selected: 0 with the image, 0 pulling, 0 failed; 2 may pull at a time",
				"Now:\n  PatchObject  2 objects: a, b\n    it is the node's turn", "Held:\n  Parallelism  2 nodes: c, d\n    as many nodes as parallelism allows are pulling",
			},
		},
		"all that can be": {
			func(f *why.ImageFacts) {
				pulls(*f, 0, v1beta1.ImagePhasePulling, "")
				pulls(*f, 1, v1beta1.ImagePhaseFailed, "manifest unknown")
				pulls(*f, 2, v1beta1.ImagePhaseSucceeded, "")
				f.Nodes[3].Status.Conditions = append(f.Nodes[3].Status.Conditions, corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue})
			},
			[]string{
				"4 selected: 1 with the image, 1 pulling, 1 failed", "pulling     1 node: a", "DiskPressure  1 node: d\n    the node has DiskPressure",
				"Failed or left out:\n  b  PullFailed\n    manifest unknown",
			},
		},
		"a node that is given up": {
			func(f *why.ImageFacts) {
				for i := range 3 {
					pulls(*f, i, v1beta1.ImagePhaseSucceeded, "")
				}
				f.Job.CreationTimestamp = metav1.NewTime(f.Now.Add(-time.Hour))
				f.Job.Status.StartTime = &f.Job.CreationTimestamp
				f.Nodes[3].Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, LastTransitionTime: f.Job.CreationTimestamp}
			},
			[]string{"3 with the image, 0 pulling, 1 failed", "Failed or left out:\n  d  NodeNotReady\n"},
		},
		"paused": {
			func(f *why.ImageFacts) { f.Job.Spec.Parallelism = ptr.To(intstr.FromInt32(0)) },
			[]string{"Paused  4 nodes: a, b, c and 1 more\n    parallelism is 0"},
		},
		"the nodes of Pods": {
			func(f *why.ImageFacts) {
				f.Job.Spec.PodSelector = &v1beta1.ImagePullJobPodSelector{}
				on := func(node string, change func(*corev1.Pod)) {
					pod := corev1.Pod{Spec: corev1.PodSpec{NodeName: node}}
					change(&pod)
					f.Pods = append(f.Pods, pod)
				}
				on("b", func(*corev1.Pod) {})
				on("b", func(*corev1.Pod) {})
				on("", func(*corev1.Pod) {})
				on("c", func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed })
				on("d", func(pod *corev1.Pod) { pod.Labels = map[string]string{v1beta1.ImagePullPodLabel: "x"} })
			},
			[]string{"1 selected: ", "PatchObject  1 object: b"},
		},
		"private": {
			func(f *why.ImageFacts) {
				f.Job.Spec.PullSecrets = []string{"regcred"}
				pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "next-a-1", CreationTimestamp: metav1.NewTime(f.Now)}, Spec: corev1.PodSpec{NodeName: "a"}}
				other := pod
				pod.OwnerReferences = []metav1.OwnerReference{{UID: "job", Controller: ptr.To(true)}}
				other.Spec.NodeName = "b"
				f.Pulling = []corev1.Pod{pod, other}
			},
			[]string{"0 with the image, 1 pulling, 0 failed", "pulling     1 node: a", "CreatePod  1 object: shop/next-"},
		},
		"it has ended": {
			func(f *why.ImageFacts) {
				f.Job.Status = v1beta1.ImagePullJobStatus{Desired: 4, Succeeded: 4, Message: "job has completed", CompletionTime: &metav1.Time{Time: f.Now}}
				f.Job.Spec.CompletionPolicy.TTLSecondsAfterFinished = ptr.To[int32](60)
			},
			[]string{"4 selected: 4 with the image", "status      job has completed", "time alone may change this in 1m0s"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := imagesOf("a", "b", "c", "d")
			tt.change(&f)
			report, err := why.OfImagePullJob(f)
			if err != nil {
				t.Fatal(err)
			}
			saysAll(t, report.String(), tt.want)
			for _, n := range report.Nodes {
				if slices.ContainsFunc(report.Holds, func(h why.HeldPods) bool { return slices.Contains(h.Examples, n.Node) }) {
					t.Errorf("node %s is held, too:\n%s", n.Node, report)
				}
			}
		})
	}
}

func saysAll(t *testing.T, text string, wants []string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in:\n%s", want, text)
		}
	}
}

// markersOf are the facts of a marker with the probe idle of container game, and of Pods a and b on node n.
func markersOf() why.MarkerFacts {
	m := v1beta1.PodProbeMarker{ObjectMeta: metav1.ObjectMeta{Namespace: "games", Name: "idle", UID: "m", Finalizers: []string{v1beta1.PodProbeMarkerFinalizer}}}
	m.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "game"}}
	m.Spec.Probes = []v1beta1.PodContainerProbe{{Name: "idle", ContainerName: "game", PodConditionType: "game.io/idle"}}
	f := why.MarkerFacts{Now: testkit.Start(), Marker: &m, Virtual: map[string]bool{"virtual": true}}
	for _, name := range []string{"a", "b"} {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "games", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "game"}}}
		pod.Spec.NodeName, pod.Spec.Containers, pod.Status.PodIP = "n", []corev1.Container{{Name: "game"}}, "10.0.0.1"
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}}
		f.Pods = append(f.Pods, pod)
	}
	told := v1beta1.NodePodProbe{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	for _, name := range []string{"a", "b"} {
		told.Spec.PodProbes = append(told.Spec.PodProbes, v1beta1.PodProbe{Namespace: "games", Name: name, UID: name, Probes: []v1beta1.ContainerProbe{{Name: "idle#idle"}, {Name: "other#x"}}})
	}
	told.Status.PodProbeStatuses = []v1beta1.PodProbeStatus{{Namespace: "games", Name: "a", UID: "a", ProbeStates: []v1beta1.ContainerProbeState{
		{Name: "idle#idle", State: v1beta1.ProbeFailed, Message: "busy: 3 players"},
	}}}
	f.Told = []v1beta1.NodePodProbe{told}
	return f
}

func TestOfPodProbeMarker(t *testing.T) {
	tests := map[string]struct {
		change func(f *why.MarkerFacts)
		want   []string
	}{
		"what is found": {
			func(*why.MarkerFacts) {},
			[]string{
				"PodProbeMarker games/idle\n  pods        2 selected, 2 started", "Found:\n  idle  Failed  1 pod: games/a\n    busy: 3 players",
				"idle  Unknown  1 pod: games/b\n    the agent of node n has told nothing of it", "Probed      True  AllProbed",
			},
		},
		"what is not probed": {
			func(f *why.MarkerFacts) {
				f.Pods[0].Spec.Containers[0].Name, f.Pods[1].Spec.NodeName = "other", "virtual"
				f.Told = nil
			},
			[]string{"ContainerNotFound  1 pod: games/a", "NodeNotServed  1 pod: games/b", "Probed      False ContainerNotFound"},
		},
		"an older marker": {
			func(f *why.MarkerFacts) {
				older := *f.Marker.DeepCopy()
				older.Name, older.CreationTimestamp = "older", metav1.NewTime(f.Now.Add(-time.Hour))
				f.Marker.CreationTimestamp = metav1.NewTime(f.Now)
				f.Markers = []v1beta1.PodProbeMarker{older}
			},
			[]string{"Conflict  2 pods: games/a, games/b\n    probe idle: PodProbeMarker older, which is older"},
		},
		"being deleted": {
			func(f *why.MarkerFacts) { f.Marker.DeletionTimestamp = &metav1.Time{Time: f.Now} },
			[]string{"WaitingForNodes", "node n still probes for it"},
		},
		"nobody has looked": {
			func(f *why.MarkerFacts) { f.Marker.Generation, f.Pods = 1, nil },
			[]string{"0 selected, 0 started", "note        no manager has acted on the newest spec yet", "NoPods"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := markersOf()
			tt.change(&f)
			f.Markers = append(f.Markers, *f.Marker)
			report, err := why.OfPodProbeMarker(f)
			if err != nil {
				t.Fatal(err)
			}
			saysAll(t, report.String(), tt.want)
		})
	}
}
