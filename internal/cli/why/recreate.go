package why

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
)

// RecreateFacts are what was read from the cluster for a ContainerRecreateRequest.
type RecreateFacts struct {
	Now     time.Time
	Request *v1beta1.ContainerRecreateRequest
	// Pod is the one of the request's name; nil: there is none.
	Pod *corev1.Pod
	// Told is what the agent of its node is told and reports; nil: nothing.
	Told *v1beta1.NodeContainerRecreate
	// Notes say what could not be read.
	Notes []string
}

// Recreation is the report on a ContainerRecreateRequest.
type Recreation struct {
	Name string `json:"name"`
	Pod  string `json:"pod"`
	Node string `json:"node,omitempty"`
	// Phase and Message are those of the status, decided now.
	Phase   string `json:"phase"`
	Message string `json:"message,omitempty"`
	// Containers are how far each is, in order.
	Containers []RecreatedContainer `json:"containers,omitempty"`
	// Next is what the manager does now, Holds what it does not, and why.
	Next       []NextPods  `json:"next,omitempty"`
	Holds      []HeldPods  `json:"holds,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	// LookAgainAfter is when the passing of time alone may change this.
	LookAgainAfter string   `json:"lookAgainAfter,omitempty"`
	Notes          []string `json:"notes,omitempty"`
}

// RecreatedContainer is how far a container is.
type RecreatedContainer struct {
	Name    string `json:"name"`
	Phase   string `json:"phase"`
	Message string `json:"message,omitempty"`
}

// OfRecreateRequest reports on a ContainerRecreateRequest.
func OfRecreateRequest(f RecreateFacts) Recreation {
	request := f.Request
	node, uid := request.Labels[v1beta1.ContainerRecreateRequestNodeNameLabel], string(request.UID)
	obs := containerrecreaterequest.Observed{Request: request, Pod: f.Pod, Now: f.Now}
	if f.Told != nil {
		obs.Report = containerrecreaterequest.ReportOf(&f.Told.Status, uid)
		obs.Order = containerrecreaterequest.OrderOf(&f.Told.Spec, uid)
	}
	p, status := containerrecreaterequest.Plan(obs), containerrecreaterequest.Status(obs)
	r := Recreation{
		Name: request.Namespace + "/" + request.Name, Pod: request.Spec.PodName, Node: node,
		Phase: string(status.Phase), Message: status.Message, Next: next(p.Steps), Holds: held(p.Holds), Notes: slices.Clone(f.Notes),
	}
	for i := range status.ContainerRecreateStates {
		c := &status.ContainerRecreateStates[i]
		r.Containers = append(r.Containers, RecreatedContainer{c.Name, string(c.Phase), c.Message})
	}
	for _, c := range status.Conditions {
		r.Conditions = append(r.Conditions, Condition{c.Type, c.Status, c.Reason, c.Message})
	}
	if len(f.Notes) == 0 && containerrecreaterequest.Open(request) && obs.Order == nil {
		r.Notes = append(r.Notes, "the agent of node "+node+" is not told of it: another request of the Pod goes first, the node has too many, or no manager runs")
	}
	if p.WakeAfter > 0 {
		r.LookAgainAfter = p.WakeAfter.Round(time.Second).String()
	}
	return r
}

// String is the report for a reader.
func (r Recreation) String() string {
	var p page
	p.heading("ContainerRecreateRequest %s", r.Name)
	where := r.Pod
	if r.Node != "" {
		where += " on node " + r.Node
	}
	p.fact("pod", where)
	phase := r.Phase
	if phase == "" {
		phase = "not begun"
	}
	if r.Message != "" {
		phase += ": " + r.Message
	}
	p.fact("status", phase)
	for _, c := range r.Containers {
		text := c.Name + " " + c.Phase
		if c.Message != "" {
			text += ": " + c.Message
		}
		p.fact("container", text)
	}
	if r.LookAgainAfter != "" {
		p.fact("", "time alone may change this in "+r.LookAgainAfter)
	}
	p.facts("note", r.Notes)
	if len(r.Next) > 0 {
		p.heading("\nNow:")
		for _, n := range r.Next {
			fmt.Fprintf(&p, "  %s  %s\n    %s\n", n.Verb, n.of("object", "objects"), n.Why)
		}
	}
	if len(r.Holds) > 0 {
		p.heading("\nHeld:")
		for _, h := range r.Holds {
			fmt.Fprintf(&p, "  %s\n    %s\n", h.Reason, h.Why)
		}
	}
	p.conditions(r.Conditions)
	return p.String()
}
