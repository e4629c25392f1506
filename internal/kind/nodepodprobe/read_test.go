package nodepodprobe

import (
	"encoding/json"
	"testing"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// read says in words what a step tells a node.
func read(t *testing.T, s plan.Step) (words []string) {
	t.Helper()
	var pods []v1beta1.PodProbe
	switch {
	case s.Create != nil:
		var made v1beta1.NodePodProbe
		if err := json.Unmarshal(s.Create.Object, &made); err != nil {
			t.Fatal(err)
		}
		pods = made.Spec.PodProbes
	case len(s.Change.Spec) > 0 && len(s.Change.Spec[0].To) > 0:
		if err := json.Unmarshal(s.Change.Spec[0].To, &pods); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range pods {
		text := p.Name + " " + p.IP
		for i := range p.Probes {
			text += " " + p.Probes[i].Name
			if port := probe.PortOf(&p.Probes[i].Probe); port != nil {
				text += ":" + port.String()
			}
		}
		words = append(words, text)
	}
	return words
}
