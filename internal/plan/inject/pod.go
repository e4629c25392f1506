package inject

import (
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
)

// pod is what injection reads of a Pod's JSON.
type pod struct {
	doc, metadata, spec jsonview.Value
	// names in the Pod's lists, in their order.
	containers, initContainers, volumes, secrets []string
	// apps are the Pod's own containers, the sources of mounts, devices and variables.
	apps []app
	// computed are the resources of the sidecars that have a resourcesPolicy.
	computed []computed
	// patched are the annotations that the sets' patchPodMetadata names, as they are after it.
	patched []patched
}

// app is a container that the Pod brought itself.
type app struct {
	name                 string
	env, mounts, devices jsonview.Value
}

func view(doc jsonview.Value) *pod {
	p := &pod{doc: doc, metadata: doc.Get("metadata"), spec: doc.Get("spec")}
	p.containers = names(p.spec.Get("containers"))
	p.initContainers = names(p.spec.Get("initContainers"))
	p.volumes = names(p.spec.Get("volumes"))
	p.secrets = names(p.spec.Get("imagePullSecrets"))
	return p
}

func names(list jsonview.Value) []string {
	n := 0
	for range list.Elements() {
		n++
	}
	if n == 0 {
		return nil
	}
	all := make([]string, 0, n)
	for e := range list.Elements() {
		all = append(all, e.Get("name").Text())
	}
	return all
}

// active tells that the Pod is neither finished nor being deleted.
func (p *pod) active() bool {
	phase := p.doc.Get("status").Get("phase")
	return !phase.Is("Succeeded") && !phase.Is("Failed") && !p.metadata.Get("deletionTimestamp").Present()
}

// findSources lists the Pod's own containers, if any sidecar copies from them.
func (p *pod) findSources(sets []*Set) {
	if !wantsSources(sets) {
		return
	}
	for c := range p.spec.Get("containers").Elements() {
		a := app{name: c.Get("name").Text(), env: c.Get("env"), mounts: c.Get("volumeMounts"), devices: c.Get("volumeDevices")}
		if !a.injected() && !replaced(a.name, sets) {
			p.apps = append(p.apps, a)
		}
	}
}

func wantsSources(sets []*Set) bool {
	for _, s := range sets {
		for _, list := range [...][]container{s.initContainers, s.containers} {
			for i := range list {
				if list[i].takes() {
					return true
				}
			}
		}
	}
	return false
}

func replaced(name string, sets []*Set) bool {
	for _, s := range sets {
		for i := range s.containers {
			if s.containers[i].name == name {
				return true
			}
		}
	}
	return false
}

func (a app) injected() bool { return a.variable(injectedEnv).Get("value").Is("true") }

// variable returns the container's definition of an environment variable; of several the last, which is the
// one that holds.
func (a app) variable(name string) jsonview.Value {
	var found jsonview.Value
	for e := range a.env.Elements() {
		if e.Get("name").Is(name) {
			found = e
		}
	}
	return found
}
