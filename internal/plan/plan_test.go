package plan

import (
	"testing"
	"time"
)

func TestPlan_tellsEveryLine(t *testing.T) {
	web := Unit{Namespace: "default", Name: "web-0", UID: "u"}
	p := Plan{
		Steps:     []Step{{Verb: UpdateInPlace, Unit: web, Target: "logtail-2", Why: "update to logtail-2"}},
		Holds:     []Hold{{Unit: Unit{Namespace: "default", Name: "web-1"}, Reason: "Paused", Why: "updateStrategy.paused is true"}},
		WakeAfter: 90 * time.Second,
	}
	want := "UpdateInPlace default/web-0 to logtail-2: update to logtail-2\n" +
		"hold default/web-1 Paused: updateStrategy.paused is true\n" +
		"look again after 1m30s\n"
	if got := p.String(); got != want {
		t.Errorf("plan is\n%swant\n%s", got, want)
	}
}

func TestPlan_zeroHasNothingToTell(t *testing.T) {
	if got := (Plan{}).String(); got != "" {
		t.Errorf("the zero plan is %q", got)
	}
}

func TestPlan_held(t *testing.T) {
	var p Plan
	if got := p.Held(); got != nil {
		t.Errorf("nothing is held, Held() = %v", got)
	}
	for _, reason := range []Reason{"a", "a", "b", "a", "c"} {
		p.Holds = append(p.Holds, Hold{Reason: reason})
	}
	if got := p.Held(); len(got) != 3 || got["a"] != 3 || got["b"] != 1 || got["c"] != 1 {
		t.Errorf("Held() = %v, want a 3, b 1, c 1", got)
	}
}
