package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

// sizedWeb is a container of the CloneSet web as JSON.
func sizedWeb(image, resources string) string {
	return fmt.Sprintf(`{"name":"main","image":%q,"resources":%s}`, image, resources)
}

func withContainer(container string) string {
	return `{"spec":{"template":{"spec":{"containers":[` + container + `]}}}}`
}

// sizedClones makes the CloneSet web with a container.
func sizedClones(t *testing.T, name string, n int, rolling, container string) *env.Fleet {
	t.Helper()
	manifest := strings.Replace(fmt.Sprintf(webClones, n, "0s", rolling), `{name: main, image: "web:1"}`, container, 1)
	return clonesOf(t, name, n, manifest, "web:1")
}

// allRunWith waits until all Pods run with an image, cpu and memory, and have restarted that often.
func allRunWith(t *testing.T, f *env.Fleet, namespace, want string) {
	t.Helper()
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		kept(t, f)
		list, err := cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if got := runsWith(&list.Items[i], "main"); got != want || !isReady(&list.Items[i]) {
				return fmt.Errorf("%s runs with %q, want %q", list.Items[i].Name, got, want)
			}
		}
		return nil
	})
}

// TestCloneSet_resizeInPlace: other cpu and memory reach the Pods that run. Alone they restart nothing and nobody stops
// serving; with an image there is the one restart; the way back is another resize.
func TestCloneSet_resizeInPlace(t *testing.T) {
	const name = "clone-resize"
	small := sizedWeb("web:1", `{"requests":{"cpu":"100m"},"limits":{"memory":"64Mi"}}`)
	f := sizedClones(t, name, 4, "podUpdatePolicy: InPlaceOnly, maxUnavailable: 2", small)
	before := f.Members()
	f.Promise(env.Promises{Ready: 4, Total: 4})
	patchClone(t, name, withContainer(sizedWeb("web:1", `{"requests":{"cpu":"250m"},"limits":{"memory":"96Mi"}}`)))
	allRunWith(t, f, name, "web:1 limits memory=96Mi, requests cpu=250m memory=96Mi, 0 restarts")
	columns(t, name, "web", "4 4 4 4 4")
	patchClone(t, name, withContainer(small))
	allRunWith(t, f, name, "web:1 limits memory=64Mi, requests cpu=100m memory=64Mi, 0 restarts")
	columns(t, name, "web", "4 4 4 4 4")
	if got := kubectl(t, "", "get", "pod", "-n", name, before[0].Name, "--show-managed-fields", "-o",
		`jsonpath={.metadata.managedFields[?(@.subresource=="resize")].manager}`); got != "outrigger" {
		t.Errorf("managedFields say that %q resized the pod", got)
	}
	f.Promise(env.Promises{Ready: 2, Total: 4})
	patchClone(t, name, withContainer(sizedWeb("web:2", `{"requests":{"cpu":"300m"},"limits":{"memory":"64Mi"}}`)))
	allRunWith(t, f, name, "web:2 limits memory=64Mi, requests cpu=300m memory=64Mi, 1 restarts")
	columns(t, name, "web", "4 4 4 4 4")
	if n := stayed(before, f.Members()); n != 4 {
		t.Errorf("%d of 4 pods kept name, UID and address", n)
	}
	refused(t, name, withContainer(sizedWeb("web:2", `{"requests":{"cpu":"300m"}}`)), "template.spec.containers[main].resources.limits")
}

// refused checks that a change of the CloneSet web is refused with some words.
func refused(t *testing.T, namespace, mergePatch, words string) {
	t.Helper()
	out, err := cluster.Kubectl(t.Context(), "patch", "clone", "web", "-n", namespace, "--type=merge", "-p", mergePatch)
	if err == nil || !strings.Contains(out+err.Error(), words) {
		t.Errorf("the answer is %q, %v; want %q", out, err, words)
	}
}

// TestCloneSet_resizeRestarts: a container whose resizePolicy says so restarts for other cpu. Its Pod is out of service
// meanwhile, and the budget is kept.
func TestCloneSet_resizeRestarts(t *testing.T) {
	const name = "clone-resize-restarts"
	container := func(cpu string) string {
		return strings.Replace(sizedWeb("web:1", `{"requests":{"cpu":"`+cpu+`"}}`), "{", `{"resizePolicy":[{"resourceName":"cpu","restartPolicy":"RestartContainer"}],`, 1)
	}
	f := sizedClones(t, name, 3, "podUpdatePolicy: InPlaceIfPossible, maxUnavailable: 1", container("100m"))
	before := f.Members()
	f.Promise(env.Promises{Ready: 2, Total: 3})
	patchClone(t, name, withContainer(container("200m")))
	allRunWith(t, f, name, "web:1 limits, requests cpu=200m, 1 restarts")
	columns(t, name, "web", "3 3 3 3 3")
	if least, _ := f.Extremes(); least != 2 || stayed(before, f.Members()) != 3 {
		t.Errorf("%d pods were ready at least, %d of 3 stayed", least, stayed(before, f.Members()))
	}
}

// TestCloneSet_resizeKeepsTheClass: what would give Pods another QoS class is held with InPlaceOnly, with both classes, and
// recreates them with InPlaceIfPossible.
func TestCloneSet_resizeKeepsTheClass(t *testing.T) {
	const name = "clone-resize-class"
	f := sizedClones(t, name, 2, "podUpdatePolicy: InPlaceOnly, maxUnavailable: 1", sizedWeb("web:1", `{"limits":{"cpu":"1","memory":"1Gi"}}`))
	before := f.Members()
	patchClone(t, name, withContainer(sizedWeb("web:1", `{"requests":{"cpu":"500m"},"limits":{"cpu":"1","memory":"1Gi"}}`)))
	conditionOfClone(t, name, "Ready", "held: [NeedsRecreation: 2]")
	if n := stayed(before, f.Members()); n != 2 {
		t.Errorf("%d of 2 pods stayed", n)
	}
	patchClone(t, name, `{"spec":{"updateStrategy":{"rollingUpdate":{"podUpdatePolicy":"InPlaceIfPossible"}}}}`)
	allRunWith(t, f, name, "web:1 limits cpu=1 memory=1Gi, requests cpu=500m memory=1Gi, 0 restarts")
	columns(t, name, "web", "2 2 2 2 2")
	if n := stayed(before, f.Members()); n != 0 {
		t.Errorf("%d of 2 pods stayed", n)
	}
}

// TestCloneSet_resizeRefused: a LimitRange keeps a Pod from more cpu. The Pods serve on as they are, the status has the API
// server's words, and when the LimitRange is gone the update goes on; so it does on the way back.
func TestCloneSet_resizeRefused(t *testing.T) {
	const name = "clone-resize-refused"
	f := sizedClones(t, name, 2, "podUpdatePolicy: InPlaceOnly, maxUnavailable: 1", sizedWeb("web:1", `{"requests":{"cpu":"100m"},"limits":{"cpu":"200m"}}`))
	before := f.Members()
	kubectl(t, `{apiVersion: v1, kind: LimitRange, metadata: {name: small, namespace: `+name+`}, spec: {limits: [{type: Container, max: {cpu: 200m}}]}}`, "create", "-f", "-")
	f.Promise(env.Promises{Ready: 2, Total: 2})
	more := withContainer(sizedWeb("web:1", `{"requests":{"cpu":"100m"},"limits":{"cpu":"300m"}}`))
	patchClone(t, name, more)
	conditionOfClone(t, name, "FailedUpdate", "maximum cpu usage per Container is 200m, but limit is 300m")
	kept(t, f)
	columns(t, name, "web", "2 0 0 2 2")
	kubectl(t, "", "delete", "limitrange", "small", "-n", name)
	allRunWith(t, f, name, "web:1 limits cpu=300m, requests cpu=100m, 0 restarts")
	columns(t, name, "web", "2 2 2 2 2")
	conditionOfClone(t, name, "FailedUpdate", "nothing is refused any more")
	if n := stayed(before, f.Members()); n != 2 {
		t.Errorf("%d of 2 pods kept name, UID and address", n)
	}
}

// conditionOfClone waits until a condition of the CloneSet web says something.
func conditionOfClone(t *testing.T, namespace, kind, words string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "clone", "web", "-n", namespace, "-o", `jsonpath={.status.conditions[?(@.type=="`+kind+`")].message}`)
		if err == nil && !strings.Contains(out, words) {
			err = fmt.Errorf("condition %s says %q, want %q", kind, out, words)
		}
		return err
	})
}
