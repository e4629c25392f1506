package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

const gameServers = `
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {name: game, namespace: ns}
spec:
  replicas: 3
  selector: {matchLabels: {app: game-server}}
  template:
    metadata: {labels: {app: game-server}}
    spec:
      containers:
      - {name: game-server, image: "game:1", ports: [{name: http, containerPort: 8080}]}
`

// games starts three game servers and examples/05.
func games(t *testing.T) {
	t.Helper()
	namespace(t, "ns")
	kubectl(t, gameServers, "apply", "-f", "-")
	kubectl(t, documents(t, "05-podprobemarker.yaml")[0], "apply", "-f", "-")
	t.Cleanup(func() {
		for _, object := range []string{"podprobemarkers", "clonesets"} {
			if out, err := cluster.Kubectl(context.Background(), "delete", object, "-n", "ns", "--all"); err != nil {
				t.Errorf("delete %s: %v %s", object, err, out)
			}
		}
	})
}

// tasks are what nodes are told of the Pods of namespace ns, by Pod.
func tasks(ctx context.Context) (map[string]task, error) {
	out, err := cluster.Kubectl(ctx, "get", "nodepodprobes", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list v1beta1.NodePodProbeList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	all := map[string]task{}
	for i := range list.Items {
		for _, pod := range list.Items[i].Spec.PodProbes {
			if pod.Namespace == "ns" {
				all[pod.Name] = task{list.Items[i].Name, pod}
			}
		}
	}
	return all, nil
}

type task struct {
	node string
	v1beta1.PodProbe
}

// told waits until the nodes are told of so many Pods.
func told(t *testing.T, pods int) (all map[string]task) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) (err error) {
		if all, err = tasks(ctx); err == nil && len(all) != pods {
			err = fmt.Errorf("nodes probe %d pods, want %d", len(all), pods)
		}
		return err
	})
	return all
}

// found writes what the agent of a Pod's node would.
func found(t *testing.T, to task, probed metav1.Time, state v1beta1.ProbeState, message string) {
	t.Helper()
	status := v1beta1.NodePodProbeStatus{PodProbeStatuses: []v1beta1.PodProbeStatus{}}
	var is v1beta1.NodePodProbe
	if err := json.Unmarshal([]byte(kubectl(t, "", "get", "nodepodprobe", to.node, "-o", "json")), &is); err != nil {
		t.Fatal(err)
	}
	for _, s := range is.Status.PodProbeStatuses {
		if s.UID != to.UID {
			status.PodProbeStatuses = append(status.PodProbeStatuses, s)
		}
	}
	of := v1beta1.PodProbeStatus{Name: to.Name, Namespace: to.Namespace, UID: to.UID}
	for _, p := range to.Probes {
		of.ProbeStates = append(of.ProbeStates, v1beta1.ContainerProbeState{
			Name: p.Name, State: state, Message: message, LastProbeTime: probed, LastTransitionTime: probed,
		})
	}
	status.PodProbeStatuses = append(status.PodProbeStatuses, of)
	data, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "", "patch", "nodepodprobe", to.node, "--subresource=status", "--type=merge", "-p", string(data))
}

// marked waits for a Pod's label, deletion cost and condition game.io/idle.
func marked(t *testing.T, pod, label, cost, condition, message string) (is *corev1.Pod) {
	t.Helper()
	eventually(t, 30*time.Second, func(context.Context) error {
		is = get(t, "ns", pod)
		status, says := "", ""
		for _, c := range is.Status.Conditions {
			if c.Type == "game.io/idle" {
				status, says = string(c.Status), c.Message
			}
		}
		got := []string{is.Labels["gameserver-idle"], is.Annotations[corev1.PodDeletionCost], status, says}
		if want := []string{label, cost, condition, message}; !slices.Equal(got, want) {
			return fmt.Errorf("pod %s has label, cost, condition, message %q, want %q", pod, got, want)
		}
		return nil
	})
	return is
}

// TestPodProbeMarker_exampleMarksPods: what the agents write reaches the Pods by one write each, and steers who goes at
// scale-in.
func TestPodProbeMarker_exampleMarksPods(t *testing.T) {
	games(t)
	all := told(t, 3)
	names := make([]string, 0, len(all))
	for name, task := range all {
		names = append(names, name)
		if got := task.Probes[0].Name; got != "game-server-probe#Idle" || task.Probes[0].ContainerName != "game-server" || task.IP == "" {
			t.Errorf("%s is probed by %s at %q", name, got, task.IP)
		}
	}
	slices.Sort(names)
	marker(t, "3", "True", "AllProbed")
	before := podWrites(t)
	at := metav1.NewTime(time.Now().Add(-time.Minute).Truncate(time.Second))
	found(t, all[names[0]], at, v1beta1.ProbeFailed, "busy: 3 players")
	found(t, all[names[1]], at, v1beta1.ProbeSucceeded, "")
	found(t, all[names[2]], at, v1beta1.ProbeFailed, "")
	pod := marked(t, names[0], "false", "10", "False", "busy: 3 players")
	for _, c := range pod.Status.Conditions {
		if c.Type == "game.io/idle" && (!c.LastProbeTime.Equal(&at) || !c.LastTransitionTime.Equal(&at)) {
			t.Errorf("the condition was probed at %s and changed at %s, want %s", c.LastProbeTime, c.LastTransitionTime, at)
		}
	}
	marked(t, names[1], "true", "-10", "True", "")
	marked(t, names[2], "false", "10", "False", "")
	eventually(t, time.Minute, func(context.Context) error { // the manager counts a write when it is answered
		if got := podWrites(t) - before; got < 3 {
			return fmt.Errorf("%d writes to pods are counted", got)
		}
		return nil
	})
	if got := podWrites(t) - before; got != 3 {
		t.Errorf("3 pods have news: %d writes to pods", got)
	}
	event(t, names[0], "KruiseProbeFailed", "busy: 3 players")
	event(t, names[1], "KruiseProbeSucceeded", "")
	says(t, whyIs(t, "podprobemarker/game-server-probe", "-n", "ns"), "3 selected, 3 started", "Failed  2 pods: ", "Succeeded  1 pod: ns/"+names[1], "True  AllProbed")

	version := marked(t, names[0], "false", "10", "False", "busy: 3 players").ResourceVersion
	found(t, all[names[0]], metav1.Now(), v1beta1.ProbeFailed, "busy: 3 players")
	found(t, all[names[1]], metav1.Now(), v1beta1.ProbeUnknown, "") // a new container: nothing is known
	marked(t, names[1], "", "", "Unknown", "")
	if is := get(t, "ns", names[0]); is.ResourceVersion != version {
		t.Errorf("nothing new was found, and the pod was written to: %s, then %s", version, is.ResourceVersion)
	}
	found(t, all[names[1]], metav1.Now(), v1beta1.ProbeSucceeded, "idle")
	marked(t, names[1], "true", "-10", "True", "idle")
	kubectl(t, "", "patch", "cloneset", "game", "-n", "ns", "--type=merge", "-p", `{"spec":{"replicas":2}}`)
	left := told(t, 2)
	if _, there := left[names[1]]; there {
		t.Errorf("scale-in left the idle pod %s", names[1])
	}
}

// TestPodProbeMarker_deletedTakesBack: what results left in Pods goes with the marker, and so does its probe.
func TestPodProbeMarker_deletedTakesBack(t *testing.T) {
	games(t)
	for _, task := range told(t, 3) {
		found(t, task, metav1.Now(), v1beta1.ProbeSucceeded, "idle")
	}
	all := told(t, 3)
	for name := range all {
		marked(t, name, "true", "-10", "True", "idle")
	}
	if got := kubectl(t, "", "get", "podprobemarker", "-n", "ns", "game-server-probe", "-o", "jsonpath={.metadata.finalizers}"); !strings.Contains(got, v1beta1.PodProbeMarkerFinalizer) {
		t.Errorf("finalizers are %s", got)
	}
	kubectl(t, "", "delete", "podprobemarker", "-n", "ns", "game-server-probe", "--timeout=30s")
	told(t, 0)
	for name := range all {
		marked(t, name, "", "", "", "")
	}
}

// TestPodProbeMarker_gateOff: who switches the feature off has nothing left of it in Pods and on nodes, and can delete markers.
func TestPodProbeMarker_gateOff(t *testing.T) {
	games(t)
	for _, task := range told(t, 3) {
		found(t, task, metav1.Now(), v1beta1.ProbeSucceeded, "idle")
	}
	all := told(t, 3)
	for name := range all {
		marked(t, name, "true", "-10", "True", "idle")
	}
	restarted(t, "--feature-gates=PodProbeMarkerGate=false")
	told(t, 0)
	for name := range all {
		marked(t, name, "", "", "", "")
	}
	kubectl(t, "", "delete", "podprobemarker", "-n", "ns", "game-server-probe", "--timeout=30s")
}

// TestPodProbeMarker_saysWhatIsNotProbed: the status names the Pods and why.
func TestPodProbeMarker_saysWhatIsNotProbed(t *testing.T) {
	games(t)
	told(t, 3)
	kubectl(t, "", "patch", "podprobemarker", "-n", "ns", "game-server-probe", "--type=json",
		"-p", `[{"op":"replace","path":"/spec/probes/0/containerName","value":"other"}]`)
	marker(t, "3", "False", "ContainerNotFound")
	told(t, 0)
	kubectl(t, "", "patch", "podprobemarker", "-n", "ns", "game-server-probe", "--type=json",
		"-p", `[{"op":"replace","path":"/spec/probes/0","value":{"name":"Idle","containerName":"game-server","podConditionType":"game.io/idle","probe":{"httpGet":{"path":"/idle","port":"http"}}}}]`)
	marker(t, "3", "True", "AllProbed")
	for _, task := range told(t, 3) {
		if get := task.Probes[0].Probe.HTTPGet; get == nil || get.Port.IntValue() != 8080 || get.Scheme != corev1.URISchemeHTTP {
			t.Errorf("the node is told to ask %+v", get)
		}
	}
	kubectl(t, "", "patch", "podprobemarker", "-n", "ns", "game-server-probe", "--type=json",
		"-p", `[{"op":"replace","path":"/spec/probes/0/probe/httpGet/port","value":"admin"}]`)
	marker(t, "3", "False", "PortNotFound")
	told(t, 0)
}

// TestPodProbeMarker_saysWhoGoesFirst: of two that give a label other values, the younger says so until the older is gone.
func TestPodProbeMarker_saysWhoGoesFirst(t *testing.T) {
	games(t)
	told(t, 3)
	kubectl(t, `
apiVersion: apps.kruise.io/v1beta1
kind: PodProbeMarker
metadata: {name: later, namespace: ns}
spec:
  selector: {matchLabels: {app: game-server}}
  probes:
  - name: calm
    containerName: game-server
    probe: {exec: {command: [/calm.sh]}}
    markerPolicy: [{state: Succeeded, labels: {gameserver-idle: maybe}}]
`, "apply", "-f", "-")
	says := func(want string) {
		t.Helper()
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			got, err := cluster.Kubectl(ctx, "get", "podprobemarker", "-n", "ns", "later", "-o",
				`jsonpath={.status.conditions[?(@.type=="Conflicting")].status} {.status.conditions[?(@.type=="Conflicting")].message}`)
			if err == nil && !strings.HasPrefix(got, want) {
				err = fmt.Errorf("the younger marker says %q, want %q", got, want)
			}
			return err
		})
	}
	says("True OtherValue: 3, the first in pod game-")
	marker(t, "3", "True", "AllProbed")
	kubectl(t, "", "delete", "podprobemarker", "-n", "ns", "game-server-probe", "--timeout=30s")
	says("False")
}

// TestPodProbeMarker_objectsMadeByHand: a NodePodProbe without a spec, as somebody made it, is filled like any other.
func TestPodProbeMarker_objectsMadeByHand(t *testing.T) {
	kubectl(t, "", "delete", "nodepodprobes", "--all")
	for _, node := range strings.Fields(kubectl(t, "", "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")) {
		kubectl(t, "{apiVersion: apps.kruise.io/v1alpha1, kind: NodePodProbe, metadata: {name: "+node+"}}", "create", "-f", "-")
	}
	games(t)
	told(t, 3)
}

// marker waits for the status of the PodProbeMarker of examples/05.
func marker(t *testing.T, pods, probed, reason string) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		got, err := cluster.Kubectl(ctx, "get", "podprobemarker", "-n", "ns", "game-server-probe", "-o",
			`jsonpath={.status.matchedPods} {.status.conditions[?(@.type=="Probed")].status} {.status.conditions[?(@.type=="Probed")].reason}`)
		if want := pods + " " + probed + " " + reason; err == nil && got != want {
			err = fmt.Errorf("the marker's status is %q, want %q", got, want)
		}
		return err
	})
}

// event waits for an event of a Pod.
func event(t *testing.T, pod, reason, note string) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		list, err := cluster.Client.EventsV1().Events("ns").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if e := &list.Items[i]; e.Regarding.Name == pod && e.Reason == reason && (note == "" || e.Note == note) {
				return nil
			}
		}
		return errors.New("pod " + pod + " has no event " + reason)
	})
}

// podWrites is how often the manager wrote to the status of Pods.
func podWrites(t *testing.T) (n int) {
	t.Helper()
	text, err := cluster.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "outrigger_api_writes_total{") && strings.Contains(line, `resource="pods"`) && strings.Contains(line, `subresource="status"`) {
			var count int
			if _, err := fmt.Sscanf(line[strings.LastIndex(line, " ")+1:], "%d", &count); err == nil {
				n += count
			}
		}
	}
	return n
}
