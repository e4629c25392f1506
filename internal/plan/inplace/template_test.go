package inplace

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan"
)

const (
	stateKey = "apps.kruise.io/inplace-update-state"
	graceKey = "apps.kruise.io/inplace-update-grace"
)

func webTo2() Difference { return Difference{Images: []ContainerImage{{Name: "web", To: "web:2"}}} }

func TestTemplateChange_writesTheVersionAndWhatDiffers(t *testing.T) {
	f := newFake(t, map[string]string{"keep": "k", "drop": "d"}, "injected i:1", "web web:1")
	d := webTo2()
	d.Metadata = Metadata{
		Labels: map[string]string{"app": "web", "more": "x"}, DropLabels: []string{"absent", "pod-template-hash"},
		Annotations: map[string]string{"keep": "k", stateKey: "no"}, DropAnnotations: []string{"drop"},
		Finalizers: []string{"a/b"}, DropFinalizers: []string{"x/y"},
	}
	if why := f.Refuses(d); why != "" || !f.Restarts(d, f.now) {
		t.Fatal(why)
	}
	want := plan.Change{
		Images: []plan.ImageChange{{Container: "web", Index: 1, From: "web:1", To: "web:2"}},
		Labels: []plan.LabelChange{
			{Key: RevisionLabel, From: "web-1", To: "web-2"}, {Key: "pod-template-hash", From: "1", To: "2"}, {Key: "more", Absent: true, To: "x"},
		},
		Annotations: []plan.AnnotationChange{
			{Key: "drop", From: "d", Remove: true},
			{Key: stateKey, Absent: true, To: `{"revision":"web-2","updateTimestamp":"2026-01-02T03:04:05Z","lastContainerStatuses":{"web":{"image":"web:1","imageID":"sha256:web:1","containerID":"containerd://2","changing":false}},` +
				`"updateImages":true,"containerBatchesRecord":[{"timestamp":"2026-01-02T03:04:05Z","containers":["web"]}]}`},
		},
		Finalizers: &plan.FinalizerChange{From: []string{"x/y"}, To: []string{"a/b"}},
	}
	got := f.version(0).Change(f.TemplatePod, d)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}
	f.patch(got)
	f.expect(Changing, "i:1 web:2")
	f.run("web")
	f.expect(Complete, "i:1 web:2")
	short := f.version(0)
	short.ShortLabel = true
	if diff := cmp.Diff([]plan.LabelChange{{Key: RevisionLabel, From: "web-2", To: "2"}}, short.Change(f.TemplatePod, Difference{}).Labels); diff != "" {
		t.Errorf("short label:\n%s", diff)
	}
}

func TestTemplateChange_metadataRestartsNothing(t *testing.T) {
	f := newFake(t, nil, "web web:1")
	d := Difference{Metadata: Metadata{Labels: map[string]string{"a": "b"}}}
	if f.Restarts(d, f.now) {
		t.Error("a label restarts containers")
	}
	c := f.version(30).Change(f.TemplatePod, d)
	f.patch(c)
	f.expect(Complete, "web:1")
	if f.Labels["a"] != "b" || c.Images != nil || len(c.Annotations) != 1 || f.annotations[graceKey] != "" {
		t.Errorf("change %+v", c)
	}
}

func TestTemplateChange_keepsWhatOthersWroteIntoTheState(t *testing.T) {
	f := newFake(t, map[string]string{
		"inplace-update-state": `{"x" : [1e3], "revision":"web-1","updateEnvFromMetadata":true,"lastContainerStatuses":{"web":{"imageID":"sha256:0","y":1},"log":{"imageID":"sha256:9"}},"containerBatchesRecord":[{"containers":["log"]}]}`,
		"inplace-update-grace": `{"revision":"web-0"}`,
	}, "web web:1")
	f.patch(f.version(0).Change(f.TemplatePod, webTo2()))
	want := `{"x" : [1e3], "revision":"web-2","lastContainerStatuses":{"web":{"imageID":"sha256:web:1","y":1,"image":"web:1","containerID":"containerd://1","changing":false},"log":{"imageID":"sha256:9"}},` +
		`"updateTimestamp":"2026-01-02T03:04:05Z","updateImages":true,"containerBatchesRecord":[{"timestamp":"2026-01-02T03:04:05Z","containers":["web"]}]}`
	if diff := cmp.Diff(map[string]string{stateKey: want}, f.annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestGrace(t *testing.T) {
	f := newFake(t, map[string]string{"drop": "d"}, "web web:1")
	f.now = f.now.Add(time.Millisecond)
	d := Difference{
		Images: []ContainerImage{{Name: "web", To: "web:2", Environment: true, Refs: []Ref{{Key: "tier"}, {Key: "gone"}}}},
		Metadata: Metadata{
			Labels: map[string]string{"tier": "red", "a": "b"}, DropLabels: []string{"app", "gone"}, DropAnnotations: []string{"drop"},
			Finalizers: []string{"a/b"}, DropFinalizers: []string{"x/y"},
		},
	}
	f.Labels["gone"] = "g"
	first := f.version(10).Change(f.TemplatePod, d)
	if first.Images != nil || first.Finalizers != nil || len(first.Labels) != 2 {
		t.Errorf("the drain changes more than it may: %+v", first)
	}
	f.patch(first)
	f.expect(Draining, "web:1")
	want := `{"revision":"web-2","containerImages":{"web":"web:2"},"containerRefMetadata":{"web":{"labels":{"tier":"red"},"removedLabels":["gone"]}},` +
		`"metaDataPatch":"eyJtZXRhZGF0YSI6eyJsYWJlbHMiOnsiYSI6ImIiLCJhcHAiOm51bGx9LCJhbm5vdGF0aW9ucyI6eyJkcm9wIjpudWxsfSwiZmluYWxpemVycyI6WyJhL2IiXSwiJGRlbGV0ZUZyb21QcmltaXRpdmVMaXN0L2ZpbmFsaXplcnMiOlsieC95Il19fQ==","graceSeconds":10}`
	if diff := cmp.Diff(want, f.annotations[graceKey]); diff != "" {
		t.Errorf("grace annotation (-want +got):\n%s", diff)
	}
	progress := ProgressOf(f.TemplatePod)
	if wait := progress.Wait(f.now); wait < 10*time.Second || wait > 11*time.Second || progress.Due(f.now) || progress.Done(f.now) {
		t.Errorf("waits %s", wait)
	}
	if _, early := Continue(f.TemplatePod, ProgressOf(f.TemplatePod), f.now.Add(10*time.Second)); early {
		t.Error("the grace period is shorter than asked for")
	}
	f.now = f.now.Add(11 * time.Second)
	f.proceed()
	f.expect(Changing, "web:2")
	if diff := cmp.Diff(map[string]string{RevisionLabel: "web-2", "pod-template-hash": "2", "a": "b", "tier": "red"}, f.Labels); diff != "" || !slices.Equal(f.Finalizers, []string{"a/b"}) || len(f.annotations) != 1 {
		t.Errorf("after the grace period: finalizers %v, annotations %v, labels %s", f.Finalizers, f.annotations, diff)
	}
	f.run("web")
	f.expect(Complete, "web:2")
}

func TestGrace_supersededAndMerged(t *testing.T) {
	f := newFake(t, nil, "web web:1", "log log:1")
	f.patch(f.version(10).Change(f.TemplatePod, webTo2()))
	third := TemplateVersion{Revision: "web-3", Now: f.now}
	f.patch(third.Change(f.TemplatePod, Difference{Images: []ContainerImage{{Name: "log", To: "log:3"}}}))
	f.expect(Changing, "web:2 log:3") // what the grace period of web-2 kept back is done, too
	if _, there := f.annotations[graceKey]; there {
		t.Error("the grace annotation is still there")
	}
	f = newFake(t, nil, "web web:1")
	f.patch(f.version(10).Change(f.TemplatePod, webTo2()))
	f.Labels[RevisionLabel] = "web-9"
	f.expect(Superseded, "web:1")
	f.proceed()
	f.expect(Complete, "web:1")
}

// What OpenKruise began is brought to an end.
func TestContinue_whatOpenKruiseBegan(t *testing.T) {
	f := newFake(t, map[string]string{stateKey: `{"revision":"web-1","updateTimestamp":"2026-01-02T03:00:00Z","lastContainerStatuses":{"web":{"imageID":"sha256:web:0"}},"updateImages":true,` +
		`"nextContainerImages":{"log":"log:2"},"nextContainerRefMetadata":{"log":{"creationTimestamp":null,"labels":{"tier":"red"}}},"preCheckBeforeNext":{"containersRequiredReady":["web","not-there"]},` +
		`"containerBatchesRecord":[{"timestamp":"2026-01-02T03:00:00Z","containers":["web"]}]}`}, "web web:1", "log log:1")
	f.expect(NextBatch, "web:1 log:1")
	f.proceed()
	f.expect(Changing, "web:1 log:2")
	if f.Labels["tier"] != "red" {
		t.Errorf("labels %v", f.Labels)
	}

	f = newFake(t, map[string]string{
		stateKey: `{"revision":"web-1","updateTimestamp":"2026-01-02T03:00:00Z","lastContainerStatuses":null}`,
		// {"metadata":{"$setElementOrder/finalizers":[],"labels":{"a":"b","app":null}}}
		graceKey: `{"revision":"web-1","containerImages":{"web":"web:2"},"metaDataPatch":"eyJtZXRhZGF0YSI6eyIkc2V0RWxlbWVudE9yZGVyL2ZpbmFsaXplcnMiOltdLCJsYWJlbHMiOnsiYSI6ImIiLCJhcHAiOm51bGx9fX0=","graceSeconds":600,"oldTemplate":{},"newTemplate":{"spec":{}}}`,
	}, "web web:1")
	f.expect(Draining, "web:1")
	f.now = f.now.Add(6 * time.Minute)
	f.proceed()
	f.expect(Changing, "web:2")
	if _, app := f.Labels["app"]; app || f.Labels["a"] != "b" {
		t.Errorf("labels %v", f.Labels)
	}
}

func TestRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		annotations map[string]string
		d           Difference
		want        string
	}{
		"nothing":            {d: webTo2()},
		"another template":   {d: Difference{Recreate: "because"}, want: "because"},
		"no such container":  {d: Difference{Images: []ContainerImage{{Name: "log", To: "log:2"}}}, want: "the pod has no container log"},
		"size of nobody":     {d: Difference{Resources: []ContainerResource{{"log", "limits", "cpu", "1"}}}, want: "the pod has no container log"},
		"another class":      {d: Difference{Resources: []ContainerResource{{"web", "limits", "cpu", "1"}}}, want: "the new cpu and memory would make the pod Burstable, its QoS class is BestEffort; Kubernetes does not change that of a running pod"},
		"state no JSON":      {annotations: map[string]string{stateKey: "{"}, want: `annotation apps.kruise.io/inplace-update-state cannot be read: not JSON: "{"`},
		"state no object":    {annotations: map[string]string{stateKey: "null"}, want: `annotation apps.kruise.io/inplace-update-state cannot be read: not a JSON object: "null"`},
		"state of no use":    {annotations: map[string]string{stateKey: `{"nextContainerImages":[]}`}, want: "annotation apps.kruise.io/inplace-update-state cannot be read: json: cannot unmarshal array into Go struct field outstanding.nextContainerImages of type map[string]string"},
		"state: no amount":   {annotations: map[string]string{stateKey: `{"nextContainerResources":{"web":[]}}`}, want: "annotation apps.kruise.io/inplace-update-state cannot be read: json: cannot unmarshal array into Go struct field outstanding.nextContainerResources of type v1.ResourceRequirements"},
		"grace no JSON":      {annotations: map[string]string{graceKey: ""}, want: `annotation apps.kruise.io/inplace-update-grace cannot be read: not JSON: ""`},
		"grace: no amount":   {annotations: map[string]string{graceKey: `{"containerResources":{"web":{"limits":{"cpu":"much"}}}}`}, want: "annotation apps.kruise.io/inplace-update-grace cannot be read: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"},
		"grace: wrong patch": {annotations: map[string]string{graceKey: `{"metaDataPatch":"e30x"}`}, want: "annotation apps.kruise.io/inplace-update-grace cannot be read: metaDataPatch: invalid character '1' after top-level value"},
	} {
		f := newFake(t, tc.annotations, "web web:1")
		if got := f.Refuses(tc.d); got != tc.want {
			t.Errorf("%s: refuses because of %q, want %q", name, got, tc.want)
		}
		if progress := ProgressOf(f.TemplatePod); tc.annotations != nil && (progress.Stage != Unreadable || progress.Why != tc.want || f.Restarts(tc.d, f.now)) {
			t.Errorf("%s: progress %+v", name, progress)
		}
		f.patch(f.version(0).Change(f.TemplatePod, webTo2())) // writes what can be read, whatever was there
		f.expect(Changing, "web:2")
	}
}

// Whatever the annotations say: nothing panics, and what is written can be read.
func FuzzTemplatePod(fuzz *testing.F) {
	fuzz.Add("", "", int32(0))
	fuzz.Add(`{"revision":"web-1","updateTimestamp":"2026-01-02T03:00:00Z","lastContainerStatuses":{"web":{"imageID":"x"}},"nextContainerImages":{"log":"log:2"},"nextContainerRefMetadata":{"log":{"labels":{"tier":"red"}}},"preCheckBeforeNext":{"containersRequiredReady":["web"]},"containerBatchesRecord":[ ]}`, "", int32(5))
	fuzz.Add(`{"lastContainerStatuses":7,"containerBatchesRecord":{},"preCheckBeforeNext":null}`, `{"revision":"web-1","containerImages":{"web":"web:3"},"graceSeconds":-1,"metaDataPatch":"e30="}`, int32(0))
	fuzz.Fuzz(func(t *testing.T, state, grace string, seconds int32) {
		annotations := map[string]string{}
		if state != "" {
			annotations[stateKey] = state
		}
		if grace != "" {
			annotations[graceKey] = grace
		}
		f := newFake(t, annotations, "web web:1 1", "log log:1")
		readable := f.stage() != Unreadable
		d := Difference{Images: []ContainerImage{{Name: "web", To: "web:2", Environment: true, Refs: []Ref{{Key: "tier"}}}}, Metadata: Metadata{Labels: map[string]string{"tier": "red"}}}
		if readable != (f.Refuses(d) == "") && f.stage() != Superseded {
			t.Fatalf("%+v, but refuses because of %q", ProgressOf(f.TemplatePod), f.Refuses(d))
		}
		if c, ok := Continue(f.TemplatePod, ProgressOf(f.TemplatePod), f.now); ok {
			f.patch(c)
		}
		f.patch(f.version(seconds).Change(f.TemplatePod, d))
		for range 10 {
			f.now = f.now.Add(time.Hour)
			if p := ProgressOf(f.TemplatePod); p.Stage == Unreadable {
				t.Fatalf("wrote what cannot be read: %s: %v", p.Why, f.annotations)
			} else if p.From > f.now.Unix() {
				f.now = time.Unix(p.From, 0)
			}
			for _, c := range f.Containers {
				f.run(c.Name)
				f.ready(c.Name)
			}
			f.renew()
			if c, ok := f.next(); ok {
				f.patch(c)
			}
		}
		if f.now = f.now.Add(time.Hour); f.stage() != Complete || f.Containers[0].Image != "web:2" || f.Labels["tier"] != "red" {
			t.Fatalf("%+v with %s: %v", ProgressOf(f.TemplatePod), f.images(), f.annotations)
		}
		if c := f.version(0).Change(f.TemplatePod, d); c.Images != nil || c.Labels != nil || !json.Valid([]byte(f.annotations[stateKey])) {
			t.Fatalf("done twice: %+v", c)
		}
	})
}

// A container that has not come up from one image when it gets the next may be of either: the record says so.
func TestTemplateChange_recordsThatAnEarlierChangeIsUnderWay(t *testing.T) {
	f := newFake(t, nil, "web web:1")
	f.patch(f.version(0).Change(f.TemplatePod, webTo2()))
	third := TemplateVersion{Revision: "web-3", Now: f.now}
	f.patch(third.Change(f.TemplatePod, Difference{Images: []ContainerImage{{Name: "web", To: "web:3"}}}))
	last := object(object(f.annotations[stateKey], "lastContainerStatuses"), "web")
	if want := `{"image":"web:1","imageID":"sha256:web:1","containerID":"containerd://1","changing":true}`; last != want {
		t.Errorf("record %s, want %s", last, want)
	}
	f.run("web")
	if p := ProgressOf(f.TemplatePod); p.Stage != Complete || p.Done(f.now) || p.Wait(f.now) != patience*time.Second {
		t.Errorf("in doubt it is %+v", p)
	}
	f.now = f.now.Add(patience * time.Second)
	f.patch(TemplateVersion{Revision: "web-4", Now: f.now}.Change(f.TemplatePod, Difference{Images: []ContainerImage{{Name: "web", To: "web:4"}}}))
	last = object(object(f.annotations[stateKey], "lastContainerStatuses"), "web")
	if want := `{"image":"web:3","imageID":"sha256:web:3","containerID":"containerd://2","changing":false}`; last != want {
		t.Errorf("when time has told, the record is %s, want %s", last, want)
	}
}

func TestMetadata_after(t *testing.T) {
	earlier := Metadata{
		Labels: map[string]string{"a": "1", "b": "1", "c": "1"}, DropLabels: []string{"d", "e"},
		Finalizers: []string{"x/a", "x/b"}, DropFinalizers: []string{"x/c", "x/d"},
	}
	later := Metadata{
		Labels: map[string]string{"b": "2", "d": "2"}, DropLabels: []string{"c", "f"},
		Finalizers: []string{"x/c"}, DropFinalizers: []string{"x/a", "x/e"},
	}
	want := Metadata{
		Labels: map[string]string{"a": "1", "b": "2", "d": "2"}, DropLabels: []string{"c", "e", "f"}, Annotations: map[string]string{},
		Finalizers: []string{"x/b", "x/c"}, DropFinalizers: []string{"x/a", "x/d", "x/e"},
	}
	if diff := cmp.Diff(want, later.after(earlier)); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
}
