package inplace

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// world is a Pod of which versions and kubelet's doings come in any order, and what must be true of it in the end.
type world struct {
	*fake
	images      map[string]string
	labels      map[string]string
	annotations map[string]string
	version     int
	// refs are what the environments of containers refer to, and refers those containers: they may be in an early batch
	// for that.
	refs   map[string][]Ref
	refers map[string]bool
	cpu    map[string]string
}

// Any versions come at any moment, with and without a grace period, while kubelet does its work. In the end the Pod is
// what the last version wants; meanwhile no container changes while one of a higher priority, which changed
// before it, does not serve, and nobody else's container changes at all.
func TestTemplates_anyOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := &world{refers: map[string]bool{}, refs: map[string][]Ref{}, cpu: map[string]string{}, images: map[string]string{}, labels: map[string]string{"app": "web"}, annotations: map[string]string{}}
		containers := []string{"injected i:1 50"}
		for _, name := range []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(r, "containers")] {
			containers = append(containers, name+" "+name+":0 "+rapid.SampledFrom([]string{"", "0", "1", "2", "-1", "x"}).Draw(r, "priority"))
			w.images[name] = name + ":0"
			for _, ref := range []Ref{{Key: "app"}, {Key: "tier"}, {Annotation: true, Key: "tier"}} {
				if rapid.IntRange(0, 3).Draw(r, "refers") == 0 {
					w.refs[name], w.refers[name] = append(w.refs[name], ref), true
				}
			}
		}
		w.fake = newFake(t, nil, containers...)
		for name := range w.images {
			w.cpu[name] = "1"
			w.size(name, "1", "").Size.Restarts[0] = rapid.Bool().Draw(r, "restarts")
		}
		for range rapid.IntRange(1, 12).Draw(r, "events") {
			w.event(r)
		}
		for range 20 {
			w.now = w.now.Add(time.Minute)
			w.settle()
			w.proceedIfDue(r)
		}
		w.check(r)
	})
}

func (w *world) event(r *rapid.T) {
	name := w.Containers[rapid.IntRange(0, len(w.Containers)-1).Draw(r, "container")].Name
	switch rapid.SampledFrom([]string{"version", "version", "run", "resize", "ready", "time", "renew", "continue", "continue"}).Draw(r, "event") {
	case "version":
		w.newVersion(r)
	case "run":
		w.run(name)
	case "resize":
		w.resize(name)
	case "ready":
		w.ready(name)
	case "time":
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(r, "seconds")) * time.Second)
	case "renew":
		w.renew()
	case "continue":
		w.proceedIfDue(r)
	}
}

func (w *world) newVersion(r *rapid.T) {
	w.version++
	d := Difference{}
	var changed []Ref
	for _, key := range []string{"app", "tier"} {
		if ref := (Ref{Key: key}); value(r, w.labels, key, &d.Labels, &d.DropLabels) {
			changed = append(changed, ref)
		}
		if ref := (Ref{Annotation: true, Key: key}); value(r, w.annotations, key, &d.Annotations, &d.DropAnnotations) {
			changed = append(changed, ref)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.images)) {
		image := ContainerImage{Name: name}
		if to := name + ":" + strconv.Itoa(rapid.IntRange(0, 3).Draw(r, "image")); rapid.Bool().Draw(r, "image changes") && to != w.images[name] {
			image.To, w.images[name] = to, to
		}
		for _, ref := range w.refs[name] {
			if slices.Contains(changed, ref) {
				image.Environment, image.Refs = true, append(image.Refs, ref)
			}
		}
		if image.To != "" || image.Environment {
			d.Images = append(d.Images, image)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.cpu)) {
		if rapid.Bool().Draw(r, "cpu changes") {
			w.cpu[name] = strconv.Itoa(rapid.IntRange(1, 3).Draw(r, "cpu"))
			d.Resources = append(d.Resources, ContainerResource{name, "requests", "cpu", w.cpu[name]})
		}
	}
	if why := w.Refuses(d); why != "" {
		r.Fatal(why)
	}
	v := TemplateVersion{Revision: fmt.Sprintf("web-%d", w.version+1), Now: w.now, Grace: rapid.SampledFrom([]int32{0, 0, 20}).Draw(r, "grace")}
	restarts := w.Restarts(d, w.now)
	c := v.Change(w.TemplatePod, d)
	if restarts && v.Grace > 0 && c.Resources != nil || (v.Grace > 0 || !restarts) && c.Restarts() {
		r.Fatalf("restarts %v %v, which was not to be expected", c.Images, c.Resources)
	}
	w.take(r, c)
}

// value draws what becomes of a label.
func value(r *rapid.T, now map[string]string, key string, set *map[string]string, drop *[]string) bool {
	was, there := now[key]
	switch to := rapid.SampledFrom([]string{"same", "x", "y", "none"}).Draw(r, key); {
	case to == "none" && there:
		*drop = append(*drop, key)
		delete(now, key)
	case to != "none" && to != "same" && to != was:
		if *set == nil {
			*set = map[string]string{}
		}
		(*set)[key], now[key] = to, to
	default:
		return false
	}
	return true
}

func (w *world) proceedIfDue(r *rapid.T) {
	if c, ok := w.next(); ok {
		w.take(r, c)
	}
}

// take applies a patch that keeps to the order of priorities.
func (w *world) take(r *rapid.T, c plan.Change) {
	before := w.state().object()
	for _, image := range c.Images {
		own, has := w.priority(image.Container)
		for i := range w.Containers {
			other := &w.Containers[i]
			priority, also := w.priority(other.Name)
			changes := slices.ContainsFunc(c.Images, func(i plan.ImageChange) bool { return i.Container == other.Name })
			inBatch := slices.Contains(w.required(), other.Name)
			if has && also && priority > own && inBatch && !changes && !other.serves(before, w.now) && !w.refers[image.Container] {
				r.Fatalf("%s changes before %s serves: %+v, %s", image.Container, other.Name, c, before)
			}
		}
		if image.Container == "injected" {
			r.Fatal("the container is somebody else's")
		}
	}
	w.patch(c)
}

func (w *world) required() []string {
	rest, _ := w.state().outstanding()
	return rest.PreCheck.Ready
}

// settle is kubelet carrying out what every container's spec says.
func (w *world) settle() {
	for _, c := range w.Containers {
		if c.Runs.Image != c.Image {
			w.run(c.Name)
		}
		w.resize(c.Name)
		w.ready(c.Name)
	}
	w.renew()
}

func (w *world) check(r *rapid.T) {
	w.now = w.now.Add(time.Hour)
	if p := ProgressOf(w.TemplatePod); !p.Done(w.now) {
		r.Fatalf("%+v: %v", p, w.fake.annotations)
	}
	for name, image := range w.images {
		if got := w.Containers[w.container(name)].Image; got != image {
			r.Errorf("%s has image %s, want %s", name, got, image)
		}
	}
	for name, refs := range w.refs {
		for _, ref := range refs {
			want := w.labels[ref.Key]
			if ref.Annotation {
				want = w.annotations[ref.Key]
			}
			if got := w.environments[name][ref.String()]; got != want {
				r.Errorf("%s has %s %q in its environment, want %q", name, ref, got, want)
			}
		}
	}
	for name, cpu := range w.cpu {
		if got := w.Containers[w.container(name)].Size.Of[0]; got != cpu {
			r.Errorf("%s has cpu %s, want %s", name, got, cpu)
		}
	}
	for _, key := range []string{"app", "tier"} {
		if w.Labels[key] != w.labels[key] || w.fake.annotations[key] != w.annotations[key] {
			r.Errorf("%s is label %q, annotation %q, want %q, %q", key, w.Labels[key], w.fake.annotations[key], w.labels[key], w.annotations[key])
		}
	}
	if _, there := w.fake.annotations[graceKey]; there || w.version > 0 && w.Labels[RevisionLabel] != fmt.Sprintf("web-%d", w.version+1) {
		r.Errorf("labels %v, annotations %v", w.Labels, w.fake.annotations)
	}
	if c, ok := w.next(); ok {
		r.Errorf("there is still something to do: %+v", c)
	}
}
