package sim

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kubelet's part, in its own order (SyncPod in k8s.io/kubernetes/pkg/kubelet/kubelet.go): it works on a Pod in
// turns, one after the other. A turn begins with a report of what runs and of the generation that the turn is about;
// then containers of another image are stopped, images pulled and containers started, and of all that nothing is
// reported before the next turn. Only the application's readiness is.

// kubelet is what one kubelet knows of a Pod.
type kubelet struct {
	node Images
	// images and generation are the spec that it has been told of.
	images     []string
	generation int64
	// busy: a turn is under way; again: another is to follow.
	busy, again bool
	// backoff is when kubelet tries again to pull an image that it could not.
	backoff time.Duration
	// now is what it has to report, sent what the API server has been told, sending that a report is on its way.
	now, sent report
	sending   bool
}

// report is what kubelet reports: of containers and generation what was when the last turn began.
type report struct {
	runs       []Container
	generation int64
	ready      bool
}

func (r *report) same(o *report) bool {
	return r.generation == o.generation && r.ready == o.ready && slices.Equal(r.runs, o.runs)
}

// look has kubelet see the Pod's newest spec.
func (w *World) look(l *life) {
	if !w.exists(l) || l.runs == nil || l.generation == l.pod.Generation {
		return
	}
	l.images, l.generation = nil, l.pod.Generation
	for _, c := range Beside(l.pod) {
		l.images = append(l.images, c.Image)
	}
	w.turn(l)
}

// turn begins a turn, or has one follow that is under way.
func (w *World) turn(l *life) {
	if !w.exists(l) || l.busy {
		l.again = true
		return
	}
	l.busy, l.again = true, false
	l.now.runs, l.now.generation = slices.Clone(l.runs), l.generation
	w.report(l, "begins a turn")
	wanted, stops, starts := l.images, false, false
	for i := range l.runs {
		stops = stops || l.runs[i].runs() && l.runs[i].Image != wanted[i]
		starts = starts || !l.runs[i].runs()
	}
	switch {
	case stops:
		w.after(w.stopping(l), func() { w.stop(l, wanted) })
	case starts:
		w.after(w.between(0, time.Second), func() { w.pull(l, wanted) })
	default:
		w.rest(l)
	}
}

// rest ends a turn. What it was told or what happened meanwhile makes another.
func (w *World) rest(l *life) {
	l.busy = false
	if l.again {
		w.turn(l)
	}
}

// stopping is how long containers take to stop.
func (w *World) stopping(l *life) time.Duration {
	grace := 30 * time.Second
	if seconds := l.pod.Spec.TerminationGracePeriodSeconds; seconds != nil && *seconds < 30 {
		grace = time.Duration(*seconds) * time.Second
	}
	if w.slow && w.percent(40) {
		return w.between(grace/2, grace)
	}
	return w.between(100*time.Millisecond, min(grace, 8*time.Second))
}

// stop stops the containers whose image is another than wanted, which a probe may notice.
func (w *World) stop(l *life, wanted []string) {
	if !w.exists(l) {
		return
	}
	for i := range l.runs {
		l.runs[i].Gone = l.runs[i].Gone || l.runs[i].Image != wanted[i] && l.runs[i].Image != ""
	}
	w.tell("kubelet has stopped containers of %s", l.pod.Name)
	if w.percent(50) {
		l.ready = false
		w.report(l, "notices")
	}
	w.after(w.between(0, time.Second), func() { w.pull(l, wanted) })
}

// pull brings the images that are wanted, and starts what does not run.
func (w *World) pull(l *life, wanted []string) {
	took := time.Duration(0)
	for _, image := range wanted {
		if l.node[digest(image)] == "" && !Bad(image) {
			took = w.between(0, 4*time.Second)
		}
	}
	w.after(took, func() { w.restart(l, wanted) })
}

// restart starts what does not run, if its image can be pulled.
func (w *World) restart(l *life, wanted []string) {
	if !w.exists(l) {
		return
	}
	started, unready := false, w.percent(50)
	for i, image := range wanted {
		switch {
		case l.runs[i].runs():
		case Bad(image) && (w.now < l.backoff || !w.pullable):
			l.runs[i].Waiting = w.refuse(l, image)
		default:
			l.runs[i].Start(image, l.node, w.clock())
			l.runs[i].Unready, started = unready, true
		}
	}
	if started {
		w.tell("kubelet has started containers of %s: %s", l.pod.Name, strings.Join(wanted, " "))
		if l.ready = !unready; unready {
			w.after(w.between(0, 5*time.Second), func() { w.becomeReady(l) })
		}
	}
	l.again = l.again || !slices.Equal(l.runs, l.now.runs)
	w.rest(l)
}

// refuse tells why an image is not there. kubelet tries to pull it again later.
func (w *World) refuse(l *life, image string) (why string) {
	if w.now < l.backoff {
		return "ImagePullBackOff"
	}
	w.tell("kubelet cannot pull %s of %s", image, l.pod.Name)
	wait := w.between(5*time.Second, 15*time.Second)
	l.backoff = w.now + wait
	w.after(wait, func() { w.retry(l, image) })
	return "ErrImagePull"
}

// retry tries to pull an image once more, if it still is wanted.
func (w *World) retry(l *life, image string) {
	if w.exists(l) && slices.Contains(l.images, image) {
		w.turn(l)
	}
}

// crash ends a container; kubelet starts another from the spec that it has been told of.
func (w *World) crash(l *life) {
	if !w.exists(l) || l.runs == nil || l.busy || !l.runs[0].runs() {
		return
	}
	l.runs[0].Gone = true
	w.tell("a container of %s crashes", l.pod.Name)
	w.after(w.between(0, time.Second), func() { w.turn(l) })
}

// becomeUnready has the application fail for a while, all by itself.
func (w *World) becomeUnready(l *life) {
	if !w.exists(l) || l.runs == nil || !l.ready {
		return
	}
	l.ready = false
	l.runs[w.rng.IntN(len(l.runs))].Unready = true
	w.report(l, "finds it unready")
	w.after(w.between(time.Second, 20*time.Second), func() { w.becomeReady(l) })
}

func (w *World) becomeReady(l *life) {
	if !w.exists(l) {
		return
	}
	unready := !l.ready
	for i := range l.runs {
		unready = unready || l.runs[i].Unready
		l.runs[i].Unready = false
	}
	if !unready {
		return
	}
	l.ready = true
	w.report(l, "finds it ready")
}

// report has kubelet tell the API server, soon. What has changed again by then is told as it is then.
func (w *World) report(l *life, what string) {
	w.tell("kubelet of %s %s", l.pod.Name, what)
	l.now.ready, l.now.runs = l.ready, slices.Clone(l.now.runs)
	for i := range l.now.runs {
		if l.now.runs[i].ID == l.runs[i].ID { // probes tell at once, and only of a container that kubelet has reported
			l.now.runs[i].Unready = !l.runs[i].Serves()
		}
		l.now.ready = l.now.ready && l.now.runs[i].Serves()
	}
	if l.sending || l.now.same(&l.sent) {
		return
	}
	l.sending = true
	late := w.between(0, 100*time.Millisecond)
	if w.fault(10) {
		late = w.between(0, 3*time.Second)
	}
	w.after(late, func() { w.send(l) })
}

// send writes the Pod's status.
func (w *World) send(l *life) {
	l.sending = false
	if !w.exists(l) || l.now.same(&l.sent) {
		return
	}
	l.sent = l.now
	if w.trace != nil {
		w.tell("kubelet reports %s: generation %d, ready %v, %s", l.pod.Name, l.sent.generation, l.sent.ready, told(l.sent.runs))
	}
	w.commit(l, Report(l.pod, l.sent.runs, l.sent.ready, l.sent.generation, w.clock()), nil)
}

func told(runs []Container) string {
	var b strings.Builder
	for i := range runs {
		b.WriteString(strconv.Itoa(runs[i].ID) + ":" + runs[i].Image)
		if !runs[i].runs() {
			b.WriteString(" (gone)")
		}
		b.WriteString(" ")
	}
	return strings.TrimSpace(b.String())
}

func (w *World) exists(l *life) bool { return w.pods[l.pod.Name] == l }
