package nodeimage

import (
	"maps"
	"slices"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/image"
)

// Result is how far the pull of one version of a tag is.
type Result struct {
	Version        int64
	Phase          v1beta1.ImagePullPhase
	Started, Ended time.Time
	ImageID        string
	Message        string
}

// Merge is a NodeImage's status with what is known beside it: results that are newer replace what it tells, and what the
// spec does not name any more is gone.
func Merge(ni *v1beta1.NodeImage, results map[image.Ref]Result) v1beta1.NodeImageStatus {
	status := v1beta1.NodeImageStatus{FirstSyncStatus: ni.Status.FirstSyncStatus}
	for _, name := range slices.Sorted(maps.Keys(ni.Spec.Images)) {
		var tags []v1beta1.ImageTagStatus
		for i := range ni.Spec.Images[name].Tags {
			tag := &ni.Spec.Images[name].Tags[i]
			ref := image.Ref{Name: name, Tag: tag.Tag}
			told := ref.Told(&ni.Status)
			if r, known := results[ref]; known && newer(told, r) {
				told = r.status(tag.Tag, told)
			}
			if told != nil {
				tags = append(tags, *told)
			}
			count(&status, tag, told)
		}
		if len(tags) == 0 {
			continue
		}
		if status.ImageStatuses == nil {
			status.ImageStatuses = map[string]v1beta1.ImageStatus{}
		}
		status.ImageStatuses[name] = v1beta1.ImageStatus{Tags: tags}
	}
	return status
}

// newer tells whether a result replaces what is told. What is finished stays so.
func newer(told *v1beta1.ImageTagStatus, r Result) bool {
	return told == nil || told.Version < r.Version || told.Version == r.Version && !image.Finished(told.Phase)
}

func (r Result) status(tag string, before *v1beta1.ImageTagStatus) *v1beta1.ImageTagStatus {
	s := &v1beta1.ImageTagStatus{
		Tag: tag, Phase: r.Phase, Version: r.Version, StartTime: timeOf(r.Started), CompletionTime: timeOf(r.Ended),
		ImageID: r.ImageID, Message: r.Message,
	}
	if before != nil {
		s.LastSucceededVersion = before.LastSucceededVersion
	}
	if r.Phase == v1beta1.ImagePhaseSucceeded {
		s.Progress, s.LastSucceededVersion = 100, &r.Version
	}
	return s
}

func count(s *v1beta1.NodeImageStatus, tag *v1beta1.ImageTagSpec, told *v1beta1.ImageTagStatus) {
	s.Desired++
	phase := v1beta1.ImagePhaseWaiting
	if told != nil && told.Version >= tag.Version {
		phase = told.Phase
	}
	switch phase {
	case v1beta1.ImagePhaseSucceeded:
		s.Succeeded++
	case v1beta1.ImagePhaseFailed:
		s.Failed++
	case v1beta1.ImagePhasePulling:
		s.Pulling++
	default:
		s.Waiting++
	}
}

// Pull is what an agent is to pull.
type Pull struct {
	Ref     image.Ref
	Version int64
	// Asked is when it was asked for; Deadline when it has failed, zero if there is none.
	Asked, Deadline time.Time
	Limits          image.Limits
	// Always: though it is there.
	Always  bool
	Sandbox *v1beta1.SandboxConfig
	// Wrong tells why it must not be pulled: the NodeImage is not what may be stored.
	Wrong string
}

// Pulls are what an agent is to pull and has not finished, in the order in which it was asked for.
func Pulls(ni *v1beta1.NodeImage) []Pull {
	var pulls []Pull
	for _, name := range slices.Sorted(maps.Keys(ni.Spec.Images)) {
		entry := ni.Spec.Images[name]
		for i := range entry.Tags {
			tag := &entry.Tags[i]
			ref := image.Ref{Name: name, Tag: tag.Tag}
			if finished(ref.Told(&ni.Status), tag) {
				continue
			}
			pulls = append(pulls, pullOf(ref, &entry, tag))
		}
	}
	slices.SortStableFunc(pulls, func(a, b Pull) int { return a.Asked.Compare(b.Asked) })
	return pulls
}

func pullOf(ref image.Ref, entry *v1beta1.NodeImageEntry, tag *v1beta1.ImageTagSpec) Pull {
	p := Pull{Ref: ref, Version: tag.Version, Limits: image.TagLimits(tag.PullPolicy), Always: tag.ImagePullPolicy == v1beta1.PullAlways, Sandbox: entry.SandboxConfig}
	if tag.CreatedAt != nil {
		p.Asked = tag.CreatedAt.Time
	}
	if d := deadline(tag); d > 0 {
		p.Deadline = p.Asked.Add(d)
	}
	switch err := image.Check(ref); {
	case err != nil:
		p.Wrong = "not pulled: " + err.Error()
	case len(entry.PullSecrets) > 0:
		p.Wrong = "not pulled: a node's agent reads no Secrets; create an ImagePullJob with pullSecrets"
	}
	return p
}
