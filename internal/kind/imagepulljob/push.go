package imagepulljob

import (
	"encoding/json"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// push tells a NodeImage to have the image pulled. Its entry of the image must be as it was observed; other images may
// have changed.
func (w *window) push(n *Node) plan.Step {
	step := plan.Step{Verb: plan.PatchObject, Unit: n.Unit, Target: w.Image.String(), Why: "it is the node's turn"}
	change := plan.SpecChange{Path: "/images/" + w.Image.Pointer()}
	entry := v1beta1.NodeImageEntry{}
	if n.Entry != nil {
		change.From, entry = marshal(n.Entry), *n.Entry.DeepCopy()
	}
	if c := w.Job.Spec.SandboxConfig; c != nil {
		entry.SandboxConfig = c
	}
	tag := w.tag(n.Version)
	if i := slices.IndexFunc(entry.Tags, func(t v1beta1.ImageTagSpec) bool { return t.Tag == tag.Tag }); i >= 0 {
		tag.OwnerReferences = append(others(entry.Tags[i].OwnerReferences, w.Job), tag.OwnerReferences...)
		entry.Tags[i] = tag
	} else {
		entry.Tags = append(entry.Tags, tag)
	}
	change.To = marshal(entry)
	step.Change.Spec = []plan.SpecChange{change}
	return step
}

// tag is what the job asks of a node. What other jobs have asked of the same tag, they have the result of, or share this
// one's: the limits are those of the newest.
func (w *window) tag(version int64) v1beta1.ImageTagSpec {
	limits := w.limits()
	policy := &v1beta1.ImageTagPullPolicy{
		TimeoutSeconds:          ptr.To(int32(limits.Timeout / time.Second)),
		BackoffLimit:            ptr.To(int32(limits.Tries - 1)),
		TTLSecondsAfterFinished: ptr.To(int32(w.TagTTL / time.Second)),
	}
	created := seconds(w.Now)
	if at, limited := w.deadline(); limited {
		// The node gives up a second after the job: it is the job that tells of its deadline.
		policy.ActiveDeadlineSeconds = ptr.To(int64(at.Sub(created.Time)/time.Second) + 1)
	}
	return v1beta1.ImageTagSpec{
		Tag: w.Image.Tag, CreatedAt: created, PullPolicy: policy, Version: version,
		ImagePullPolicy: w.Job.Spec.ImagePullPolicy,
		OwnerReferences: []v1beta1.ImageTagOwner{{
			APIVersion: v1beta1.GroupVersion().String(), Kind: Kind, Namespace: w.Job.Namespace, Name: w.Job.Name, UID: w.Job.UID,
			Version: &version,
		}},
	}
}

func others(owners []v1beta1.ImageTagOwner, job *v1beta1.ImagePullJob) []v1beta1.ImageTagOwner {
	return slices.DeleteFunc(slices.Clone(owners), func(o v1beta1.ImageTagOwner) bool { return o.UID == job.UID })
}

func marshal(what any) []byte {
	data, err := json.Marshal(what)
	if err != nil {
		panic(err) // our own types can be written
	}
	return data
}
