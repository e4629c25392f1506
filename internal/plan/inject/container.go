package inject

import (
	"slices"

	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
)

// extras is what a sidecar gets from the Pod's own containers, beside what it brings itself.
type extras struct {
	env, mounts, devices []jsonview.Value
	// envNames and paths that are taken: by the sidecar itself first, then by what was added.
	envNames, paths []string
}

// extrasFor collects them: the variables of transferEnv, then shared mounts, the variables these need, and
// shared devices.
func (c *container) extrasFor(p *pod) extras {
	if !c.takes() {
		return extras{}
	}
	x := extras{envNames: slices.Clone(c.envNames), paths: slices.Clone(c.paths)}
	for _, t := range c.transfer {
		if a, ok := t.from.find(p); ok {
			for _, name := range t.names {
				x.transfer(a, name)
			}
		}
	}
	for _, a := range p.apps {
		if c.shareMounts {
			x.shareMounts(a)
		}
		if c.shareDevices {
			x.shareDevices(c, a)
		}
	}
	return x
}

// takes tells whether the sidecar gets anything from the Pod's containers.
func (c *container) takes() bool { return c.shareMounts || c.shareDevices || len(c.transfer) > 0 }

func (x *extras) transfer(a app, name string) {
	if v := a.variable(name); v != nil && !slices.Contains(x.envNames, name) {
		x.envNames = append(x.envNames, name)
		x.env = append(x.env, v)
	}
}

// shareMounts adds the mounts of one container. Of several at one path the first stays.
func (x *extras) shareMounts(a app) {
	for m := range a.mounts.Elements() {
		at := clean(m.Get("mountPath").Text())
		if slices.Contains(x.paths, at) {
			continue
		}
		x.paths = append(x.paths, at)
		x.mounts = append(x.mounts, m)
		for _, name := range references(m.Get("subPathExpr").Text()) {
			x.need(a, name)
		}
	}
}

// shareDevices adds the devices of one container. Of several at one path the first stays, and so it does of
// several uses of one volume: Kubernetes lets a container have a volume as one device, and not mounted as well.
func (x *extras) shareDevices(c *container, a app) {
	for d := range a.devices.Elements() {
		at, volume := clean(d.Get("devicePath").Text()), d.Get("name").Text()
		used := func(v jsonview.Value) bool { return v.Get("name").Is(volume) }
		if slices.Contains(x.paths, at) || slices.Contains(c.volumes, volume) || slices.ContainsFunc(x.mounts, used) || slices.ContainsFunc(x.devices, used) {
			continue
		}
		x.paths = append(x.paths, at)
		x.devices = append(x.devices, d)
	}
}

// need adds a variable together with those that its value names, these first: kubelet resolves $(VAR) only
// to what stands before.
func (x *extras) need(a app, name string) {
	v := a.variable(name)
	if v == nil || slices.Contains(x.envNames, name) {
		return
	}
	x.envNames = append(x.envNames, name)
	for _, other := range references(v.Get("value").Text()) {
		x.need(a, other)
	}
	x.env = append(x.env, v)
}

// append writes the container's JSON.
func (c *container) append(buf []byte, p *pod) []byte {
	x := c.extrasFor(p)
	buf = append(buf, c.head...)
	if c.policy != nil {
		buf = append(append(buf, `,"resources":`...), p.resourcesOf(c)...)
	}
	buf = appendList(buf, `,"env":[`, c.env, x.env)
	if len(c.mounts)+len(x.mounts) > 0 {
		buf = appendList(buf, `,"volumeMounts":[`, c.mounts, x.mounts)
	}
	if len(c.devices)+len(x.devices) > 0 {
		buf = appendList(buf, `,"volumeDevices":[`, c.devices, x.devices)
	}
	return append(buf, '}')
}

// appendList writes what is joined already, then the rest.
func appendList(buf []byte, open string, joined []byte, rest []jsonview.Value) []byte {
	buf = append(buf, open...)
	buf = append(buf, joined...)
	for i, v := range rest {
		if i > 0 || len(joined) > 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, v...)
	}
	return append(buf, ']')
}
