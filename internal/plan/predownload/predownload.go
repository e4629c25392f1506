// Package predownload decides which ImagePullJobs bring the new images of a rollout onto the nodes of the Pods that are
// still to be updated, so that these do not wait for a pull while they are out of service.
//
// A rollout never waits for such a job: it makes an update shorter, and one that fails changes nothing. The package
// knows no kind of workload. Start at Plan.
package predownload

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/inplace"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// The defaults of Options, and what OpenKruise gives its jobs besides.
const (
	DefaultParallelism    = 1
	DefaultTimeoutSeconds = 300
	backoffLimit          = 1
	// fewReplicas is up to how many replicas it is not worth the while.
	fewReplicas = 3
)

// Reasons why there are no jobs.
const (
	// WaitsForUpdated: fewer updated Pods are ready than imagePreDownloadMinUpdatedReadyPods asks for.
	WaitsForUpdated plan.Reason = "WaitsForUpdated"
	// NotPreDownloaded: the rollout is none that gains by it.
	NotPreDownloaded plan.Reason = "NotPreDownloaded"
	// RefusedByAPIServer: the API server refused the last job.
	RefusedByAPIServer plan.Reason = "RefusedByAPIServer"
)

// Observed is every fact that Plan may use.
type Observed struct {
	// Owner is the workload, Reference what its jobs name as their controller.
	Owner     plan.Unit
	Reference metav1.OwnerReference
	// Selector selects its Pods.
	Selector *metav1.LabelSelector
	// From is the revision that Pods had before the rollout, To the one they get; the same when there is none.
	From, To Revision
	// Replicas are how many Pods there are to be, Keep how many of them keep their revision, MaxUnavailable how many may be
	// out of service at a time, UpdatedReady how many are updated and ready.
	Replicas, Keep, MaxUnavailable, UpdatedReady int
	// Anew tells that Pods are made anew, whatever changes.
	Anew bool
	Options
	// Jobs that the workload owns.
	Jobs []Job
	// Refused is what the API server said when it refused the last job, while the next try is not due.
	Refused string
}

// Options are what the user says.
type Options struct {
	// Parallelism is how many nodes pull at a time, TimeoutSeconds how long one may take. MinUpdatedReady is how many Pods
	// must be updated and ready before it begins.
	Parallelism, TimeoutSeconds, MinUpdatedReady int32
}

// OptionsOf are the fields with their defaults.
func OptionsOf(s v1beta1.InPlaceUpdateStrategy) Options {
	or := func(field *int32, otherwise int32) int32 {
		if field == nil {
			return otherwise
		}
		return *field
	}
	return Options{
		Parallelism:     or(s.ImagePreDownloadParallelism, DefaultParallelism),
		TimeoutSeconds:  or(s.ImagePreDownloadTimeoutSeconds, DefaultTimeoutSeconds),
		MinUpdatedReady: or(s.ImagePreDownloadMinUpdatedReadyPods, 0),
	}
}

// Revision is one that Pods can have. Template is nil where it is not kept any more.
type Revision struct {
	Name     string
	Template *v1beta1.PodTemplate
}

// Job is an ImagePullJob of the workload.
type Job struct {
	Unit plan.Unit
	// Revision is the one whose images it pulls.
	Revision string
	Leaving  bool
	// Unseen tells that we wrote to it and have not seen the result come back yet. Left to the caller.
	Unseen bool
}

// Plan makes the jobs of a rollout, one for each container that gets another image, and deletes those of rollouts that
// are over. Jobs that are there stay until the rollout is over, whatever becomes of its numbers.
func Plan(o Observed) plan.Plan {
	var p plan.Plan
	there := map[string]bool{}
	for i := range o.Jobs {
		job := &o.Jobs[i]
		switch there[job.Unit.Name] = true; {
		case job.Leaving, job.Unseen:
		case o.From.Name == o.To.Name:
			p.Steps = append(p.Steps, deletion(job, "all pods have the revision that it was for"))
		case job.Revision != o.To.Name:
			p.Steps = append(p.Steps, deletion(job, "it is for "+job.Revision+", and pods get "+o.To.Name))
		}
	}
	if o.From.Name == o.To.Name {
		return p
	}
	containers, hold := o.containers()
	if hold != nil {
		p.Holds = append(p.Holds, *hold)
		if o.To.Template == nil {
			p.WakeAfter = time.Second
		}
		return p
	}
	for _, c := range containers {
		if name := o.To.Name + "-" + c.Name; !there[name] {
			p.Steps = append(p.Steps, o.creation(name, c))
		}
	}
	return p
}

func deletion(job *Job, why string) plan.Step {
	return plan.Step{Verb: plan.DeleteObject, Unit: job.Unit, Why: why}
}

// containers are those whose image is to be pulled; or the hold says why none is.
func (o *Observed) containers() ([]*corev1.Container, *plan.Hold) {
	none := func(reason plan.Reason, why string, args ...any) ([]*corev1.Container, *plan.Hold) {
		return nil, &plan.Hold{Unit: o.Owner, Reason: reason, Why: fmt.Sprintf(why, args...)}
	}
	switch {
	case o.To.Template == nil:
		return none(NotPreDownloaded, "revision %s is not seen yet", o.To.Name)
	case o.From.Template == nil:
		return none(NotPreDownloaded, "revision %s is not kept any more, so what changes is not known", o.From.Name)
	case o.Anew:
		return none(NotPreDownloaded, "pods are made anew, maybe on other nodes")
	case o.Replicas <= fewReplicas:
		return none(NotPreDownloaded, "%d pods are updated as fast", o.Replicas)
	case o.Keep == 0 && o.MaxUnavailable >= o.Replicas:
		return none(NotPreDownloaded, "all pods are updated at once")
	case o.Refused != "":
		return none(RefusedByAPIServer, "%s", o.Refused)
	case o.UpdatedReady < int(o.MinUpdatedReady):
		return none(WaitsForUpdated, "%d pods are updated and ready, imagePreDownloadMinUpdatedReadyPods is %d", o.UpdatedReady, o.MinUpdatedReady)
	}
	if why := inplace.Between(o.From.Template, o.To.Template, inplace.Able{Resize: true, Renew: true}).Recreate; why != "" {
		return none(NotPreDownloaded, "pods are made anew, maybe on other nodes: %s", why)
	}
	return o.changed(), nil
}

// changed are the containers that get another image.
func (o *Observed) changed() []*corev1.Container {
	before := map[string]string{}
	for _, c := range o.From.Template.Spec.Containers {
		before[c.Name] = c.Image
	}
	var all []*corev1.Container
	for i := range o.To.Template.Spec.Containers {
		if c := &o.To.Template.Spec.Containers[i]; before[c.Name] != c.Image {
			all = append(all, c)
		}
	}
	return all
}

// creation makes the job for one container.
func (o *Observed) creation(name string, c *corev1.Container) plan.Step {
	job := v1beta1.ImagePullJob{
		TypeMeta: metav1.TypeMeta{APIVersion: v1beta1.GroupVersion().String(), Kind: "ImagePullJob"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.Owner.Namespace, Name: name, Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: o.To.Name},
			OwnerReferences: []metav1.OwnerReference{o.Reference},
		},
	}
	limit, timeout, parallelism := int32(backoffLimit), o.TimeoutSeconds, intstr.FromInt32(o.Parallelism)
	job.Spec.Image = v1beta1.ImageReference(c.Image)
	job.Spec.PodSelector = &v1beta1.ImagePullJobPodSelector{LabelSelector: o.older()}
	job.Spec.Parallelism = &parallelism
	job.Spec.PullPolicy = &v1beta1.PullPolicy{TimeoutSeconds: &timeout, BackoffLimit: &limit}
	job.Spec.CompletionPolicy.Type = v1beta1.CompletionAlways
	if job.Spec.ImagePullPolicy = v1beta1.PullIfNotPresent; c.ImagePullPolicy == corev1.PullAlways {
		job.Spec.ImagePullPolicy = v1beta1.PullAlways
	}
	for _, s := range o.To.Template.Spec.ImagePullSecrets { // Pods may name one twice, or none
		if s.Name != "" && !slices.Contains(job.Spec.PullSecrets, s.Name) {
			job.Spec.PullSecrets = append(job.Spec.PullSecrets, s.Name)
		}
	}
	if meta := o.To.Template.ObjectMeta; len(meta.Labels)+len(meta.Annotations) > 0 {
		job.Spec.SandboxConfig = &v1beta1.SandboxConfig{Labels: maps.Clone(meta.Labels), Annotations: maps.Clone(meta.Annotations)}
	}
	object, err := json.Marshal(job)
	if err != nil {
		panic("an ImagePullJob cannot be written as JSON: " + err.Error())
	}
	return plan.Step{
		Verb: plan.CreateObject, Unit: plan.Unit{Namespace: o.Owner.Namespace, Name: name}, Target: o.To.Name,
		Create: &plan.Creation{Object: object},
		Why:    fmt.Sprintf("container %s gets image %s: it is pulled onto the nodes of the pods that are still to be updated", c.Name, c.Image),
	}
}

// older selects the Pods that are not of the new revision, however they name theirs.
func (o *Observed) older() metav1.LabelSelector {
	s := *o.Selector.DeepCopy()
	names := []string{o.To.Name}
	if short := revision.Short(o.To.Name); !slices.Contains(names, short) {
		names = append(names, short)
	}
	s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{
		Key: appsv1.ControllerRevisionHashLabelKey, Operator: metav1.LabelSelectorOpNotIn, Values: names,
	})
	return s
}

// JobOf is the record of an ImagePullJob of a workload.
func JobOf(job *v1beta1.ImagePullJob) Job {
	return Job{
		Unit:     plan.Unit{Namespace: job.Namespace, Name: job.Name, UID: string(job.UID)},
		Revision: job.Labels[appsv1.ControllerRevisionHashLabelKey], Leaving: job.DeletionTimestamp != nil,
	}
}

// Reference is what a workload's jobs name as their controller.
func Reference(apiVersion, kind, name string, uid types.UID) metav1.OwnerReference {
	controller := true
	return metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid, Controller: &controller}
}
