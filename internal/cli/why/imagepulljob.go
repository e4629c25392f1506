package why

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// ImageFacts are what was read from the cluster for an ImagePullJob.
type ImageFacts struct {
	Now    time.Time
	Job    *v1beta1.ImagePullJob
	Nodes  []*corev1.Node
	Images []*v1beta1.NodeImage
	// Pods are those that podSelector selects, Pulling those of its namespace that pull for any job.
	Pods, Pulling []corev1.Pod
}

// ImagePullJob is the report on an ImagePullJob.
type ImagePullJob struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	// Numbers of nodes, as kubectl get shows them, and the message of the status, decided now.
	Desired   int32  `json:"desired"`
	Active    int32  `json:"active"`
	Succeeded int32  `json:"succeeded"`
	Failed    int32  `json:"failed"`
	Message   string `json:"message"`
	// Parallelism is how many nodes may pull at a time, Pulling those that do.
	Parallelism int   `json:"parallelism"`
	Pulling     *Pods `json:"pulling,omitempty"`
	// Next is what is done now, Holds are the nodes that wait, the most first.
	Next  []NextPods `json:"next,omitempty"`
	Holds []HeldPods `json:"holds,omitempty"`
	// Nodes that have failed or cannot have the image, as far as the status names them.
	Nodes []v1beta1.NodeReason `json:"nodes,omitempty"`
	// LookAgainAfter is when the passing of time alone may change this.
	LookAgainAfter string `json:"lookAgainAfter,omitempty"`
}

// OfImagePullJob reports on an ImagePullJob.
func OfImagePullJob(f ImageFacts) (ImagePullJob, error) {
	obs, err := imagepulljob.Observe(f.Job, f.facts())
	if err != nil {
		return ImagePullJob{}, err
	}
	p := imagepulljob.Plan(obs)
	status := imagepulljob.Status(obs)
	holds := slices.DeleteFunc(p.Holds, func(h plan.Hold) bool { return slices.Contains(status.FailedNodes, h.Unit.Name) }) // given up
	r := ImagePullJob{
		Name: f.Job.Namespace + "/" + f.Job.Name, Image: string(f.Job.Spec.Image), Parallelism: obs.Parallelism,
		Desired: status.Desired, Active: status.Active, Succeeded: status.Succeeded, Failed: status.Failed, Message: status.Message,
		Pulling: pulling(obs), Next: next(p.Steps), Holds: held(holds),
	}
	for _, n := range status.NodeReasons {
		if !slices.ContainsFunc(holds, func(h plan.Hold) bool { return h.Unit.Name == n.Node && string(h.Reason) == n.Reason }) {
			r.Nodes = append(r.Nodes, n)
		}
	}
	if p.WakeAfter > 0 {
		r.LookAgainAfter = p.WakeAfter.Round(time.Second).String()
	}
	return r, nil
}

// facts are what the manager would have seen.
func (f *ImageFacts) facts() imagepulljob.Facts {
	facts := imagepulljob.Facts{Candidates: imagepulljob.Candidates(f.Nodes, f.Images), Pods: map[string][]imagepulljob.Pod{}, Now: f.Now}
	for i := range f.Pods {
		pod := &f.Pods[i]
		_, pulls := pod.Labels[v1beta1.ImagePullPodLabel]
		if !pulls && probe.IsActive(pod) && pod.Spec.NodeName != "" && !slices.Contains(facts.PodNodes, pod.Spec.NodeName) {
			facts.PodNodes = append(facts.PodNodes, pod.Spec.NodeName)
		}
	}
	slices.Sort(facts.PodNodes)
	for i := range f.Pulling {
		if pod := &f.Pulling[i]; metav1.IsControlledBy(pod, f.Job) {
			p := imagepulljob.PodOf(pod, f.Job, f.Now)
			facts.Pods[p.Node] = append(facts.Pods[p.Node], p)
		}
	}
	return facts
}

func pulling(obs imagepulljob.Observed) *Pods {
	if obs.Job.Status.CompletionTime != nil {
		return nil
	}
	var active []plan.Unit
	for i := range obs.Nodes {
		if obs.Nodes[i].State == imagepulljob.Active {
			active = append(active, obs.Nodes[i].Unit)
		}
	}
	return some(active, func(u plan.Unit) plan.Unit { return u })
}

// String is the report for a reader.
func (r ImagePullJob) String() string {
	var p page
	p.heading("ImagePullJob %s", r.Name)
	p.fact("image", r.Image)
	p.fact("nodes", fmt.Sprintf("%d selected: %d with the image, %d pulling, %d failed; %d may pull at a time", r.Desired, r.Succeeded, r.Active, r.Failed, r.Parallelism))
	p.fact("status", r.Message)
	if r.Pulling != nil {
		p.fact("pulling", r.Pulling.of("node", "nodes"))
	}
	if r.LookAgainAfter != "" {
		p.fact("", "time alone may change this in "+r.LookAgainAfter)
	}
	if len(r.Next) > 0 {
		p.heading("\nNow:")
		for _, n := range r.Next {
			fmt.Fprintf(&p, "  %s  %s\n    %s\n", n.Verb, n.of("object", "objects"), n.Why)
		}
		p.heading("    if it stays so, no manager runs, or the write is refused: see kubectl describe imagepulljob, and the manager's log")
	}
	if len(r.Holds) > 0 {
		p.heading("\nHeld:")
		for _, h := range r.Holds {
			fmt.Fprintf(&p, "  %s  %s\n    %s\n", h.Reason, h.of("node", "nodes"), h.Why)
		}
	}
	if len(r.Nodes) > 0 {
		p.heading("\nFailed or left out:")
		for _, n := range r.Nodes {
			fmt.Fprintf(&p, "  %s  %s\n    %s\n", n.Node, n.Reason, n.Message)
		}
	}
	return p.String()
}
