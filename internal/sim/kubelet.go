package sim

import "time"

// Kubelet's part. Whatever changes really is reported at once: a report that is late is, for everybody who
// reads it, a cache that lags.

// start is the first start of a Pod.
func (w *World) start(l *life) {
	if !w.exists(l) {
		return
	}
	for range l.pod.Spec.Containers {
		l.runs = append(l.runs, Container{})
	}
	l.restarting = true
	w.look(l)
}

// look has kubelet see the Pod's spec. It stops containers whose image is another now.
func (w *World) look(l *life) {
	if !w.exists(l) || l.runs == nil {
		return
	}
	l.epoch++
	epoch := l.epoch
	l.seen = l.pod.Generation
	if !l.restarting && l.runsSpec() {
		w.report(l, "kubelet has looked at %s")
		return
	}
	l.restarting = true
	l.wanted = l.wanted[:0]
	for i := range l.runs {
		l.wanted = append(l.wanted, l.pod.Spec.Containers[i].Image)
		l.runs[i].Stopped = l.runs[i].Stopped || l.runs[i].Image != l.wanted[i]
	}
	if w.percent(50) {
		w.report(l, "kubelet stops containers of %s")
	}
	w.after(w.between(300*time.Millisecond, 8*time.Second), func() { w.restart(l, epoch) })
}

// restart starts the containers that were stopped, with what kubelet saw in the spec, if it can be pulled.
func (w *World) restart(l *life, epoch int) {
	if !w.exists(l) || l.epoch != epoch {
		return
	}
	for i := range l.runs {
		image := l.wanted[i]
		if !w.pullable && Bad(image) {
			l.runs[i].Gone = l.runs[i].Image != ""
			w.report(l, "kubelet cannot pull the image of %s")
			return
		}
		if !l.runs[i].Stopped {
			continue
		}
		if l.runs[i].Image != "" {
			l.runs[i].Restarts++
		}
		l.runs[i].Start(image, w.clock())
	}
	if w.percent(50) {
		l.ready, l.restarting = false, false
		w.report(l, "kubelet has restarted %s, which is not ready yet")
		w.after(w.between(0, 5*time.Second), func() { w.becomeReady(l) })
		return
	}
	l.ready, l.restarting = true, false
	w.report(l, "kubelet has restarted %s, which is ready")
}

// crash restarts a container with the image it had.
func (w *World) crash(l *life) {
	if !w.exists(l) || l.runs == nil || l.restarting || !l.ready {
		return
	}
	l.runs[0].Restarts++
	l.runs[0].ID++
	l.runs[0].Started = w.clock()
	w.report(l, "a container of %s crashes and is back at once")
}

// becomeUnready has the application fail for a while, all by itself.
func (w *World) becomeUnready(l *life) {
	if !w.exists(l) || l.runs == nil || !l.ready {
		return
	}
	l.ready = false
	w.report(l, "%s becomes unready")
	w.after(w.between(time.Second, 20*time.Second), func() { w.becomeReady(l) })
}

func (w *World) becomeReady(l *life) {
	if !w.exists(l) || l.ready {
		return
	}
	l.ready = true
	w.report(l, "%s becomes ready")
}

// report writes the Pod's status. While a container is replaced, kubelet may go on calling the Pod ready.
func (w *World) report(l *life, what string) {
	w.tell(what, l.pod.Name)
	runs := true
	for i := range l.runs {
		runs = runs && l.runs[i].Image != "" && !l.runs[i].Gone
	}
	l.reported = l.ready && (!l.restarting || runs && w.percent(50))
	w.commit(l, Report(l.pod, l.runs, l.reported, l.seen, w.clock()), nil)
}

func (w *World) exists(l *life) bool { return w.pods[l.pod.Name] == l }
