package sidecarset

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

// TestMetrics_followTheRollout: what the status says, what holds the rest, what was written; and nothing of a set
// without Pods or of one that is gone.
func TestMetrics_followTheRollout(t *testing.T) {
	set := logtail(2)
	w := newWorld(t, carriers(6, set)...)
	w.apply(set)
	empty := logtail(2)
	empty.Name, empty.UID = "empty", "uid-empty"
	w.apply(empty)
	w.run()
	exposes(t, w, `
# HELP outrigger_sidecarset_pods Pods of the SidecarSet by state, as in its status: matched, and of these updated, ready, updated_ready.
# TYPE outrigger_sidecarset_pods gauge
outrigger_sidecarset_pods{sidecarset="logtail",state="matched"} 6
outrigger_sidecarset_pods{sidecarset="logtail",state="ready"} 6
outrigger_sidecarset_pods{sidecarset="logtail",state="updated"} 6
outrigger_sidecarset_pods{sidecarset="logtail",state="updated_ready"} 6
`)
	w.api.Admit = func(old, _ *corev1.Pod) error {
		if old.Name != "web-00000" {
			return nil
		}
		return apierrors.NewForbidden(corev1.Resource("pods"), old.Name, http.ErrAbortHandler)
	}
	w.apply(withImage(set, "logtail:2"))
	for w.now.Before(testkit.Start().Add(time.Minute)) && w.step() {
	}
	if got := testutil.CollectAndCount(w.r.metrics, "outrigger_sidecarset_refused_writes_total"); got != 1 {
		t.Errorf("%d series of refused writes", got)
	}
	err := testutil.CollectAndCompare(w.r.metrics, strings.NewReader(`
# HELP outrigger_sidecarset_held_pods Pods of the SidecarSet that do not have the newest version and do not get it now, by reason.
# TYPE outrigger_sidecarset_held_pods gauge
outrigger_sidecarset_held_pods{reason="RefusedByAPIServer",sidecarset="logtail"} 1
# HELP outrigger_sidecarset_pods Pods of the SidecarSet by state, as in its status: matched, and of these updated, ready, updated_ready.
# TYPE outrigger_sidecarset_pods gauge
outrigger_sidecarset_pods{sidecarset="logtail",state="matched"} 6
outrigger_sidecarset_pods{sidecarset="logtail",state="ready"} 6
outrigger_sidecarset_pods{sidecarset="logtail",state="updated"} 5
outrigger_sidecarset_pods{sidecarset="logtail",state="updated_ready"} 5
# HELP outrigger_sidecarset_upgraded_pods_total Updates of pods in place that the API server accepted.
# TYPE outrigger_sidecarset_upgraded_pods_total counter
outrigger_sidecarset_upgraded_pods_total{sidecarset="logtail"} 5
`), "outrigger_sidecarset_held_pods", "outrigger_sidecarset_pods", "outrigger_sidecarset_upgraded_pods_total")
	if err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(w.r.metrics)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	w.remove("logtail")
	w.run()
	exposes(t, w, "")
}

func exposes(t *testing.T, w *world, want string) {
	t.Helper()
	if err := testutil.CollectAndCompare(w.r.metrics, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// TestMetrics_otherWritesAreNoUpgrades: a plan may write more than updates.
func TestMetrics_otherWritesAreNoUpgrades(t *testing.T) {
	m := NewMetrics()
	other := plan.Step{Verb: "Other"}
	m.looked("logtail", v1beta1.SidecarSetStatus{}, plan.Plan{}, engine.Did{
		Done: []plan.Step{other, {Verb: plan.UpdateInPlace}}, Refused: []engine.Refusal{{Step: other}, {Step: other}},
	})
	err := testutil.CollectAndCompare(m, strings.NewReader(`
# HELP outrigger_sidecarset_refused_writes_total Writes that the API server refused, by what they were to do.
# TYPE outrigger_sidecarset_refused_writes_total counter
outrigger_sidecarset_refused_writes_total{sidecarset="logtail",verb="Other"} 2
# HELP outrigger_sidecarset_upgraded_pods_total Updates of pods in place that the API server accepted.
# TYPE outrigger_sidecarset_upgraded_pods_total counter
outrigger_sidecarset_upgraded_pods_total{sidecarset="logtail"} 1
`))
	if err != nil {
		t.Error(err)
	}
}
