package imagelistpulljob

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Kind is that of owner references.
const Kind = "ImageListPullJob"

// Reasons for which an image has no job of this template yet.
const (
	// Replaced: a job of the earlier template is being deleted first, so that they do not pull at the same time.
	Replaced plan.Reason = "Replaced"
	// RefusedByAPIServer: the last write was refused, and the next try is not due.
	RefusedByAPIServer plan.Reason = "RefusedByAPIServer"
	// WaitingForCache: a write of ours is not seen yet.
	WaitingForCache plan.Reason = "WaitingForCache"
)

// Child is an ImagePullJob of the list.
type Child struct {
	Unit plan.Unit
	// Image that it pulls, and the hash of the template it was made from; empty of one that is not seen yet.
	Image  v1beta1.ImageReference
	Hash   string
	Status v1beta1.ImagePullJobStatus
	// Leaving: it is being deleted. Born: it was made and is not seen yet.
	Leaving, Born bool
	Refused       string
}

// Observed is everything that is known of a job.
type Observed struct {
	Job *v1beta1.ImageListPullJob
	// Children in any order.
	Children []Child
	// Refused is what the API server said to the creation of jobs.
	Refused string
	// Unseen tells that a write of ours to the job itself is not seen yet.
	Unseen bool
	Now    time.Time
}

func (o *Observed) unit() plan.Unit {
	return plan.Unit{Namespace: o.Job.Namespace, Name: o.Job.Name, UID: string(o.Job.UID)}
}

// Plan makes a job for each image, and deletes those of images that are not listed any more and of earlier templates. One
// that has ended changes nothing any more, and is deleted when its time has come.
func Plan(o Observed) plan.Plan {
	var p plan.Plan
	switch {
	case o.Job.DeletionTimestamp != nil:
	case o.Unseen:
		p.Holds = append(p.Holds, plan.Hold{Unit: o.unit(), Reason: WaitingForCache, Why: "the last write to the job is not seen yet"})
	case o.Job.Status.CompletionTime != nil:
		expire(&p, &o)
	default:
		replace(&p, &o)
	}
	return p
}

func expire(p *plan.Plan, o *Observed) {
	ttl := o.Job.Spec.CompletionPolicy.TTLSecondsAfterFinished
	if ttl == nil {
		return
	}
	if left := time.Duration(*ttl)*time.Second - o.Now.Sub(o.Job.Status.CompletionTime.Time); left > 0 {
		p.WakeAfter = left
		return
	}
	p.Steps = append(p.Steps, plan.Step{Verb: plan.DeleteOwner, Unit: o.unit(), Why: fmt.Sprintf("the job ended %d seconds ago", *ttl)})
}

func replace(p *plan.Plan, o *Observed) {
	hash := TemplateHash(&o.Job.Spec.ImagePullJobTemplate)
	slices.SortFunc(o.Children, func(a, b Child) int { return cmp.Compare(a.Unit.Name, b.Unit.Name) })
	remove(p, o, hash)
	there := map[v1beta1.ImageReference]bool{}
	names := map[string]bool{}
	for i := range o.Children {
		there[o.Children[i].Image], names[o.Children[i].Unit.Name] = true, true
	}
	for _, image := range o.Job.Spec.Images {
		u := plan.Unit{Namespace: o.Job.Namespace, Name: childName(o.Job, image, hash)}
		switch {
		case names[u.Name]:
		case there[image]:
			p.Holds = append(p.Holds, plan.Hold{Unit: u, Reason: Replaced, Why: "the job of the earlier template is being deleted first"})
		case o.Refused != "":
			p.Holds = append(p.Holds, plan.Hold{Unit: u, Reason: RefusedByAPIServer, Why: o.Refused})
		default:
			p.Steps = append(p.Steps, plan.Step{
				Verb: plan.CreateObject, Unit: u, Why: "the image is listed", Create: &plan.Creation{Object: child(o.Job, u.Name, image, hash)},
			})
		}
	}
}

// remove deletes the jobs that are not wanted any more.
func remove(p *plan.Plan, o *Observed, hash string) {
	for i := range o.Children {
		c := &o.Children[i]
		listed := slices.Contains(o.Job.Spec.Images, c.Image)
		switch {
		case c.Born || c.Leaving || listed && c.Hash == hash:
		case c.Refused != "":
			p.Holds = append(p.Holds, plan.Hold{Unit: c.Unit, Reason: RefusedByAPIServer, Why: c.Refused})
		case !listed:
			p.Steps = append(p.Steps, plan.Step{Verb: plan.DeleteObject, Unit: c.Unit, Why: "its image is not listed any more"})
		default:
			p.Steps = append(p.Steps, plan.Step{Verb: plan.DeleteObject, Unit: c.Unit, Why: "it was made from an earlier template"})
		}
	}
}

// TemplateHash is the version of a template.
func TemplateHash(t *v1beta1.ImagePullJobTemplate) string {
	hash := fnv.New64a()
	hash.Write(marshal(t))
	return fmt.Sprintf("%016x", hash.Sum64())
}

// childName follows from list, image and template, so that whoever makes the job gives it the same name.
func childName(job *v1beta1.ImageListPullJob, image v1beta1.ImageReference, hash string) string {
	sum := fnv.New64a()
	fmt.Fprint(sum, job.UID, "/", image, "/", hash)
	base := strings.TrimRight(job.Name[:min(len(job.Name), 46)], "-.")
	return fmt.Sprintf("%s-%016x", base, sum.Sum64())
}

// child is the job of an image. It stays as long as the list does: were it deleted after its end, it would be made again.
func child(job *v1beta1.ImageListPullJob, name string, image v1beta1.ImageReference, hash string) []byte {
	template := job.Spec.ImagePullJobTemplate.DeepCopy()
	template.CompletionPolicy.TTLSecondsAfterFinished = nil
	version := v1beta1.GroupVersion().String()
	return marshal(map[string]any{
		"apiVersion": version, "kind": "ImagePullJob",
		"metadata": metav1.ObjectMeta{
			Namespace: job.Namespace, Name: name, Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: hash},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: version, Kind: Kind, Name: job.Name, UID: job.UID, Controller: ptr.To(true)}},
		},
		"spec": v1beta1.ImagePullJobSpec{Image: image, ImagePullJobTemplate: *template},
	})
}

func marshal(what any) []byte {
	data, err := json.Marshal(what)
	if err != nil {
		panic(err) // our own types can be written
	}
	return data
}

// Status is what the job's status becomes.
func Status(o Observed) v1beta1.ImageListPullJobStatus {
	if o.Job.DeletionTimestamp != nil || o.Job.Status.CompletionTime != nil || o.Unseen {
		return o.Job.Status
	}
	s := v1beta1.ImageListPullJobStatus{StartTime: o.Job.Status.StartTime, Desired: int32(len(o.Job.Spec.Images))}
	now := metav1.Time{Time: o.Now.UTC().Truncate(time.Second)}
	if s.StartTime == nil {
		s.StartTime = &now
	}
	hash := TemplateHash(&o.Job.Spec.ImagePullJobTemplate)
	for i := range o.Children {
		if c := &o.Children[i]; o.current(c, hash) {
			count(&s, c)
		}
	}
	slices.SortFunc(s.FailedImageStatuses, func(a, b v1beta1.FailedImageStatus) int { return cmp.Compare(a.ImagePullJob, b.ImagePullJob) })
	if o.Job.Spec.CompletionPolicy.Type != v1beta1.CompletionNever && ended(&o, hash) == len(o.Job.Spec.Images) {
		s.CompletionTime = &now
	}
	return s
}

// current tells whether a job is that of an image that is listed, made from this template.
func (o *Observed) current(c *Child, hash string) bool {
	return !c.Born && !c.Leaving && c.Hash == hash && slices.Contains(o.Job.Spec.Images, c.Image)
}

func count(s *v1beta1.ImageListPullJobStatus, c *Child) {
	if c.Status.Active > 0 {
		s.Active++
	}
	if c.Status.StartTime != nil && c.Status.Desired == c.Status.Succeeded+c.Status.Failed {
		s.Completed++
		if c.Status.Failed == 0 {
			s.Succeeded++
		}
	}
	if c.Status.Failed > 0 {
		s.FailedImageStatuses = append(s.FailedImageStatuses, v1beta1.FailedImageStatus{
			ImagePullJob: c.Unit.Name, Name: string(c.Image), Message: c.Status.Message,
		})
	}
}

// ended is how many images have a job of the template that has ended.
func ended(o *Observed, hash string) (n int) {
	for i := range o.Children {
		if c := &o.Children[i]; o.current(c, hash) && c.Status.CompletionTime != nil {
			n++
		}
	}
	return n
}
