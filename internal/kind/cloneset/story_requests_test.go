package cloneset_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// request is a ContainerRecreateRequest for a pod.
type request struct {
	cloneset.Request
	pod string
	ttl time.Duration
}

// expire deletes the requests that have been over for as long as they are kept.
func (s *story) expire() {
	s.requests = slices.DeleteFunc(s.requests, func(q request) bool {
		return q.Ended > 0 && s.clock().Sub(time.Unix(q.Ended, 0)) >= q.ttl
	})
}

// request makes a ContainerRecreateRequest, or deletes it.
func (s *story) request(t *testing.T, step *plan.Step) {
	t.Helper()
	if step.Verb == plan.DeleteObject {
		s.requests = slices.DeleteFunc(s.requests, func(q request) bool { return q.Unit == step.Unit })
		return
	}
	r := &v1beta1.ContainerRecreateRequest{}
	unmarshal(t, step.Create.Object, r)
	at := slices.IndexFunc(s.pods, func(p *pod) bool { return p.Name == r.Spec.PodName })
	if at < 0 || r.Name != step.Unit.Name {
		t.Fatalf("request %s for pod %s", r.Name, r.Spec.PodName)
	}
	r.UID = types.UID("uid-" + r.Name)
	for i := range r.Spec.Containers {
		c := &r.Spec.Containers[i]
		for _, status := range s.pods[at].Status.ContainerStatuses {
			if status.Name == c.Name {
				c.StatusContext = &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: status.ContainerID}
			}
		}
	}
	s.requests = append(s.requests, request{cloneset.RequestOf(r), r.Spec.PodName, time.Duration(*r.Spec.TTLSecondsAfterFinished) * time.Second})
	base := r.Name[:strings.LastIndexByte(r.Name, '-')]
	if slices.Contains(s.names, base) {
		return
	}
	s.renewals++
	s.names = append([]string{base, fmt.Sprintf("%s-renewal-%d", s.aliases.Replace(r.Spec.PodName), s.renewals)}, s.names...)
	s.aliases = strings.NewReplacer(s.names...)
}

// requested tells what is sent, for which containers.
func requested(object []byte) string {
	r := &v1beta1.ContainerRecreateRequest{}
	if err := json.Unmarshal(object, r); err != nil {
		return err.Error()
	}
	var names []string
	for _, c := range r.Spec.Containers {
		names = append(names, c.Name)
	}
	return fmt.Sprintf("request for pod %s, containers %v", r.Spec.PodName, names)
}

// agent is what the node agents do with the requests that are not over: containers start anew, or say why not.
func (s *story) agent(t *testing.T, name, why string) {
	t.Helper()
	for _, p := range s.find(t, strings.Fields(name)[len(strings.Fields(name))-1]) {
		for i := range s.requests {
			q := &s.requests[i]
			if q.pod != p.Name || q.Ended > 0 {
				continue
			}
			q.Phase, q.Ended, q.Succeeded, q.Why = "Completed", s.clock().Unix(), why == "", why
			for j := range p.Spec.Containers {
				if why == "" && slices.Contains(q.Left, p.Spec.Containers[j].Name) {
					p.runs[j].Start(p.Spec.Containers[j].Image, s.images, s.clock())
				}
			}
			s.report(p)
		}
	}
}
