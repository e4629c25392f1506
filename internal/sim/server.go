package sim

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// commit makes a Pod's new version the truth and sends it to every cache. by is the manager that wrote.
func (w *World) commit(l *life, pod *corev1.Pod, by *manager) {
	w.rv++
	pod.ResourceVersion = strconv.Itoa(w.rv)
	l.pod = pod
	if by != nil {
		w.writes++
	}
	v := version{}
	if len(l.versions) > 0 {
		v = l.last()
	}
	v.rv, v.pod, v.by, v.annotations = w.rv, pod, by, pod.Annotations
	if text := pod.Annotations[v1beta1.SidecarSetHashAnnotation]; text != v.hashText {
		e := entry(text, w.set.Name)
		v.hashText, v.hash, v.revision = text, e.Hash, e.ControllerRevision
	}
	if text := pod.Annotations[v1beta1.SidecarSetHashWithoutImageAnnotation]; text != v.withoutImageText {
		v.withoutImageText, v.withoutImage = text, entry(text, w.set.Name).WithoutResources
	}
	v.migrating, v.serving = migrating(pod), l.serving()
	l.versions = append(l.versions, v)
	l.versions[len(l.versions)-1].available = l.available()
	for _, m := range w.managers {
		w.deliver(m, pod.Name, l, pod, w.rv)
	}
}

// commitSet makes the SidecarSet's new version the truth.
func (w *World) commitSet(set *v1beta1.SidecarSet) {
	w.rv++
	set.ResourceVersion = strconv.Itoa(w.rv)
	w.set, w.setRV = set, w.rv
	for _, m := range w.managers {
		rv := w.rv
		w.After(w.Lag(), func() { m.seeSet(set, rv) })
	}
}

// create adds a Pod. A name that was used before may be used again, with another UID. Admission may not have seen
// the last change of the spec yet.
func (w *World) create(name string, labels map[string]string) {
	w.uids++
	spec := w.set
	if w.lastSet != nil && w.Fault(40) {
		spec = w.lastSet
	}
	template := w.templateOf(spec)
	if template == nil {
		return
	}
	pod := instance(template, name, "uid-"+strconv.Itoa(w.uids), labels, w.Clock())
	switch grace := int64(5); w.uids % 5 {
	case 0:
		grace = 3600 // allowed, and not needed: containers stop within 30 s
		fallthrough
	case 1:
		pod.Spec.TerminationGracePeriodSeconds = &grace
	}
	l := &life{w: w, nr: len(w.lives)}
	l.Kubelet = node.New(&w.World, l, name, w.nodes[l.nr%len(w.nodes)], w.slow)
	w.lives = append(w.lives, l)
	if _, used := w.pods[name]; !used && !slices.Contains(w.names, name) {
		w.names = append(w.names, name)
	}
	w.pods[name] = l
	w.Tell("user creates %s (%s) with %s", name, pod.UID, spec.Spec.Containers[0].Image)
	w.commit(l, pod, nil)
	w.After(w.Between(0, 4*time.Second), l.Begin)
}

// templateOf returns what admission makes of Pods under a spec, which does not change.
func (w *World) templateOf(set *v1beta1.SidecarSet) *corev1.Pod {
	if w.templates[set.Generation] == nil {
		template, err := injected(set)
		if err != nil {
			w.Violate("the simulator works", "%v", err)
			return nil
		}
		w.templates[set.Generation] = template
	}
	return w.templates[set.Generation]
}

// Pod, Commit and Mended are what a kubelet knows of the API server.
func (l *life) Pod() *corev1.Pod {
	if !l.w.exists(l) {
		return nil
	}
	return l.pod
}

// Commit has a report be the Pod's newest version.
func (l *life) Commit(pod *corev1.Pod) { l.w.commit(l, pod, nil) }

// Mended tells that bad images can be pulled by now, and that none crashes any more.
func (l *life) Mended() bool { return l.w.pullable }

func (w *World) exists(l *life) bool { return w.pods[l.pod.Name] == l }

// remove deletes a Pod at once.
func (w *World) remove(name string) {
	w.Tell("user deletes %s", name)
	delete(w.pods, name)
	w.rv++
	for _, m := range w.managers {
		w.deliver(m, name, nil, nil, w.rv)
	}
}

// alive returns the Pods that are, in order of creation.
func (w *World) alive() []*life {
	lives := make([]*life, 0, len(w.names))
	for _, name := range w.names {
		if l := w.pods[name]; l != nil {
			lives = append(lives, l)
		}
	}
	return lives
}

// deliver sends a version to a cache: late, out of order with those of other Pods, twice, or, once in a while,
// lost until the cache lists again.
func (w *World) deliver(m *manager, name string, l *life, pod *corev1.Pod, rv int) {
	delay := w.Lag()
	if w.Fault(3) {
		delay = w.Between(10*time.Second, 30*time.Second)
	}
	w.After(delay, func() { m.see(name, l, pod, rv) })
	if w.Fault(5) {
		w.After(w.Lag(), func() { m.see(name, l, pod, rv) })
	}
}

// available is the truth of whether a Pod serves and will go on doing so: kubelet calls it ready, has looked at
// its newest spec, and every container, the one it calls ready and the one that runs, was really made from the image
// that the spec names. A Pod in the middle of a hot upgrade does not count as one that serves.
func (l *life) available() bool {
	return l.Sent.Ready && l.Sent.Generation == l.pod.Generation && l.runsSpec() && !l.last().migrating
}

func (l *life) runsSpec() bool {
	for i, c := range node.Beside(l.pod) {
		if i < len(l.Runs) && (l.Runs[i].Image != c.Image || l.Sent.Runs[i].Image != c.Image) {
			return false
		}
	}
	return true
}

// at returns the truth as it was at a resource version.
func (l *life) at(rv int) (version, bool) {
	for i := len(l.versions) - 1; i >= 0; i-- {
		if l.versions[i].rv <= rv {
			return l.versions[i], true
		}
	}
	return version{}, false
}

func (l *life) last() version { return l.versions[len(l.versions)-1] }

func hash(set *v1beta1.SidecarSet) string {
	full, _ := hashesOf(set)
	return full
}

// hashesOf returns the newest version's hashes: of everything, and of what no patch of a running Pod changes, which are
// neither images nor cpu and memory: every simulated Pod can be resized.
func hashesOf(set *v1beta1.SidecarSet) (full, withoutImage string) {
	h, err := revision.Of(&set.Spec)
	if err != nil {
		panic("hash a spec: " + err.Error())
	}
	return h.Full, h.WithoutResources
}

// hashOf returns the version that a Pod's annotation names.
func (w *World) hashOf(pod *corev1.Pod) string {
	return entry(pod.Annotations[v1beta1.SidecarSetHashAnnotation], w.set.Name).Hash
}

// entryOf is what an annotation says of a set.
type entryOf struct {
	Hash               string `json:"hash"`
	WithoutResources   string `json:"hashWithoutResources"`
	ControllerRevision string `json:"controllerRevision"`
}

// entry reads with encoding/json and not with the product's own reader.
func entry(annotation, set string) entryOf {
	var entries map[string]entryOf
	if json.Unmarshal([]byte(annotation), &entries) != nil {
		return entryOf{"unreadable", "unreadable", "unreadable"}
	}
	return entries[set]
}
