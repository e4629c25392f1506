package cloneset

import (
	"fmt"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// Why Pods are held. Users and metrics group by these words.
const (
	// WaitingForCache: our last write to the Pod has not come back.
	WaitingForCache plan.Reason = "WaitingForCache"
	// RefusedByAPIServer: our last write was refused; it is tried again later.
	RefusedByAPIServer plan.Reason = "RefusedByAPIServer"
	// Unreadable: annotations of the Pod are not what they should be.
	Unreadable plan.Reason = "Unreadable"
	// ResizePending: kubelet does not give the Pod the cpu and memory that its spec names, and says why.
	ResizePending plan.Reason = "ResizePending"
	// Renewing: containers of the Pod start anew for their new environment.
	Renewing plan.Reason = "Renewing"
	// NotRenewed: they did not, and run with the old one; it is tried again later.
	NotRenewed plan.Reason = "NotRenewed"
	// HeldByHook: a lifecycle hook has not let go of the Pod.
	HeldByHook plan.Reason = "HeldByHook"
	// WaitsForBudget: maxUnavailable is used up.
	WaitsForBudget plan.Reason = "WaitsForBudget"
	// KeptByPartition: the partition keeps the Pod's revision.
	KeptByPartition plan.Reason = "KeptByPartition"
	// Replaced: a Pod of the newest revision was made beside the others, by maxSurge, and this one is not needed then.
	Replaced plan.Reason = "Replaced"
	// Paused: updateStrategy.rollingUpdate.paused.
	Paused plan.Reason = "Paused"
	// OnDelete: updateStrategy.type.
	OnDelete plan.Reason = "OnDelete"
	// NeedsRecreation: the Pod cannot be updated in place, and is not to be recreated.
	NeedsRecreation plan.Reason = "NeedsRecreation"
	// WaitsForClaims: the Pod is not selected any more, and is let go when the claims made for it are its own.
	WaitsForClaims plan.Reason = "WaitsForClaims"
	// CreationRefused: Pods are missing, and the API server refused to make the last one; it is tried again later.
	CreationRefused plan.Reason = "CreationRefused"
	// ScaleUpLimited: Pods are missing, but scaleStrategy.maxUnavailable is used up.
	ScaleUpLimited plan.Reason = "ScaleUpLimited"
)

const whyRefused = "the API server refused our last write: "

// Refused is the hold of a Pod to which a write was just refused, as the next plan will have it.
func Refused(pod plan.Unit, message string) plan.Hold {
	return plan.Hold{Unit: pod, Reason: RefusedByAPIServer, Why: whyRefused + message}
}

func whyLimited(missing, unavailable int) string {
	return fmt.Sprintf("%d more pods are wanted, but %d are unavailable already, and scaleStrategy.maxUnavailable allows no more", missing, unavailable)
}

// said is a text that many Pods have in common, made once for a number.
type said struct {
	n    int
	text string
}

func (s *said) of(n int, text func() string) string {
	if s.text == "" || s.n != n {
		s.n, s.text = n, text()
	}
	return s.text
}

// whyBudget says why no serving Pod may stop serving.
func (d *decision) whyBudget() string {
	n := d.unavailable + d.taken
	return d.budgetText.of(n, func() string {
		return fmt.Sprintf("%d of %d pods are unavailable or made so now, and %s", n, len(d.members), d.whyMost())
	})
}

// whyWindow says why no more Pods may be on their way.
func (d *decision) whyWindow() string {
	n := d.fresh.Unavailable + d.taken
	if d.back() {
		n = d.old.Unavailable + d.taken
	}
	return d.windowText.of(n, func() string {
		return fmt.Sprintf("%d pods are being updated or not available since, and %s", n, d.whyMost())
	})
}

// whyKept says why the partition keeps a Pod.
func (d *decision) whyKept() string {
	return d.keptText.of(d.set.Limits.Keep, func() string {
		return fmt.Sprintf("partition %s keeps %d pods of their revision", d.set.Partition, d.set.Limits.Keep)
	})
}

// whyBack says why Pods are brought back to the revision before, and nothing when they are not.
func (d *decision) whyBack() string {
	if !d.back() {
		return ""
	}
	return fmt.Sprintf("partition %s wants %d pods of the revision before: ", d.set.Partition, d.set.Limits.Keep)
}

// whyMost says how many may be unavailable, and why.
func (d *decision) whyMost() string {
	text := "maxUnavailable is " + d.set.MaxUnavailable
	if more := len(d.members) - d.set.Limits.Replicas; more > 0 {
		text += fmt.Sprintf(", and there are %d more pods than replicas", more)
	}
	return text
}
