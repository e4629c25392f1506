package inplace

import (
	"strings"
	"testing"
	"time"
)

func TestBatches_oneAfterTheOther(t *testing.T) {
	f := newFake(t, nil, "injected i:1 100", "low low:1 -5", "web web:1 10", "plain plain:1", "odd odd:1 high", "mid mid:1 3")
	d := Difference{Metadata: Metadata{Labels: map[string]string{"tier": "red"}, DropLabels: []string{"app"}}}
	for _, name := range []string{"low", "web", "plain", "odd", "mid"} {
		d.Images = append(d.Images, ContainerImage{Name: name, To: name + ":2"})
	}
	d.Images[0].Environment, d.Images[0].Refs = true, []Ref{{Key: "tier"}}
	f.patch(f.version(0).Change(f.TemplatePod, d))
	f.expect(Changing, "i:1 low:1 web:2 plain:2 odd:2 mid:1")
	if f.Labels["app"] != "" || f.Labels["tier"] != "" {
		t.Errorf("labels %v: a label changes with the container that refers to it", f.Labels)
	}
	for _, name := range []string{"web", "plain", "odd"} {
		f.run(name)
	}
	f.ready("web")
	if p := ProgressOf(f.TemplatePod); p.Stage != Starting || p.Why != "waits until plain, odd is ready before the containers of the next priority change" {
		t.Errorf("%+v", p)
	}
	if _, ok := Continue(f.TemplatePod, ProgressOf(f.TemplatePod), f.now); ok {
		t.Error("the next batch does not wait for the one before")
	}
	f.ready("plain")
	f.ready("odd")
	f.expect(NextBatch, "i:1 low:1 web:2 plain:2 odd:2 mid:1")
	f.now = f.now.Add(time.Minute)
	f.proceed()
	f.expect(Changing, "i:1 low:1 web:2 plain:2 odd:2 mid:2")
	f.run("mid")
	f.ready("mid")
	c := f.proceed()
	f.expect(Changing, "i:1 low:2 web:2 plain:2 odd:2 mid:2")
	if f.Labels["tier"] != "red" || len(c.Annotations) != 1 {
		t.Errorf("the last batch: labels %v, change %+v", f.Labels, c)
	}
	f.run("low")
	f.expect(Complete, "i:1 low:2 web:2 plain:2 odd:2 mid:2")
	for _, gone := range []string{"next", "preCheck"} {
		if strings.Contains(f.annotations[stateKey], gone) {
			t.Errorf("the state still says %s: %s", gone, f.annotations[stateKey])
		}
	}
	if record, _ := Get(f.annotations[stateKey], "containerBatchesRecord"); record != `[{"timestamp":"2026-01-02T03:04:05Z","containers":["web","plain","odd"]},{"timestamp":"2026-01-02T03:05:05Z","containers":["mid"]},{"timestamp":"2026-01-02T03:05:05Z","containers":["low"]}]` {
		t.Errorf("record %s", record)
	}
}

// Containers that refer to the same label change together, and so do those that refer to another one with one of them.
func TestBatches_sharedMetadataIsOneBatch(t *testing.T) {
	f := newFake(t, nil, "a a:1 3", "b b:1 2", "c c:1 1", "d d:1 0")
	note, tier := Ref{Annotation: true, Key: "note"}, Ref{Key: "tier"}
	f.patch(f.version(0).Change(f.TemplatePod, Difference{
		Images:   []ContainerImage{{Name: "a", To: "a:2", Environment: true, Refs: []Ref{tier}}, {Name: "b", To: "b:2"}, {Name: "c", To: "c:2", Environment: true, Refs: []Ref{note}}, {Name: "d", To: "d:2", Environment: true, Refs: []Ref{tier, note}}},
		Metadata: Metadata{Labels: map[string]string{"tier": "red"}, Annotations: map[string]string{"note": "n"}},
	}))
	f.expect(Changing, "a:2 b:1 c:2 d:2")
	if f.Labels["tier"] != "red" || f.annotations["note"] != "n" {
		t.Errorf("labels %v, annotations %v", f.Labels, f.annotations)
	}
}

// A new version does not overtake the order of the one before: low waits for web, which starts still.
func TestBatches_aNewVersionWaitsForTheBatchBefore(t *testing.T) {
	for _, grace := range []int32{0, 5} {
		f := newFake(t, nil, "web web:1 10", "low low:1 0")
		f.patch(f.version(0).Change(f.TemplatePod, Difference{Images: []ContainerImage{{Name: "web", To: "web:2"}, {Name: "low", To: "low:2"}}}))
		third := TemplateVersion{Revision: "web-3", Now: f.now, Grace: grace}
		f.patch(third.Change(f.TemplatePod, Difference{Images: []ContainerImage{{Name: "low", To: "low:3"}}}))
		if grace > 0 {
			f.expect(Draining, "web:2 low:1")
			f.now = f.now.Add(time.Minute)
			f.proceed()
		}
		f.expect(Changing, "web:2 low:1")
		f.run("web")
		f.expect(Starting, "web:2 low:1")
		f.ready("web")
		f.proceed()
		f.expect(Changing, "web:2 low:3")
	}
}
