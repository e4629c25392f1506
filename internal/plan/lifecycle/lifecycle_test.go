package lifecycle

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

func hook(mark bool) *v1beta1.LifecycleHook {
	return &v1beta1.LifecycleHook{LabelsHandler: map[string]string{"hold": "yes"}, FinalizersHandler: []string{"a.b/c"}, MarkPodNotReady: mark}
}

func TestHooked_anyAndAll(t *testing.T) {
	for name, c := range map[string]struct {
		hook       *v1beta1.LifecycleHook
		labels     map[string]string
		finalizers []string
		any, all   bool
	}{
		"no hook":               {nil, map[string]string{"hold": "yes"}, []string{"a.b/c"}, false, false},
		"nothing there":         {hook(false), nil, nil, false, false},
		"all":                   {hook(false), map[string]string{"hold": "yes", "x": "y"}, []string{"z", "a.b/c"}, true, true},
		"label only":            {hook(false), map[string]string{"hold": "yes"}, []string{"z"}, true, false},
		"finalizer only":        {hook(false), nil, []string{"a.b/c"}, true, false},
		"label, other value":    {hook(false), map[string]string{"hold": "no"}, nil, false, false},
		"empty value, no label": {&v1beta1.LifecycleHook{LabelsHandler: map[string]string{"hold": ""}}, nil, nil, false, false},
		"empty value, label":    {&v1beta1.LifecycleHook{LabelsHandler: map[string]string{"hold": ""}}, map[string]string{"hold": ""}, nil, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Hooked(c.hook, c.labels, c.finalizers); got != c.any {
				t.Errorf("Hooked() = %t", got)
			}
			if got := AllHooked(c.hook, c.labels, c.finalizers); got != c.all {
				t.Errorf("AllHooked() = %t", got)
			}
		})
	}
}

func facts(s State, change ...func(*Facts)) Facts {
	f := Facts{State: s, Scheduled: true, UpdateDone: true}
	for _, c := range change {
		c(&f)
	}
	return f
}

func held(f *Facts)        { f.Labels, f.Finalizers = map[string]string{"hold": "yes"}, []string{"a.b/c"} }
func half(f *Facts)        { f.Labels, f.Finalizers = map[string]string{"hold": "yes"}, nil }
func unscheduled(f *Facts) { f.Scheduled = false }
func notDone(f *Facts)     { f.UpdateDone = false }
func own(f *Facts)         { f.TargetIsOwn = true }
func wanted(f *Facts)      { f.Wanted = true }
func specified(f *Facts)   { f.SpecifiedDelete = true }

func preDelete(mark bool) *v1beta1.Lifecycle { return &v1beta1.Lifecycle{PreDelete: hook(mark)} }
func inPlaceUpdate(mark bool) *v1beta1.Lifecycle {
	return &v1beta1.Lifecycle{InPlaceUpdate: hook(mark)}
}
func preNormal() *v1beta1.Lifecycle { return &v1beta1.Lifecycle{PreNormal: hook(false)} }

// The table of the specification, row by row, and what holds a Pod in each state.
func TestNext(t *testing.T) {
	const both = "label hold=yes, finalizer a.b/c"
	for name, c := range map[string]struct {
		hooks *v1beta1.Lifecycle
		facts Facts
		want  State
		why   string
	}{
		"no label stays so":                                               {preNormal(), facts(""), "", ""},
		"Normal stays":                                                    {inPlaceUpdate(false), facts(normal, notDone, wanted), "", ""},
		"a state that is none":                                            {nil, facts("Sleeping"), normal, "its lifecycle state Sleeping is none"},
		"PreparingNormal, not scheduled":                                  {nil, facts(preparingNormal, unscheduled), "", "it is not scheduled"},
		"PreparingNormal, scheduled":                                      {nil, facts(preparingNormal), normal, "it is scheduled"},
		"other hooks do not hold a new Pod":                               {inPlaceUpdate(false), facts(preparingNormal), normal, "it is scheduled"},
		"preNormal, nothing there":                                        {preNormal(), facts(preparingNormal), "", "lifecycle.preNormal waits until the Pod has " + both},
		"preNormal, part of it":                                           {preNormal(), facts(preparingNormal, half), "", "lifecycle.preNormal waits until the Pod has finalizer a.b/c"},
		"preNormal, complete":                                             {preNormal(), facts(preparingNormal, held), normal, "lifecycle.preNormal is complete"},
		"PreparingUpdate, held":                                           {inPlaceUpdate(false), facts(preparingUpdate, held), "", "lifecycle.inPlaceUpdate waits until the Pod has no longer " + both},
		"PreparingUpdate, held by a part":                                 {inPlaceUpdate(false), facts(preparingUpdate, half), "", "lifecycle.inPlaceUpdate waits until the Pod has no longer label hold=yes"},
		"PreparingUpdate, let go":                                         {inPlaceUpdate(false), facts(preparingUpdate), updating, "lifecycle.inPlaceUpdate lets it go"},
		"PreparingUpdate, hook removed":                                   {nil, facts(preparingUpdate, held), updating, "lifecycle.inPlaceUpdate lets it go"},
		"PreparingUpdate, own again, complete":                            {inPlaceUpdate(false), facts(preparingUpdate, own, held), normal, "it already has the revision that it is to have"},
		"PreparingUpdate, own again, let go":                              {inPlaceUpdate(false), facts(preparingUpdate, own), updated, "it already has the revision that it is to have"},
		"PreparingUpdate, own again, no hooks":                            {nil, facts(preparingUpdate, own), normal, "it already has the revision that it is to have"},
		"PreparingUpdate, own again, no such hook: not by way of Updated": {preDelete(false), facts(preparingUpdate, own), normal, "it already has the revision that it is to have"},
		"PreparingUpdate, own again, still on its way there":              {nil, facts(preparingUpdate, own, notDone), updating, "it already has the revision that it is to have"},
		"Updating, not done":                                              {inPlaceUpdate(false), facts(updating, notDone, held), "", "its update in place is not complete"},
		"Updating, done, incomplete":                                      {inPlaceUpdate(false), facts(updating, half), updated, "lifecycle.inPlaceUpdate waits until the Pod has finalizer a.b/c"},
		"Updating, done, complete":                                        {inPlaceUpdate(false), facts(updating, held), normal, "its update in place and lifecycle.inPlaceUpdate are complete"},
		"Updating, done, no hooks":                                        {nil, facts(updating), normal, "its update in place is complete"},
		"Updating, done, no such hook: at once":                           {preDelete(false), facts(updating), normal, "its update in place is complete"},
		"Updated, incomplete":                                             {inPlaceUpdate(false), facts(updated, half), "", "lifecycle.inPlaceUpdate waits until the Pod has finalizer a.b/c"},
		"Updated, complete":                                               {inPlaceUpdate(false), facts(updated, held), normal, "its update in place and lifecycle.inPlaceUpdate are complete"},
		"Updated, hook removed":                                           {preDelete(false), facts(updated), normal, "its update in place is complete"},
		"Updated, hooks removed":                                          {nil, facts(updated), normal, "its update in place is complete"},
		"PreparingDelete, held":                                           {preDelete(false), facts(preparingDelete, held), "", "lifecycle.preDelete waits until the Pod has no longer " + both},
		"PreparingDelete, let go":                                         {preDelete(false), facts(preparingDelete), "", ""},
		"PreparingDelete, wanted again":                                   {preDelete(false), facts(preparingDelete, held, wanted), preparingNormal, "replicas were raised again before it was deleted"},
		"PreparingDelete, wanted, let go too":                             {preDelete(false), facts(preparingDelete, wanted), preparingNormal, "replicas were raised again before it was deleted"},
		"PreparingDelete, wanted, specified":                              {preDelete(false), facts(preparingDelete, half, wanted, specified), "", "lifecycle.preDelete waits until the Pod has no longer label hold=yes"},
		"PreparingDelete, wanted, not ready":                              {preDelete(true), facts(preparingDelete, half, wanted), "", "lifecycle.preDelete waits until the Pod has no longer label hold=yes"},
		"PreparingDelete, wanted, another hook makes Pods not ready":      {inPlaceUpdate(true), facts(preparingDelete, wanted), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if to, why := Next(c.hooks, c.facts); to != c.want || why != c.why {
				t.Errorf("Next() = %q, %q; want %q, %q", to, why, c.want, c.why)
			}
		})
	}
}

func TestForUpdate(t *testing.T) {
	const waits = "lifecycle.inPlaceUpdate waits until the Pod has no longer label hold=yes"
	const free = "no hook of lifecycle.inPlaceUpdate holds it"
	for name, c := range map[string]struct {
		hooks *v1beta1.Lifecycle
		facts Facts
		want  State
		why   string
	}{
		"Normal, no hooks":           {nil, facts(normal), updating, free},
		"Normal, not held":           {inPlaceUpdate(false), facts(normal), updating, free},
		"Normal, held":               {inPlaceUpdate(false), facts(normal, half), preparingUpdate, waits},
		"no label, held":             {inPlaceUpdate(false), facts("", half), preparingUpdate, waits},
		"no label, not held":         {nil, facts(""), updating, free},
		"PreparingNormal, held":      {inPlaceUpdate(false), facts(preparingNormal, half), preparingUpdate, waits},
		"held by another hook only":  {preDelete(false), facts(normal, held), updating, free},
		"PreparingUpdate, held":      {inPlaceUpdate(false), facts(preparingUpdate, half), "", waits},
		"PreparingUpdate, let go":    {inPlaceUpdate(false), facts(preparingUpdate), updating, free},
		"Updating, another update":   {inPlaceUpdate(false), facts(updating, notDone), updating, free},
		"Updating, held again":       {inPlaceUpdate(false), facts(updating, half, notDone), preparingUpdate, waits},
		"Updated: asked again":       {inPlaceUpdate(false), facts(updated), preparingUpdate, "lifecycle.inPlaceUpdate is asked again before another update"},
		"Updated, hook removed":      {nil, facts(updated), updating, free},
		"PreparingDelete: no update": {inPlaceUpdate(false), facts(preparingDelete), "", "it is going to be deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			if to, why := ForUpdate(c.hooks, c.facts); to != c.want || why != c.why {
				t.Errorf("ForUpdate() = %q, %q; want %q, %q", to, why, c.want, c.why)
			}
		})
	}
}

func TestHandlers_arePutBackWhenAnUpdatedPodIsUpdatedAgain(t *testing.T) {
	type handlers struct {
		Labels     map[string]string
		Finalizers []string
	}
	for name, c := range map[string]struct {
		hooks *v1beta1.Lifecycle
		facts Facts
		to    State
		want  handlers
	}{
		"Updated":                {inPlaceUpdate(false), facts(updated), preparingUpdate, handlers{map[string]string{"hold": "yes"}, []string{"a.b/c"}}},
		"Updated, to Normal":     {inPlaceUpdate(false), facts(updated), normal, handlers{}},
		"Updated, no hook":       {preDelete(false), facts(updated), preparingUpdate, handlers{}},
		"Normal":                 {inPlaceUpdate(false), facts(normal), preparingUpdate, handlers{}},
		"Updated, no hooks, nil": {nil, facts(updated), preparingUpdate, handlers{}},
	} {
		t.Run(name, func(t *testing.T) {
			var got handlers
			got.Labels, got.Finalizers = Handlers(c.hooks, c.facts, c.to)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestForDelete(t *testing.T) {
	for _, s := range states() {
		if to, why := ForDelete(preDelete(false), facts(s, half)); to != preparingDelete || !strings.HasSuffix(why, "has no longer label hold=yes") {
			t.Errorf("held in %q: %q, %q", s, to, why)
		}
		for name, hooks := range map[string]*v1beta1.Lifecycle{"no hooks": nil, "another hook": inPlaceUpdate(false)} {
			if to, why := ForDelete(hooks, facts(s, held)); to != "" || why != "" {
				t.Errorf("%s, %q: %q, %q", name, s, to, why)
			}
		}
		if to, _ := ForDelete(preDelete(false), facts(s)); to != "" {
			t.Errorf("let go in %q: %q", s, to)
		}
	}
}

func TestServes(t *testing.T) {
	for _, s := range states() {
		if want := s == "" || s == "Normal"; Serves(s) != want {
			t.Errorf("Serves(%q) = %t", s, !want)
		}
	}
}

func states() []State {
	return []State{"", normal, preparingNormal, preparingUpdate, updating, updated, preparingDelete}
}

// Whatever hooks there are and whatever happens to a Pod: once the user plays along, it is Normal after a few moves, or
// gone, and ready unless somebody else keeps it not ready.
func TestNext_comesToRestWhenTheUserPlaysAlong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) *v1beta1.LifecycleHook {
			if !rapid.Bool().Draw(t, name) {
				return nil
			}
			return hook(name != "preNormal" && rapid.Bool().Draw(t, name+" marks"))
		}
		hooks := func() *v1beta1.Lifecycle {
			return &v1beta1.Lifecycle{PreDelete: draw("preDelete"), InPlaceUpdate: draw("inPlaceUpdate"), PreNormal: draw("preNormal")}
		}
		l, f, ready := hooks(), facts(preparingNormal, unscheduled), ""
		move := func(to State) {
			if to == "" {
				return
			}
			labels, finalizers := Handlers(l, f, to)
			if labels != nil {
				f.Labels, f.Finalizers = labels, finalizers
			}
			f.UpdateDone = f.UpdateDone && (to != updating || f.State == updating)
			f.State = to
			ready, _ = ReadyMessage(l, to, ready)
		}
		t.Repeat(map[string]func(*rapid.T){
			"next":         func(*rapid.T) { to, _ := Next(l, f); move(to) },
			"update":       func(*rapid.T) { to, _ := ForUpdate(l, f); move(to) },
			"delete":       func(*rapid.T) { to, _ := ForDelete(l, f); move(to) },
			"scheduled":    func(*rapid.T) { f.Scheduled = true },
			"hold":         func(*rapid.T) { held(&f) },
			"let go":       func(*rapid.T) { f.Labels, f.Finalizers = nil, nil },
			"part":         func(*rapid.T) { half(&f) },
			"done":         func(*rapid.T) { f.UpdateDone = true },
			"called off":   func(t *rapid.T) { f.TargetIsOwn = rapid.Bool().Draw(t, "own") },
			"wanted":       func(t *rapid.T) { f.Wanted = rapid.Bool().Draw(t, "is") },
			"other hooks":  func(*rapid.T) { l = hooks() },
			"no lifecycle": func(*rapid.T) { l = nil },
		})
		from := f.State
		f.Scheduled, f.UpdateDone = true, true
		for range 6 {
			switch f.State {
			case preparingUpdate, preparingDelete:
				f.Labels, f.Finalizers = nil, nil
			case preparingNormal, updating, updated:
				held(&f)
			}
			f.UpdateDone = true
			to, _ := Next(l, f)
			move(to)
		}
		if f.State == preparingDelete {
			if to, _ := ForDelete(l, f); to == "" {
				return // it is deleted
			}
		}
		if !Serves(f.State) || strings.Contains(ready, "Hook") {
			t.Fatalf("from %q: at rest in %q, not ready because of %s", from, f.State, ready)
		}
	})
}
