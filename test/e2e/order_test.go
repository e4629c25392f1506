package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

// appNames are the label app_name of the Pods of scattering: how many Pods have it. Empty: no such label.
func appNames() map[string]int {
	return map[string]int{"nginx": 9, "web-server": 9, "api-gateway": 6, "": 6}
}

// TestRow21_scatterNamedValues: example 03's SidecarSet "scattered", with its maxUnavailable of 10%.
func TestRow21_scatterNamedValues(t *testing.T) {
	scattering(t, "row21", func(manifest string) string { return manifest })
}

// TestRow22_scatterEveryValue: the same with one term, whose value is "*".
func TestRow22_scatterEveryValue(t *testing.T) {
	scattering(t, "row22", func(manifest string) string {
		terms, last, ok := strings.Cut(manifest[strings.Index(manifest, "    - {key"):], "    maxUnavailable")
		if !ok {
			t.Fatalf("the example has changed:\n%s", manifest)
		}
		return strings.Replace(manifest, terms+"    maxUnavailable"+last, "    - {key: app_name, value: \"*\"}\n    maxUnavailable"+last, 1)
	})
}

// scattering rolls example 03's third SidecarSet, edited, over 30 Pods, and checks that at any time every app has had
// its share. The Pods of one app are made one app after the other, so that without scattering they come in a bunch.
func scattering(t *testing.T, name string, edit func(string) string) {
	t.Helper()
	namespace(t, name)
	applySet(t, "scattered", edit(documents(t, grayRelease)[2]))
	w, err := cluster.Watch(t.Context(), name, "inject/agent=true", "agent")
	if err != nil {
		t.Fatal(err)
	}
	n, appOf := 0, map[string]string{}
	for _, app := range []string{"nginx", "web-server", "api-gateway", ""} {
		pod := env.WebPod(name, "web"+app, nil)
		pod.Labels = map[string]string{"inject/agent": "true"}
		if app != "" {
			pod.Labels["app_name"] = app
		}
		for i := range appNames()[app] {
			appOf[fmt.Sprintf("%s-%d", pod.Name, i)] = app
		}
		if err := cluster.CreatePods(t.Context(), appNames()[app], pod); err != nil {
			t.Fatal(err)
		}
		n += appNames()[app]
		w.Expect("agent:1.0.0", env.Limits{Unavailable: -1, Updated: -1})
		reach(t, w, n)
	}
	w.Expect("agent:2", env.Limits{Unavailable: 3, Updated: -1})
	change(t, "scattered", `{"spec":{"containers":[{"name":"agent","image":"agent:2"}]}}`)
	reach(t, w, n)
	evenlySpread(t, w.Changed(), appOf)
	readyMessage(t, "scattered", n)
}

// evenlySpread checks that after every Pod every app has had its share, give or take the Pods of one window, whose
// patches are under way at the same time.
func evenlySpread(t *testing.T, sequence []string, appOf map[string]string) {
	t.Helper()
	seen := map[string]int{}
	for p, pod := range sequence {
		seen[appOf[pod]]++
		for app, all := range appNames() {
			share := float64(all) * float64(p+1) / float64(len(sequence))
			if off := float64(seen[app]) - share; off > 3.5 || off < -3.5 {
				t.Fatalf("after %d pods %d of app %q are updated, evenly it is %.1f: %v", p+1, seen[app], app, share, sequence)
			}
		}
	}
	if len(sequence) != len(appOf) {
		t.Errorf("%d pods changed, want %d", len(sequence), len(appOf))
	}
}

// TestRow20_defaultOrder: a Pod without a node, then one that is not ready, then the newest, then the oldest. The
// partition lets them come one by one, so that nothing is left to the order of patches that are sent together.
func TestRow20_defaultOrder(t *testing.T) {
	const set = "order"
	namespace(t, set)
	applySet(t, set, fmt.Sprintf(setTemplate, set, "4"))
	w, err := cluster.Watch(t.Context(), set, "app=web", "logtail")
	if err != nil {
		t.Fatal(err)
	}
	w.Expect("logtail:1.0.0", env.Limits{Unavailable: -1, Updated: -1})
	pod := func(name string, edit func(*corev1.Pod)) {
		p := env.WebPod(set, "web", nil)
		p.Name = name
		edit(p)
		if err := cluster.CreatePods(t.Context(), 1, p); err != nil {
			t.Fatal(err)
		}
	}
	pod("a-oldest", func(*corev1.Pod) {})
	reach(t, w, 1)
	nextSecond(t, set, "a-oldest-0")
	pod("b-newest", func(*corev1.Pod) {})
	reach(t, w, 2)
	nextSecond(t, set, "b-newest-0")
	pod("c-not-ready", func(p *corev1.Pod) {
		p.Annotations = map[string]string{"devcluster.outrigger.dev/never-ready.web": "true"}
	})
	pod("d-no-node", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"there": "is-none"} })
	podBecomes(t, get(t, set, "c-not-ready-0"), "running", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })

	w.Expect("logtail:2", env.Limits{Unavailable: 4, Updated: 0})
	change(t, set, `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}],"updateStrategy":{"partition":4}}}`)
	observed(t, set)
	for i, want := range []string{"d-no-node-0", "c-not-ready-0", "b-newest-0", "a-oldest-0"} {
		w.Expect("logtail:2", env.Limits{Unavailable: 4, Updated: i + 1})
		change(t, set, fmt.Sprintf(`{"spec":{"updateStrategy":{"partition":%d}}}`, 3-i))
		taken(t, w, i+1)
		if got := strings.Join(w.Changed(), " "); got != want {
			t.Fatalf("pod %d in sequence is %s, want %s", i+1, got, want)
		}
	}
}

// nextSecond waits until a Pod that is made now is newer than this one: times in Kubernetes are in whole seconds.
func nextSecond(t *testing.T, namespace, name string) {
	t.Helper()
	made := get(t, namespace, name).CreationTimestamp.Time
	eventually(t, time.Minute, func(context.Context) error {
		if now := time.Now().Truncate(time.Second); !now.After(made) {
			return fmt.Errorf("it is %s, the pod was made at %s", now, made)
		}
		return nil
	})
}

// TestRow20_priorityWithPartition: the Pods with the largest weight get what the partition leaves, in order.
func TestRow20_priorityWithPartition(t *testing.T) {
	const n = 12
	w := fleet(t, "row20", n, "1", nil)
	kubectl(t, "", "label", "pod", "-n", "row20", "web-3", "web-7", "tier=high")
	kubectl(t, "", "label", "pod", "-n", "row20", "web-7", "web-1", "canary=true")
	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: 3})
	change(t, "row20", `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}],"updateStrategy":{"paused":true,"partition":9,
		"priorityStrategy":{"weightPriority":[
			{"weight":20,"matchSelector":{"matchLabels":{"tier":"high"}}},
			{"weight":10,"matchSelector":{"matchLabels":{"canary":"true"}}}]}}}}`)
	observed(t, "row20") // the labels are seen by now
	change(t, "row20", `{"spec":{"updateStrategy":{"paused":false}}}`)
	reach(t, w, 3)
	if got, want := strings.Join(w.Changed(), " "), "web-7 web-3 web-1"; got != want {
		t.Errorf("updated %s, want %s", got, want)
	}
	readyMessage(t, "row20", 3)
	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: -1})
	change(t, "row20", `{"spec":{"updateStrategy":{"partition":null}}}`)
	reach(t, w, n)
	readyMessage(t, "row20", n)
}
