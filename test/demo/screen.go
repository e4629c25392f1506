package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// screen shows a live row on a terminal, and a plain line each two seconds elsewhere.
type screen struct {
	out  *os.File
	live bool
	last time.Time
}

func newScreen(out *os.File) *screen {
	info, err := out.Stat()
	return &screen{out: out, live: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// row shows the present state; final rows are always shown.
func (s *screen) row(text, picture string, final bool) {
	switch {
	case s.live:
		fmt.Fprintf(s.out, "\r\x1b[K%s  %s", text, picture)
	case final || time.Since(s.last) >= 2*time.Second:
		fmt.Fprintln(s.out, text)
		s.last = time.Now()
	}
}

func (s *screen) end() {
	s.last = time.Time{}
	if s.live {
		fmt.Fprintln(s.out)
	}
}

// bar draws done and begun as parts of n.
func bar(done, begun, n int) string {
	const width = 40
	if n == 0 {
		return ""
	}
	d, b := done*width/n, begun*width/n
	return "[" + strings.Repeat("#", d) + strings.Repeat("-", max(0, b-d)) + strings.Repeat(" ", width-max(b, d)) + "]"
}

// checks are claims with whether they hold.
type checks []struct {
	claim string
	holds bool
}

func (c checks) print() error {
	for _, check := range c {
		if !check.holds {
			return fmt.Errorf("this does not hold: %s", check.claim)
		}
		fmt.Println("  ok:", check.claim)
	}
	return nil
}

func ready(pod *corev1.Pod) int {
	n := 0
	for _, s := range pod.Status.ContainerStatuses {
		if s.Ready {
			n++
		}
	}
	return n
}

func split(pod *corev1.Pod) (app, sidecar corev1.Container, err error) {
	for _, c := range pod.Spec.Containers {
		switch c.Name {
		case "nginx":
			app = c
		case "logtail":
			sidecar = c
		}
	}
	if app.Name == "" || sidecar.Name == "" {
		return app, sidecar, fmt.Errorf("the pod does not have both nginx and logtail: %d containers", len(pod.Spec.Containers))
	}
	return app, sidecar, nil
}

func status(pod *corev1.Pod, container string) corev1.ContainerStatus {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container {
			return s
		}
	}
	return corev1.ContainerStatus{}
}

func value(c corev1.Container, env string) string {
	for _, e := range c.Env {
		if e.Name == env {
			return e.Value
		}
	}
	return ""
}

func mounts(c corev1.Container, volume string) bool {
	for _, m := range c.VolumeMounts {
		if m.Name == volume {
			return true
		}
	}
	return false
}

func volumes(pod *corev1.Pod, name string) int {
	n := 0
	for _, v := range pod.Spec.Volumes {
		if v.Name == name {
			n++
		}
	}
	return n
}
