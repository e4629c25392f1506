package simkubelet

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/outrigger-project/outrigger/devcluster/internal/podlife"
)

func TestAddresses_areNotGivenTwice(t *testing.T) {
	a := newAddresses()
	a.use("10.64.0.2")
	a.use("") // a pod without one
	seen := map[string]bool{"10.64.0.2": true}
	for range 70000 { // more than a /16 holds
		ip := a.take()
		if seen[ip] {
			t.Fatalf("%s was given twice", ip)
		}
		seen[ip] = true
	}
	if !seen["10.64.0.1"] || !seen["10.65.0.1"] {
		t.Error("addresses do not count up from 10.64.0.1")
	}
}

func TestAddresses_wrapAround(t *testing.T) {
	a := newAddresses()
	first := a.take()
	a.next = lastPodAddress
	if got := a.take(); got != "10.127.255.254" {
		t.Errorf("last address %s", got)
	}
	if got := a.take(); got == first {
		t.Errorf("%s is in use and was given again", got)
	}
	a.release(first)
	a.next = firstPodAddress
	if got := a.take(); got != first {
		t.Errorf("got %s, want %s, which was given back", got, first)
	}
}

// TestEvents_neverBlock: with nobody to write them, events are dropped.
func TestEvents_neverBlock(t *testing.T) {
	e := newEvents(fake.NewClientset(), true)
	for i := range eventQueue + 10 {
		e.tell(&corev1.Pod{}, podlife.Event{Reason: "Started", Message: fmt.Sprint(i)})
	}
	if n := len(e.queue); n != eventQueue {
		t.Errorf("%d events queued, want %d", n, eventQueue)
	}
	if n := e.dropped.Load(); n != 10 {
		t.Errorf("%d events dropped, want 10", n)
	}
}

func TestTrim_keepsWhatDecides(t *testing.T) {
	p := &corev1.Pod{}
	p.Annotations = map[string]string{"devcluster.outrigger.dev/start-delay": "1s", "other": "x"}
	p.Labels = map[string]string{"a": "b"}
	p.Finalizers = []string{"f"}
	p.Spec = corev1.PodSpec{
		NodeName: "n", RestartPolicy: corev1.RestartPolicyNever, Volumes: []corev1.Volume{{}},
		Containers: []corev1.Container{{
			Name: "app", Image: "i", Command: []string{"c"}, StartupProbe: &corev1.Probe{PeriodSeconds: 3},
			Env: []corev1.EnvVar{{Name: "X", Value: "1"}, {Name: "Y", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{Key: "k"}}}},
		}},
	}
	o, err := trim(p)
	if err != nil {
		t.Fatal(err)
	}
	got := o.(*corev1.Pod)
	c := got.Spec.Containers[0]
	if len(got.Annotations) != 1 || got.Labels != nil || got.Spec.Volumes != nil || c.Command != nil {
		t.Errorf("kept too much: %+v", got)
	}
	if len(got.Finalizers) != 1 || got.Spec.RestartPolicy != corev1.RestartPolicyNever || c.StartupProbe == nil || len(c.Env) != 1 || c.Env[0].Name != "Y" {
		t.Errorf("dropped too much: %+v", got)
	}
}
