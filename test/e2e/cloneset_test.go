package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/test/env"
)

const webClones = `apiVersion: apps.kruise.io/v1beta1
kind: CloneSet
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {devcluster.outrigger.dev/start-delay: %q}}
    spec: {containers: [{name: main, image: "web:1"}]}
  updateStrategy: {rollingUpdate: {%s}}
`

// clones makes a namespace with the CloneSet web, watches its Pods and waits until they are ready.
func clones(t *testing.T, name string, n int, startDelay, rolling string) *env.Fleet {
	t.Helper()
	return clonesOf(t, name, n, fmt.Sprintf(webClones, n, startDelay, rolling), "web:1")
}

// clonesOf does the same with any manifest.
func clonesOf(t *testing.T, name string, n int, manifest, image string) *env.Fleet {
	t.Helper()
	namespace(t, name)
	t.Cleanup(func() {
		if out, err := cluster.Kubectl(context.Background(), "delete", "cloneset", "--all", "-n", name); err != nil {
			t.Errorf("delete CloneSets: %v %s", err, out)
		}
	})
	f, err := cluster.WatchFleet(t.Context(), name, "")
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, manifest, "apply", "-n", name, "-f", "-")
	serve(t, f, n, image)
	columns(t, name, "web", fmt.Sprintf("%d %d %d %d %d", n, n, n, n, n))
	return f
}

// serve waits until n Pods serve with an image and there are no others.
func serve(t *testing.T, f *env.Fleet, n int, image string) {
	t.Helper()
	serveAmong(t, f, n, n, image)
}

// serveAmong waits until n Pods of a total serve with an image.
func serveAmong(t *testing.T, f *env.Fleet, n, total int, image string) {
	t.Helper()
	eventually(t, 3*time.Minute, func(context.Context) error {
		kept(t, f)
		if serving, all := f.Serving(image), len(f.Members()); serving != n || all != total {
			return fmt.Errorf("%d of %d pods serve with %s", serving, all, image)
		}
		return nil
	})
}

// kept ends the test if a promise was broken.
func kept(t *testing.T, f *env.Fleet) {
	t.Helper()
	if wrongs := f.Wrongs(); len(wrongs) > 0 {
		t.Fatalf("the watcher saw: %s", strings.Join(wrongs, "\n"))
	}
}

// columns waits until kubectl get clone shows DESIRED UPDATED UPDATED_READY READY TOTAL.
func columns(t *testing.T, namespace, name, want string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "clone", name, "-n", namespace, "--no-headers")
		if err != nil {
			return err
		}
		if w := strings.Fields(out); len(w) < 7 || strings.Join([]string{w[1], w[2], w[3], w[5], w[6]}, " ") != want {
			return fmt.Errorf("kubectl get clone shows %q, want %q", out, want)
		}
		return nil
	})
}

func patchClone(t *testing.T, namespace, mergePatch string) {
	t.Helper()
	kubectl(t, "", "patch", "clone", "web", "-n", namespace, "--type=merge", "-p", mergePatch)
}

func image(to string) string {
	return fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q}]}}}}`, to)
}

// TestRow55to62_Surge is the worked example of the maxSurge article, examples/04 as it is: 5 Pods, one more at a time,
// three keep the old version, then none. The Pods that are updated keep name, UID and address.
func TestRow55to62_Surge(t *testing.T) {
	const name = "surge"
	first := documents(t, "04-cloneset-surge.yaml")[0]
	first = strings.Replace(first, "  template:\n    metadata:\n", "  template:\n    metadata:\n      annotations: {devcluster.outrigger.dev/start-delay: 2s, devcluster.outrigger.dev/restart-gap: 2s}\n", 1)
	namespace(t, name)
	t.Cleanup(func() { _, _ = cluster.Kubectl(context.Background(), "delete", "cloneset", "--all", "-n", name) })
	f, err := cluster.WatchFleet(t.Context(), name, "app=demo")
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, first, "apply", "-n", name, "-f", "-")
	serve(t, f, 5, "nginx:1.14.2")
	columns(t, name, "demo", "5 5 5 5 5")
	before := f.Members()
	f.Promise(env.Promises{Ready: 5, Total: 6})

	kubectl(t, "", "patch", "clone", "demo", "-n", name, "--type=json", "-p",
		`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"nginx:1.14.3"}]`)
	columns(t, name, "demo", "5 1 0 5 6")
	columns(t, name, "demo", "5 2 2 5 5")
	serveAmong(t, f, 2, 5, "nginx:1.14.3")
	kubectl(t, "", "patch", "clone", "demo", "-n", name, "--type=merge", "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}`)
	columns(t, name, "demo", "5 3 2 5 6")
	columns(t, name, "demo", "5 5 5 5 5")
	serve(t, f, 5, "nginx:1.14.3")
	kept(t, f)
	if least, most := f.Extremes(); least != 5 || most != 6 {
		t.Errorf("between %d ready and %d pods, want 5 and 6", least, most)
	}
	t.Log("\n" + kubectl(t, "", "get", "clone", "demo", "-n", name, "-o", "wide"))
	if same := stayed(before, f.Members()); same != 5 {
		t.Errorf("%d of 5 pods kept name, UID and address", same)
	}
}

// stayed counts the Pods that are still the same.
func stayed(before, after []env.Member) (n int) {
	for _, b := range before {
		if slices.ContainsFunc(after, func(a env.Member) bool { return a.Name == b.Name && a.UID == b.UID && a.IP == b.IP && a.Node == b.Node }) {
			n++
		}
	}
	return n
}

// TestRow50and52and61_InPlace: an image changes in place, one Pod of five at a time (20 %), out of service meanwhile.
func TestRow50and52and61_InPlace(t *testing.T) {
	const name = "clone-inplace"
	f := clones(t, name, 5, "1s", "podUpdatePolicy: InPlaceIfPossible")
	before := f.Members()
	f.Promise(env.Promises{Ready: 4, Total: 5})
	patchClone(t, name, image("web:2"))
	serve(t, f, 5, "web:2")
	columns(t, name, "web", "5 5 5 5 5")
	kept(t, f)
	after := f.Members()
	if n := stayed(before, after); n != 5 {
		t.Errorf("%d of 5 pods kept name, UID and address", n)
	}
	for _, m := range after {
		if m.Restarts != 1 {
			t.Errorf("%s: %d restarts, want 1", m.Name, m.Restarts)
		}
	}
	out := kubectl(t, "", "get", "clone", "-n", name)
	if header := strings.Join(strings.Fields(out)[:9], " "); header != "NAME DESIRED UPDATED UPDATED_READY UPDATED_AVAILABLE READY TOTAL AGE web" {
		t.Errorf("kubectl get clone prints %s", out)
	}
}

// TestRow53_Partition: a partition keeps Pods; a Pod of theirs that is deleted comes back with the old version.
func TestRow53_Partition(t *testing.T) {
	const name = "clone-partition"
	f := clones(t, name, 4, "0s", "podUpdatePolicy: InPlaceIfPossible, partition: 3, maxUnavailable: 2")
	patchClone(t, name, image("web:2"))
	serveAmong(t, f, 1, 4, "web:2")
	for _, m := range f.Members() {
		if m.Images[0] == "web:1" {
			kubectl(t, "", "delete", "pod", m.Name, "-n", name)
			break
		}
	}
	columns(t, name, "web", "4 1 1 4 4")
	serveAmong(t, f, 3, 4, "web:1")
	patchClone(t, name, `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":"50%"}}}}`)
	serveAmong(t, f, 2, 4, "web:2")
	patchClone(t, name, `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":null}}}}`)
	serve(t, f, 4, "web:2")
}

// TestRow51_PodsToDelete: replicas are lowered together with the names of those that go; the names leave the list.
func TestRow51_PodsToDelete(t *testing.T) {
	const name = "clone-named"
	f := clones(t, name, 4, "0s", "maxUnavailable: 1")
	members := f.Members()
	patchClone(t, name, fmt.Sprintf(`{"spec":{"replicas":3,"scaleStrategy":{"podsToDelete":[%q]}}}`, members[2].Name))
	serve(t, f, 3, "web:1")
	if n := stayed(members, f.Members()); n != 3 {
		t.Errorf("%d of the 3 others stayed", n)
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "clone", "web", "-n", name, "-o", "jsonpath={.spec.scaleStrategy.podsToDelete}")
		if err == nil && out != "" && out != "[]" {
			return fmt.Errorf("podsToDelete is %s", out)
		}
		return err
	})
	kubectl(t, "", "label", "pod", f.Members()[0].Name, "-n", name, "apps.kruise.io/specified-delete=true")
	eventually(t, time.Minute, func(context.Context) error {
		if n := stayed(members, f.Members()); n != 2 {
			return fmt.Errorf("%d of the first pods are there", n)
		}
		return nil
	})
	serve(t, f, 3, "web:1")
}

// TestRow63and64_PreparingDelete: a Pod that its preDelete hook holds counts, and is taken back; with
// excludePreparingDelete it does not count and is replaced.
func TestRow63and64_PreparingDelete(t *testing.T) {
	const name = "clone-hook"
	manifest := strings.Replace(fmt.Sprintf(webClones, 3, "0s", "maxUnavailable: 3"), "labels: {app: web}", `labels: {app: web, block: "yes"}`, 1) +
		"  lifecycle: {preDelete: {labelsHandler: {block: \"yes\"}}}\n"
	f := clonesOf(t, name, 3, manifest, "web:1")
	before := f.Members()
	scaleTo := func(n int) { kubectl(t, "", "scale", "clone", "web", "-n", name, fmt.Sprintf("--replicas=%d", n)) }
	preparing := func(n int) {
		t.Helper()
		eventually(t, time.Minute, func(context.Context) error {
			got := 0
			for _, m := range f.Members() {
				if m.Labels["lifecycle.apps.kruise.io/state"] == "PreparingDelete" {
					got++
				}
			}
			if got != n {
				return fmt.Errorf("%d pods are PreparingDelete, want %d", got, n)
			}
			return nil
		})
	}
	scaleTo(1)
	preparing(2)
	scaleTo(3)
	preparing(0)
	if n := stayed(before, f.Members()); n != 3 || len(f.Members()) != 3 {
		t.Fatalf("%d of 3 pods were taken back, of %d", n, len(f.Members()))
	}
	patchClone(t, name, `{"spec":{"scaleStrategy":{"excludePreparingDelete":true}}}`)
	scaleTo(2)
	preparing(1)
	scaleTo(3)
	eventually(t, time.Minute, func(context.Context) error {
		if n := len(f.Members()); n != 4 {
			return fmt.Errorf("%d pods, want 3 and the one that is held", n)
		}
		return nil
	})
	preparing(1)
	for _, m := range f.Members() {
		if m.Labels["lifecycle.apps.kruise.io/state"] == "PreparingDelete" {
			kubectl(t, "", "label", "pod", m.Name, "-n", name, "block-")
		}
	}
	serve(t, f, 3, "web:1")
}

// TestRow65_DeletionCost: the Pod with the lowest cost goes first.
func TestRow65_DeletionCost(t *testing.T) {
	const name = "clone-cost"
	f := clones(t, name, 4, "0s", "maxUnavailable: 4")
	cheap := f.Members()[1:3]
	for _, m := range cheap {
		kubectl(t, "", "annotate", "pod", m.Name, "-n", name, "controller.kubernetes.io/pod-deletion-cost=-10")
	}
	kubectl(t, "", "scale", "clone", "web", "-n", name, "--replicas=2")
	serve(t, f, 2, "web:1")
	if n := stayed(cheap, f.Members()); n != 0 {
		t.Errorf("%d of the cheap pods are still there", n)
	}
}

// TestRow54_PriorityAndScatter: who has the highest number goes first.
func TestRow54_PriorityAndScatter(t *testing.T) {
	const name = "clone-order"
	f := clones(t, name, 3, "1s", "podUpdatePolicy: InPlaceIfPossible, maxUnavailable: 1, priorityStrategy: {orderPriority: [{orderedKey: rank}]}")
	first := f.Members()[1]
	kubectl(t, "", "label", "pod", first.Name, "-n", name, "rank=9")
	patchClone(t, name, image("web:2"))
	eventually(t, time.Minute, func(context.Context) error {
		for _, m := range f.Members() {
			if m.Images[0] == "web:2" {
				if m.Name != first.Name {
					t.Fatalf("%s went first, want %s", m.Name, first.Name)
				}
				return nil
			}
		}
		return fmt.Errorf("nobody went yet")
	})
	serve(t, f, 3, "web:2")
}

// TestRestarts_cloneSetRollout: the manager is killed 20 times during a rollout of 500 Pods; the watcher never sees too few
// ready or too many Pods, and every Pod keeps its identity.
func TestRestarts_cloneSetRollout(t *testing.T) {
	const name, n = "clone-restarts", 500
	f := clones(t, name, n, "0s", "podUpdatePolicy: InPlaceIfPossible, maxUnavailable: 25")
	before := f.Members()
	t.Cleanup(func() {
		if err := cluster.StopManager(); err != nil {
			t.Error(err)
		}
		if _, err := cluster.StartManager(context.Background(), false); err != nil {
			t.Error(err)
		}
	})
	// A manager that was killed keeps the lease until it runs out; the others need not wait for 15 s each time.
	quick := []string{"--leader-election-lease-duration=2s", "--leader-election-renew-deadline=1500ms", "--leader-election-retry-period=250ms"}
	killManager(t, quick...)
	f.Promise(env.Promises{Ready: n - 25, Total: n})
	patchClone(t, name, image("web:2"))
	for i := range 20 {
		eventually(t, 2*time.Minute, func(context.Context) error {
			kept(t, f)
			if got := f.Serving("web:2"); got < i*n/24 {
				return fmt.Errorf("%d of %d pods are updated", got, n)
			}
			return nil
		})
		killManager(t, quick...)
	}
	serve(t, f, n, "web:2")
	columns(t, name, "web", "500 500 500 500 500")
	kept(t, f)
	if same := stayed(before, f.Members()); same != n {
		t.Errorf("%d of %d pods kept name, UID and address", same, n)
	}
}
