package inplace

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger-project/outrigger/internal/plan"
)

const (
	stateKey = "apps.kruise.io/inplace-update-state"
	graceKey = "apps.kruise.io/inplace-update-grace"
)

// fake is a Pod that takes patches as the API server does, and a kubelet that carries them out.
type fake struct {
	TemplatePod
	t           testing.TB
	annotations map[string]string
	now         time.Time
	started     int
}

// newFake has containers "name image priority", which run and are ready.
func newFake(t testing.TB, annotations map[string]string, containers ...string) *fake {
	t.Helper()
	f := &fake{t: t, annotations: maps.Clone(annotations), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if f.annotations == nil {
		f.annotations = map[string]string{}
	}
	f.Labels = map[string]string{RevisionLabel: "web-1", "pod-template-hash": "1", "app": "web"}
	f.Finalizers = []string{"x/y"}
	f.Annotation = func(key string) (string, bool) { value, ok := f.annotations[key]; return value, ok }
	for _, text := range containers {
		fields := append(strings.Fields(text), "")
		f.Containers = append(f.Containers, TemplateContainer{Name: fields[0], Image: fields[1], Priority: fields[2]})
		f.run(fields[0])
		f.ready(fields[0])
	}
	return f
}

func (f *fake) version(grace int32) TemplateVersion {
	return TemplateVersion{Revision: "web-2", Grace: grace, Now: f.now}
}

// run is kubelet starting a container from the image of its spec.
func (f *fake) run(name string) {
	f.started++
	c := &f.Containers[f.container(name)]
	c.Runs, c.Ready = Report{Image: c.Image, ImageID: "sha256:" + c.Image, ContainerID: fmt.Sprintf("containerd://%d", f.started), Started: f.now.Unix()}, false
}

func (f *fake) ready(name string) { f.Containers[f.container(name)].Ready = true }

// patch applies a change as the API server does: nothing of it may be outdated.
func (f *fake) patch(c plan.Change) {
	f.t.Helper()
	for _, image := range c.Images {
		own := &f.Containers[image.Index]
		if own.Name != image.Container || own.Image != image.From || image.From == image.To || image.Init {
			f.t.Fatalf("image change %+v of %+v", image, own)
		}
		own.Image = image.To
	}
	seen := map[string]bool{}
	for _, l := range c.Labels {
		apply(f.t, f.Labels, "label "+l.Key, l.Key, l.From, l.To, l.Absent, l.Remove, seen)
	}
	for _, a := range c.Annotations {
		apply(f.t, f.annotations, "annotation "+a.Key, a.Key, a.From, a.To, a.Absent, a.Remove, seen)
	}
	if change := c.Finalizers; change != nil {
		if !slices.Equal(change.From, f.Finalizers) || slices.Equal(change.From, change.To) {
			f.t.Fatalf("finalizers %v become %v of %v", f.Finalizers, change.To, change.From)
		}
		f.Finalizers = change.To
	}
}

func apply(t testing.TB, values map[string]string, what, key, from, to string, absent, remove bool, seen map[string]bool) {
	t.Helper()
	was, there := values[key]
	if there == absent || was != from || seen[what] || there && !remove && was == to || remove && to != "" {
		t.Fatalf("%s is %q, there %t: change from %q to %q, absent %t, remove %t", what, was, there, from, to, absent, remove)
	}
	seen[what] = true
	if remove {
		delete(values, key)
	} else {
		values[key] = to
	}
}

func (f *fake) stage() Stage { return ProgressOf(f.TemplatePod).Stage }

func (f *fake) proceed() plan.Change {
	f.t.Helper()
	c, ok := Continue(f.TemplatePod, f.now)
	if !ok {
		f.t.Fatalf("nothing to continue at %+v", ProgressOf(f.TemplatePod))
	}
	f.patch(c)
	return c
}

func (f *fake) images() string {
	var images []string
	for _, c := range f.Containers {
		images = append(images, c.Image)
	}
	return strings.Join(images, " ")
}

func (f *fake) expect(stage Stage, images string) {
	f.t.Helper()
	if got := f.stage(); got != stage || f.images() != images {
		f.t.Fatalf("%s with %s, want %s with %s\n%v", got, f.images(), stage, images, f.annotations)
	}
}

func webTo2() Difference { return Difference{Images: []ContainerImage{{Name: "web", To: "web:2"}}} }

func TestTemplateChange_writesTheVersionAndWhatDiffers(t *testing.T) {
	f := newFake(t, map[string]string{"keep": "k", "drop": "d"}, "injected i:1", "web web:1")
	d := webTo2()
	d.Metadata = Metadata{
		Labels: map[string]string{"app": "web", "more": "x"}, DropLabels: []string{"absent", "pod-template-hash"},
		Annotations: map[string]string{"keep": "k", stateKey: "no"}, DropAnnotations: []string{"drop"},
		Finalizers: []string{"a/b"}, DropFinalizers: []string{"x/y"},
	}
	if why := f.Refuses(d); why != "" || !f.Restarts(d) {
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
	if f.Restarts(d) {
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
		Images: []ContainerImage{{Name: "web", To: "web:2", Refs: []Ref{{Key: "tier"}, {Key: "gone"}}}},
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
	if _, early := Continue(f.TemplatePod, f.now.Add(10*time.Second)); early {
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

func TestBatches_oneAfterTheOther(t *testing.T) {
	f := newFake(t, nil, "injected i:1 100", "low low:1 -5", "web web:1 10", "plain plain:1", "odd odd:1 high", "mid mid:1 3")
	d := Difference{Metadata: Metadata{Labels: map[string]string{"tier": "red"}, DropLabels: []string{"app"}}}
	for _, name := range []string{"low", "web", "plain", "odd", "mid"} {
		d.Images = append(d.Images, ContainerImage{Name: name, To: name + ":2"})
	}
	d.Images[0].Refs = []Ref{{Key: "tier"}}
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
	if _, ok := Continue(f.TemplatePod, f.now); ok {
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
		Images:   []ContainerImage{{Name: "a", To: "a:2", Refs: []Ref{tier}}, {Name: "b", To: "b:2"}, {Name: "c", To: "c:2", Refs: []Ref{note}}, {Name: "d", To: "d:2", Refs: []Ref{tier, note}}},
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
		"resources":          {d: Difference{Resources: make([]ContainerResource, 1)}, want: "changing the resources of a running container is not supported yet"},
		"state no JSON":      {annotations: map[string]string{stateKey: "{"}, want: `annotation apps.kruise.io/inplace-update-state cannot be read: not JSON: "{"`},
		"state no object":    {annotations: map[string]string{stateKey: "null"}, want: `annotation apps.kruise.io/inplace-update-state cannot be read: not a JSON object: "null"`},
		"state of no use":    {annotations: map[string]string{stateKey: `{"nextContainerImages":[]}`}, want: "annotation apps.kruise.io/inplace-update-state cannot be read: json: cannot unmarshal array into Go struct field outstanding.nextContainerImages of type map[string]string"},
		"state: resources":   {annotations: map[string]string{stateKey: `{"nextContainerResources":{"web":{}}}`}, want: "annotation apps.kruise.io/inplace-update-state asks to change the resources of a running container, which is not supported yet"},
		"grace no JSON":      {annotations: map[string]string{graceKey: ""}, want: `annotation apps.kruise.io/inplace-update-grace cannot be read: not JSON: ""`},
		"grace: resources":   {annotations: map[string]string{graceKey: `{"containerResources":{"web":{}}}`}, want: "annotation apps.kruise.io/inplace-update-grace asks to change the resources of a running container, which is not supported yet"},
		"grace: wrong patch": {annotations: map[string]string{graceKey: `{"metaDataPatch":"e30x"}`}, want: "annotation apps.kruise.io/inplace-update-grace cannot be read: metaDataPatch: invalid character '1' after top-level value"},
	} {
		f := newFake(t, tc.annotations, "web web:1")
		if got := f.Refuses(tc.d); got != tc.want {
			t.Errorf("%s: refuses because of %q, want %q", name, got, tc.want)
		}
		if progress := ProgressOf(f.TemplatePod); tc.annotations != nil && (progress.Stage != Unreadable || progress.Why != tc.want || f.Restarts(tc.d)) {
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
		d := Difference{Images: []ContainerImage{{Name: "web", To: "web:2", Refs: []Ref{{Key: "tier"}}}}, Metadata: Metadata{Labels: map[string]string{"tier": "red"}}}
		if readable != (f.Refuses(d) == "") && f.stage() != Superseded {
			t.Fatalf("%+v, but refuses because of %q", ProgressOf(f.TemplatePod), f.Refuses(d))
		}
		if c, ok := Continue(f.TemplatePod, f.now); ok {
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
			if c, ok := Continue(f.TemplatePod, f.now); ok {
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
