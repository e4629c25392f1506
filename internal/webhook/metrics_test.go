package webhook

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestPodMetrics_countPerSetAndForget: what became of each set, the time of every review, and nothing of a set that
// matched no Pod or is gone.
func TestPodMetrics_countPerSetAndForget(t *testing.T) {
	m := NewPodMetrics()
	h := &PodHandler{Metrics: m}
	paused := setOf("paused", nil)
	paused.Spec.InjectionStrategy.Paused = true
	elsewhere := setOf("elsewhere", map[string]string{"env": "test"})
	clash := setOf("clash", nil)
	clash.Spec.Selector.MatchLabels["clash"] = "yes"
	clash.Spec.Containers[0].Name = "plain"
	broken := setOf("broken", nil)
	broken.Spec.Selector.MatchLabels["app"] = "not a label value"
	put(t, h, setOf("plain", nil))
	put(t, h, paused)
	put(t, h, elsewhere)
	put(t, h, clash)
	if err := h.Put(broken); err == nil {
		t.Fatal("the set cannot be used")
	}
	web := `{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"i:1"}]}}`
	for _, pod := range []string{web, web, strings.Replace(web, `"web"`, `"web","clash":"yes"`, 1), strings.Replace(web, "web", "db", 1)} {
		w := httptest.NewRecorder()
		m.Time(h).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/mutate-pod", strings.NewReader(string(review("CREATE", "default", []byte(pod))))))
		if w.Code != http.StatusOK {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
	}
	const head = `
# HELP outrigger_sidecarset_injections_total Reviews of pods that the SidecarSet matched at their creation, by what became of it.
# TYPE outrigger_sidecarset_injections_total counter
outrigger_sidecarset_injections_total{result="refused",sidecarset="paused"} 1
outrigger_sidecarset_injections_total{result="skipped",sidecarset="paused"} 2
`
	const plain = `outrigger_sidecarset_injections_total{result="injected",sidecarset="plain"} 2
outrigger_sidecarset_injections_total{result="refused",sidecarset="plain"} 1
`
	const unusable = `
# HELP outrigger_unusable_sidecarsets SidecarSets that are not injected because this version cannot use them; the log names them.
# TYPE outrigger_unusable_sidecarsets gauge
outrigger_unusable_sidecarsets `
	const clashes = `outrigger_sidecarset_injections_total{result="refused",sidecarset="clash"} 1
`
	exposes(t, m, head+clashes+plain+unusable+"1\n")
	h.Delete("plain")
	h.Delete("broken")
	exposes(t, m, head+clashes+unusable+"0\n")
	if got := testutil.CollectAndCount(m, "outrigger_pod_admission_duration_seconds"); got != 1 {
		t.Errorf("%d histograms", got)
	}
	problems, err := testutil.CollectAndLint(m)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func exposes(t *testing.T, m *PodMetrics, want string) {
	t.Helper()
	err := testutil.CollectAndCompare(m, strings.NewReader(want), "outrigger_sidecarset_injections_total", "outrigger_unusable_sidecarsets")
	if err != nil {
		t.Error(err)
	}
}
