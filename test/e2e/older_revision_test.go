package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

// created creates a Pod (or, as a dry run, does not) and returns its sidecar's image and revision as the API server
// answers: nobody has updated it yet.
func created(t *testing.T, namespace, app, name, set, sidecar string, options metav1.CreateOptions) (image, revision string) {
	t.Helper()
	pod := env.WebPod(namespace, app, nil)
	pod.Name = name
	answer, err := cluster.Client.CoreV1().Pods(namespace).Create(t.Context(), pod, options)
	if err != nil {
		t.Fatal(err)
	}
	return imageOf(answer, sidecar), revisionOf(t, answer.Annotations, set)
}

func imageOf(pod *corev1.Pod, container string) string {
	for _, c := range pod.Spec.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return "not injected"
}

// refusedApply wants kubectl to be refused with these words.
func refusedApply(t *testing.T, manifest string, want ...string) {
	t.Helper()
	out, err := cluster.KubectlIn(t.Context(), manifest, "apply", "-f", "-")
	if err == nil {
		t.Fatalf("was accepted: %s", out)
	}
	for _, text := range want {
		if !strings.Contains(err.Error()+out, text) {
			t.Errorf("the answer does not contain %q:\n%v %s", text, err, out)
		}
	}
}

// TestRow29_InjectByRevisionName: new Pods get the revision of the name, running ones stay with the newest. A revision
// that is not there is refused; one that is deleted later refuses Pods, and no other change of the SidecarSet.
func TestRow29_InjectByRevisionName(t *testing.T) {
	const set, n = "row29", 2
	w := fleet(t, set, n, "1", nil)
	first := newest(t, set, 1)
	change(t, set, `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}]}}`)
	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: -1})
	reach(t, w, n)
	second := newest(t, set, 2)

	asks := func(name string) string {
		return fmt.Sprintf(setTemplate, set, "1") + fmt.Sprintf("  injectionStrategy: {revision: {revisionName: %s}}\n", name)
	}
	refusedApply(t, asks("row29-nothing"), `spec.injectionStrategy.revision.revisionName: Invalid value: "row29-nothing": this SidecarSet has no revision row29-nothing`)
	refusedApply(t, strings.ReplaceAll(asks(first.Name), "name: row29}", "name: row29-other}"), "it is being created")

	change(t, set, fmt.Sprintf(`{"spec":{"injectionStrategy":{"revision":{"revisionName":%q}},"updateStrategy":{"partition":"100%%"}}}`, first.Name))
	observed(t, set)
	image, revision := created(t, set, "web", "older", set, "logtail", metav1.CreateOptions{})
	if image != "logtail:1.0.0" || revision != first.Name {
		t.Errorf("a new pod has %s of revision %s, want logtail:1.0.0 of %s", image, revision, first.Name)
	}
	change(t, set, `{"spec":{"updateStrategy":{"partition":null}}}`)
	reach(t, w, n+1) // an injected Pod goes to the newest

	change(t, set, fmt.Sprintf(`{"spec":{"injectionStrategy":{"revision":{"revisionName":%q}}}}`, second.Name))
	kubectl(t, "", "delete", "controllerrevision", "-n", env.Namespace, first.Name)
	change(t, set, `{"spec":{"revisionHistoryLimit":5}}`)
	if image, revision = created(t, set, "web", "newest", set, "logtail", metav1.CreateOptions{}); image != "logtail:2" || revision != second.Name {
		t.Errorf("a new pod has %s of revision %s, want logtail:2 of %s", image, revision, second.Name)
	}
}

// TestRow29_RevisionIsGone: Pods are refused with the reason, and the SidecarSet can be changed.
func TestRow29_RevisionIsGone(t *testing.T) {
	const set = "row29-gone"
	namespace(t, set)
	applySet(t, set, fmt.Sprintf(setTemplate, set, "1"))
	first := newest(t, set, 1)
	change(t, set, `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}]}}`)
	newest(t, set, 2)
	change(t, set, fmt.Sprintf(`{"spec":{"injectionStrategy":{"revision":{"revisionName":%q}}}}`, first.Name))
	observed(t, set)
	kubectl(t, "", "delete", "controllerrevision", "-n", env.Namespace, first.Name)
	eventually(t, time.Minute, func(ctx context.Context) error {
		_, err := cluster.Client.CoreV1().Pods(set).Create(ctx, env.WebPod(set, "web", nil), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if want := "this SidecarSet has no revision " + first.Name; err == nil || !strings.Contains(err.Error(), want) {
			return fmt.Errorf("the answer is %w, want %s", err, want)
		}
		return nil
	})
	change(t, set, `{"spec":{"revisionHistoryLimit":5}}`)
}

// TestRow31_InjectByCustomVersion is the first document of example 06: a tenth of the running Pods goes to version-2,
// new Pods get version-1.
func TestRow31_InjectByCustomVersion(t *testing.T) {
	const set, n = "versioned", 10
	example, err := os.ReadFile("../../examples/06-sidecarset-versions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	second, _, _ := strings.Cut(string(example), "---\n")
	first, _, _ := strings.Cut(strings.NewReplacer("version-2", "version-1", "sidecar:2", "sidecar:1").Replace(second), "  updateStrategy:")
	refusedApply(t, second, `spec.injectionStrategy.revision.customVersion: Invalid value: "version-1"`, "it is being created")

	namespace(t, set)
	applySet(t, set, first)
	one := newest(t, set, 1)
	labelled(t, set, one.Name, "version-1")
	w, err := cluster.Watch(t.Context(), set, "app="+set, "sidecar")
	if err != nil {
		t.Fatal(err)
	}
	w.Expect("sidecar:1", env.Limits{Unavailable: -1, Updated: -1})
	if err := cluster.CreatePods(t.Context(), n, env.WebPod(set, set, nil)); err != nil {
		t.Fatal(err)
	}
	reach(t, w, n)

	w.Expect("sidecar:2", env.Limits{Unavailable: 1, Updated: 1})
	kubectl(t, second, "apply", "-f", "-")
	reach(t, w, 1)
	two := newest(t, set, 2)
	w.Expect("sidecar:2", env.Limits{Unavailable: -1, Updated: 1}) // new Pods start
	for i := range 5 {
		image, revision := created(t, set, set, fmt.Sprint("new-", i), set, "sidecar", metav1.CreateOptions{})
		if image != "sidecar:1" || revision != one.Name {
			t.Errorf("new pod %d has %s of revision %s, want sidecar:1 of %s", i, image, revision, one.Name)
		}
	}
	reach(t, w, 1)                                                  // and no more, as the watcher says
	w.Expect("sidecar:2", env.Limits{Unavailable: -1, Updated: -1}) // new Pods may be starting still
	change(t, set, `{"spec":{"updateStrategy":{"partition":null},"injectionStrategy":null}}`)
	reach(t, w, n+5)
	if image, revision := created(t, set, set, "last", set, "sidecar", metav1.CreateOptions{}); image != "sidecar:2" || revision != two.Name {
		t.Errorf("the last pod has %s of revision %s, want sidecar:2 of %s", image, revision, two.Name)
	}
}

// TestRow31_Partial: of new Pods the share that partition asks for gets the older revision, exactly; dry runs in between
// do not count.
func TestRow31_Partial(t *testing.T) {
	const set, n = "row31-partial", 40
	namespace(t, set)
	applySet(t, set, fmt.Sprintf(setTemplate, set, "1")+"  customVersion: v1\n")
	labelled(t, set, newest(t, set, 1).Name, "v1")
	change(t, set, `{"spec":{"customVersion":"v2","containers":[{"name":"logtail","image":"logtail:2"}],
		"updateStrategy":{"partition":"70%"},"injectionStrategy":{"revision":{"customVersion":"v1","policy":"Partial"}}}}`)
	newest(t, set, 2)
	older := 0
	for i := range n {
		created(t, set, "web", "tried", set, "logtail", metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if image, _ := created(t, set, "web", fmt.Sprint("web-", i), set, "logtail", metav1.CreateOptions{}); image == "logtail:1.0.0" {
			older++
		}
		if off := 100*older - 70*(i+1); off < -100 || off > 100 {
			t.Fatalf("%d of %d pods have the older revision, want 70 %%", older, i+1)
		}
	}
	if older != 28 {
		t.Errorf("%d of %d pods have the older revision, want 28", older, n)
	}
	change(t, set, `{"spec":{"updateStrategy":{"partition":40}}}`)
	observed(t, set)
	if image, _ := created(t, set, "web", "last", set, "logtail", metav1.CreateOptions{}); image != "logtail:2" {
		t.Errorf("with a partition that is a number, a new pod has %s, want logtail:2", image)
	}
}

// TestRow32_WithoutRevisionNewPodsGetTheNewest, also while a partition keeps the running ones.
func TestRow32_WithoutRevisionNewPodsGetTheNewest(t *testing.T) {
	const set, n = "row32", 4
	w := fleet(t, set, n, "1", nil)
	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: 2}) // 1 of 4; then the new Pod
	change(t, set, `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}],"updateStrategy":{"partition":3}}}`)
	reach(t, w, 1)
	second := newest(t, set, 2)
	if image, revision := created(t, set, "web", "new", set, "logtail", metav1.CreateOptions{}); image != "logtail:2" || revision != second.Name {
		t.Errorf("a new pod has %s of revision %s, want logtail:2 of %s", image, revision, second.Name)
	}
	reach(t, w, 2)
}
