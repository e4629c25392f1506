package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/outrigger-project/outrigger/test/env"
)

// restarted runs the manager with other flags until the test ends.
func restarted(t *testing.T, flags ...string) {
	t.Helper()
	restart := func(ctx context.Context, flags ...string) {
		if err := cluster.StopManager(); err != nil {
			t.Fatal(err)
		}
		if _, err := cluster.StartManager(ctx, false, flags...); err != nil {
			t.Fatal(err)
		}
	}
	restart(t.Context(), flags...)
	t.Cleanup(func() { restart(context.Background()) })
}

// TestCloneSetGates_partitionRollbackAndShortHash: a partition that is raised brings Pods back, in place and within the
// budget, and Pods name their revision by its hash alone.
func TestCloneSetGates_partitionRollbackAndShortHash(t *testing.T) {
	restarted(t, "--feature-gates=CloneSetPartitionRollback=true,CloneSetShortHash=true")
	const name = "gates"
	f := clones(t, name, 4, "0s", "podUpdatePolicy: InPlaceIfPossible, maxUnavailable: 1")
	before := f.Members()
	f.Promise(env.Promises{Ready: 3, Total: 4})

	patchClone(t, name, `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":1}}}}`)
	patchClone(t, name, image("web:2"))
	serveAmong(t, f, 3, 4, "web:2")
	patchClone(t, name, `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":3}}}}`)
	serveAmong(t, f, 3, 4, "web:1")
	columns(t, name, "web", "4 1 1 4 4")
	patchClone(t, name, `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}`)
	serve(t, f, 4, "web:2")
	if n := stayed(before, f.Members()); n != 4 {
		t.Errorf("%d of 4 pods were changed in place", n)
	}
	revision := strings.TrimSpace(kubectl(t, "", "get", "clone", "web", "-n", name, "-o", "jsonpath={.status.updateRevision}"))
	for _, m := range f.Members() {
		if label := m.Labels["controller-revision-hash"]; fmt.Sprint("web-", label) != revision {
			t.Errorf("%s says that it is of revision %q; %s is the newest", m.Name, label, revision)
		}
	}
}

// TestWhy_cloneSet asks the plugin where a rollout stands that the partition has stopped.
func TestWhy_cloneSet(t *testing.T) {
	const name = "why-clones"
	f := clones(t, name, 4, "0s", "podUpdatePolicy: InPlaceIfPossible, partition: 3")
	patchClone(t, name, image("web:2"))
	serveAmong(t, f, 1, 4, "web:2")
	columns(t, name, "web", "4 1 1 4 4")
	said := whyIs(t, "cloneset/web", "-n", name)
	says(t, said, "CloneSet why-clones/web", "4 of 4 there, 4 ready, 4 available", "3 pods of web-",
		"to be updated in place", "KeptByPartition  3 pods", "partition 3 keeps 3 pods of their revision")
	if strings.Contains(said, "Now:") {
		t.Errorf("there is nothing to do, and why says there is:\n%s", said)
	}
	if _, err := why(t.Context(), "cloneset/none", "-n", name); err == nil || !strings.Contains(err.Error(), "there is no CloneSet none") {
		t.Errorf("of a CloneSet that is not there: %v", err)
	}
}
