package inplace

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// fake is a Pod that takes patches as the API server does, and a kubelet that carries them out.
type fake struct {
	TemplatePod
	t           testing.TB
	annotations map[string]string
	now         time.Time
	started     int
	// environments are what containers have of all labels and annotations, by their references.
	environments map[string]map[string]string
	// renewed is the renewal that was done.
	renewed string
}

// newFake has containers "name image priority", which run and are ready.
func newFake(t testing.TB, annotations map[string]string, containers ...string) *fake {
	t.Helper()
	f := &fake{t: t, annotations: maps.Clone(annotations), environments: map[string]map[string]string{}, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if f.annotations == nil {
		f.annotations = map[string]string{}
	}
	f.Labels = map[string]string{RevisionLabel: "web-1", "pod-template-hash": "1", "app": "web"}
	f.Finalizers = []string{"x/y"}
	f.Annotation = func(key string) (string, bool) { value, ok := f.annotations[key]; return value, ok }
	defer f.measure()
	for _, text := range containers {
		fields := append(strings.Fields(text), "")
		f.Containers = append(f.Containers, TemplateContainer{Name: fields[0], Image: fields[1], Priority: fields[2], Size: Size{Given: true}})
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
	f.environments[name] = map[string]string{}
	for key, value := range f.Labels {
		f.environments[name][Ref{Key: key}.String()] = value
	}
	for key, value := range f.annotations {
		f.environments[name][Ref{Annotation: true, Key: key}.String()] = value
	}
	c.Runs, c.Ready = Report{Image: c.Image, ImageID: "sha256:" + c.Image, ContainerID: fmt.Sprintf("containerd://%d", f.started), Started: f.now.Unix()}, false
}

// size gives a container cpu, requested and perhaps limited, in its spec and in truth.
func (f *fake) size(name, request, limit string) *TemplateContainer {
	c := &f.Containers[f.container(name)]
	c.Size.Of, c.Size.Requests, c.Size.Limits, c.Size.Given = [4]string{request, "", limit, ""}, request != "", limit != "", true
	f.measure()
	return c
}

// measure is the API server working out the Pod's QoS class.
func (f *fake) measure() {
	f.QoS = QoS{}
	for i := range f.Containers {
		f.QoS.Add(&f.Containers[i].Size.Amounts)
	}
}

// resize is kubelet giving a container what its spec says.
func (f *fake) resize(name string) { f.Containers[f.container(name)].Size.Given = true }

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
	class := f.QoS.Class()
	for _, r := range c.Resources {
		own := &f.Containers[r.Index]
		list, at := map[string]int{"requests": 0, "limits": 2}[r.List], map[string]int{"cpu": 0, "memory": 1}[r.Resource]
		if own.Name != r.Container || own.Size.Of[list+at] != r.From || r.From == r.To || r.NoList != !own.Size.Has(list) || r.Restarts != own.Size.Restarts[at] {
			f.t.Fatalf("resource change %+v of %+v", r, own)
		}
		own.Size.Of[list+at], own.Size.Ours[list+at], own.Size.Given = r.To, true, false
	}
	if f.measure(); f.QoS.Class() != class {
		f.t.Fatalf("the pod is %s and was %s", f.QoS.Class(), class)
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

// renew is a node agent having containers start anew.
func (f *fake) renew() {
	if r := ProgressOf(f.TemplatePod).Renewal; r != nil && r.ID != f.renewed {
		for _, name := range r.Containers {
			f.run(name)
			f.ready(name)
		}
		f.renewed = r.ID
	}
}

// next is the next patch of an update.
func (f *fake) next() (plan.Change, bool) {
	p := ProgressOf(f.TemplatePod)
	if p.Renewal == nil || p.Renewal.ID != f.renewed {
		return Continue(f.TemplatePod, p, f.now)
	}
	if p = p.Renewed(); p.Done(f.now) {
		return plan.Change{Annotations: Renewed(f.TemplatePod)}, true
	}
	return Continue(f.TemplatePod, p, f.now)
}

func (f *fake) stage() Stage { return ProgressOf(f.TemplatePod).Stage }

func (f *fake) proceed() plan.Change {
	f.t.Helper()
	c, ok := f.next()
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
