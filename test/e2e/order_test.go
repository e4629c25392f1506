package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

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
	data, err := os.ReadFile("../../examples/03-gray-release.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(string(data), "\n---\n")
	namespace(t, name)
	applySet(t, "scattered", edit(documents[2]))
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
