package behaviour

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Pod is the behaviour of the containers of one pod.
type Pod struct {
	// own holds the containers with annotations of their own, apps and inits
	// are the settings of all others.
	own         map[string]Settings
	apps, inits Settings
	initNames   []string
}

// Of returns how the container of that name behaves.
func (p Pod) Of(container string) Settings {
	if s, ok := p.own[container]; ok {
		return s
	}
	if slices.Contains(p.initNames, container) {
		return p.inits
	}
	return p.apps
}

// Containers are the names of a pod's containers.
type Containers struct {
	Apps []string
	// Inits are init containers and sidecars. What an annotation of the whole
	// pod says about ending (run-for, exit-code) is not meant for them.
	Inits []string
}

func (c Containers) has(name string) bool {
	return slices.Contains(c.Apps, name) || slices.Contains(c.Inits, name)
}

// Problem is an annotation that was not followed, and why.
type Problem struct {
	Annotation, Message string
}

func (p Problem) String() string { return p.Annotation + ": " + p.Message }

// Parse reads the annotations of a pod with those containers. What is not
// understood leaves the default in force and is reported, sorted.
func Parse(annotations map[string]string, containers Containers, defaults Settings) (Pod, []Problem) {
	p := Pod{apps: defaults, inits: defaults, initNames: containers.Inits}
	keys := ours(annotations)
	if len(keys) == 0 {
		return p, nil
	}
	r := reader{annotations: annotations, table: Table()}
	for _, key := range keys {
		if name := strings.TrimPrefix(key, Prefix); !strings.Contains(name, ".") {
			r.apply(key, name, &p.apps)
		}
	}
	p.inits = p.apps
	p.inits.RunFor, p.inits.ExitCode = defaults.RunFor, defaults.ExitCode
	for _, key := range keys {
		name, container, single := strings.Cut(strings.TrimPrefix(key, Prefix), ".")
		switch {
		case !single:
		case !containers.has(container):
			r.report(key, fmt.Errorf("the pod has no container %q", container))
		default:
			s := p.Of(container)
			r.apply(key, name, &s)
			if p.own == nil {
				p.own = map[string]Settings{}
			}
			p.own[container] = s
		}
	}
	return p, r.problems
}

// ours returns the annotations with our prefix, sorted.
func ours(annotations map[string]string) []string {
	var keys []string
	for key := range annotations {
		if strings.HasPrefix(key, Prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// reader applies annotations and collects what is wrong with them.
type reader struct {
	annotations map[string]string
	table       []Setting
	problems    []Problem
}

func (r *reader) report(key string, err error) {
	r.problems = append(r.problems, Problem{key, err.Error()})
}

func (r *reader) apply(key, name string, s *Settings) {
	i := slices.IndexFunc(r.table, func(t Setting) bool { return t.Name == name })
	if i < 0 {
		r.report(key, fmt.Errorf("there is no setting %q", name))
		return
	}
	if err := r.table[i].set(s, r.annotations[key]); err != nil {
		r.report(key, fmt.Errorf("value %q: %w", r.annotations[key], err))
	}
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
