package imagepulljob

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

const (
	// maxReasons is how many nodes of a sort the status gives reasons for.
	maxReasons = 20
	// maxMessage bounds what is told of one node, in bytes.
	maxMessage = 512
)

// summary is a status in the making.
type summary struct {
	*Observed

	failed, waiting []v1beta1.NodeReason
	lost            int
}

func (s *summary) status() v1beta1.ImagePullJobStatus {
	status := v1beta1.ImagePullJobStatus{StartTime: s.Job.Status.StartTime, Desired: int32(len(s.Nodes))}
	if status.StartTime == nil {
		status.StartTime = seconds(s.Now)
	}
	at, limited := s.deadline()
	over := limited && !s.Now.Before(at)
	for i := range s.Nodes {
		s.count(&status, &s.Nodes[i], over)
	}
	if s.allButLost(status) {
		s.giveUp()
	}
	s.finish(&status, over)
	return status
}

func (s *summary) count(status *v1beta1.ImagePullJobStatus, n *Node, over bool) {
	switch {
	case n.State == Succeeded:
		status.Succeeded++
		if s.ByPods() {
			status.PulledNodes = append(status.PulledNodes, n.Name)
		}
	case n.State == Failed:
		s.fail(n, PullFailed, n.Message)
	case over:
		s.fail(n, DeadlineExceeded, s.whyNot(n))
	case n.holds():
		status.Active++
	case n.Trouble != "" || n.Refused != "":
		s.wait(n)
	}
}

func seconds(t time.Time) *metav1.Time { return &metav1.Time{Time: t.UTC().Truncate(time.Second)} }

func (s *summary) fail(n *Node, reason plan.Reason, message string) {
	s.failed = append(s.failed, v1beta1.NodeReason{Node: n.Name, Reason: string(reason), Message: short(message)})
}

func short(message string) string {
	if len(message) > maxMessage {
		return strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}

func (s *summary) whyNot(n *Node) string {
	switch {
	case n.State == Active:
		return "it was still pulling when the job's activeDeadlineSeconds had passed"
	case n.Trouble != "":
		return "activeDeadlineSeconds has passed: " + n.TroubleWhy
	}
	return "its turn had not come when the job's activeDeadlineSeconds had passed"
}

func (s *summary) wait(n *Node) {
	reason, why := n.Trouble, n.TroubleWhy
	if reason == "" {
		reason, why = RefusedByAPIServer, n.Refused
	} else if n.Lost {
		s.lost++
	}
	s.waiting = append(s.waiting, v1beta1.NodeReason{Node: n.Name, Reason: string(reason), Message: short(why)})
}

// allButLost tells whether everything is finished but for nodes that have been out of service for too long: a job that
// ends does not wait for them.
func (s *summary) allButLost(status v1beta1.ImagePullJobStatus) bool {
	return !s.endless() && s.lost > 0 && int(status.Desired) == int(status.Succeeded)+len(s.failed)+s.lost
}

func (s *summary) giveUp() {
	s.failed, s.waiting = append(s.failed, s.waiting...), nil // whoever waits is lost
}

// finish counts, says how far the job is, and whether it has ended.
func (s *summary) finish(status *v1beta1.ImagePullJobStatus, over bool) {
	byNode := func(a, b v1beta1.NodeReason) int { return cmp.Compare(a.Node, b.Node) }
	slices.SortFunc(s.failed, byNode)
	slices.SortFunc(s.waiting, byNode)
	slices.Sort(status.PulledNodes)
	status.Failed = int32(len(s.failed))
	for i := range s.failed {
		status.FailedNodes = append(status.FailedNodes, s.failed[i].Node)
	}
	for _, list := range [][]v1beta1.NodeReason{s.failed, s.waiting, s.Out} {
		status.NodeReasons = append(status.NodeReasons, list[:min(len(list), maxReasons)]...)
	}
	done := status.Succeeded + status.Failed
	switch {
	case !s.endless() && done < status.Desired:
		status.Message = fmt.Sprintf("job is running, progress %.1f%%", 100*float64(done)/float64(status.Desired))
	case !s.endless():
		status.CompletionTime = seconds(s.Now)
		status.Message = "job has completed"
		if over && slices.ContainsFunc(s.failed, func(r v1beta1.NodeReason) bool { return r.Reason == string(DeadlineExceeded) }) {
			status.Message = "job exceeds activeDeadlineSeconds"
		}
	case status.Desired == 0:
		status.Message = "job is running, no progress"
	default:
		status.Message = fmt.Sprintf("job is running, progress %.1f%%", 100*float64(done)/float64(status.Desired))
	}
	s.explain(status)
}

// explain adds to the message what OpenKruise's does not say.
func (s *summary) explain(status *v1beta1.ImagePullJobStatus) {
	var more []string
	if status.Desired == 0 {
		more = append(more, "it selects no node"+s.whereLooked())
	}
	if s.Parallelism == 0 && status.CompletionTime == nil {
		more = append(more, "paused: parallelism is 0")
	}
	if n := len(s.waiting); n > 0 {
		more = append(more, fmt.Sprintf("%s cannot pull now: %s", nodes(n), named(s.waiting)))
	}
	if n := len(s.failed); n > 0 {
		more = append(more, fmt.Sprintf("%s failed: %s", nodes(n), named(s.failed)))
	}
	if n := len(s.Out); n > 0 {
		more = append(more, fmt.Sprintf("%s left out: %s", nodes(n), named(s.Out)))
	}
	if len(more) > 0 {
		status.Message += "; " + strings.Join(more, "; ")
	}
}

func (s *summary) whereLooked() string {
	switch spec := &s.Job.Spec; {
	case spec.PodSelector != nil:
		return ": no Pod that matches podSelector runs on one"
	case spec.Selector != nil && len(spec.Selector.Names) > 0:
		return ": none of the names in selector is one's"
	case spec.Selector != nil:
		return ": no labels match selector"
	}
	return ": there is none"
}

// named names the first node of a list and why, and how many there are beside it with the same reason.
func named(list []v1beta1.NodeReason) string {
	return fmt.Sprintf("%s (%s)", list[0].Node, list[0].Reason)
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
