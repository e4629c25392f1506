package predownload

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/predownload"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scale"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// observe looks at a CloneSet and its jobs; an owner without UID: there is nothing to look at.
func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName) (predownload.Observed, engine.Owner, error) {
	owner := ownerNamed(name)
	set := watch.Get[v1beta1.CloneSet](r.sets, name.String())
	if set == nil || set.DeletionTimestamp != nil {
		r.hands.Forget(owner)
		return predownload.Observed{}, owner, nil
	}
	owner.UID = string(set.UID)
	if err := r.hands.Look(ctx, owner); err != nil {
		return predownload.Observed{}, owner, fmt.Errorf("observe the images of CloneSet %s: %w", name, err)
	}
	jobs, refused, err := r.jobsOf(owner)
	if err != nil {
		return predownload.Observed{}, owner, err
	}
	spec, status := &set.Spec, &set.Status
	if status.UpdateRevision == status.CurrentRevision && len(jobs) == 0 {
		return predownload.Observed{}, owner, nil
	}
	rolling := &spec.UpdateStrategy.RollingUpdate
	replicas := 1
	if spec.Replicas != nil {
		replicas = int(*spec.Replicas)
	}
	limits, err := scale.LimitsOf(replicas, rolling.Partition, rolling.MaxSurge, rolling.MaxUnavailable, spec.ScaleStrategy.MaxUnavailable, false, false)
	if err != nil {
		return predownload.Observed{}, owner, reconcile.TerminalError(fmt.Errorf("observe the images of CloneSet %s: %w", name, err))
	}
	return predownload.Observed{
		Owner:     plan.Unit{Namespace: set.Namespace, Name: set.Name, UID: string(set.UID)},
		Reference: predownload.Reference(v1beta1.GroupVersion().String(), kindCloneSet, set.Name, set.UID),
		Selector:  spec.Selector, From: r.revision(set.Namespace, status.CurrentRevision), To: r.revision(set.Namespace, status.UpdateRevision),
		Replicas: replicas, Keep: limits.Keep, MaxUnavailable: limits.MaxUnavailable, UpdatedReady: int(status.UpdatedReadyReplicas),
		Anew:    anew(set),
		Options: predownload.OptionsOf(rolling.InPlaceUpdateStrategy), Jobs: jobs, Refused: refused[status.UpdateRevision],
	}, owner, nil
}

// anew tells whether Pods are made anew, or not updated by the CloneSet at all.
func anew(set *v1beta1.CloneSet) bool {
	policy := set.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy
	return policy == "" || policy == v1beta1.ReCreateCloneSetPodUpdatePolicy || set.Spec.UpdateStrategy.Type == v1beta1.OnDeleteCloneSetStrategyType
}

// revision is a revision as it is kept; without a template when it is not.
func (r *Reconciler) revision(namespace, name string) predownload.Revision {
	found := predownload.Revision{Name: name}
	object := watch.Get[appsv1.ControllerRevision](r.revisions, namespace+"/"+name)
	if object == nil {
		return found
	}
	if template, err := revision.ReadTemplate(object.Data.Raw); err == nil {
		found.Template = template
	}
	return found
}

// jobsOf are the jobs that a CloneSet controls, and those that it has made and not seen yet; and what the API server said when it
// refused some, by revision, while the next try is not due.
func (r *Reconciler) jobsOf(owner engine.Owner) (jobs []predownload.Job, refused map[string]string, err error) {
	find := func(u plan.Unit) *v1beta1.ImagePullJob { return watch.Get[v1beta1.ImagePullJob](r.jobs, u.String()) }
	unseen := map[string]bool{}
	for _, m := range r.hands.Marks(owner, plan.DeleteObject, func(u plan.Unit) (string, bool) {
		job := find(u)
		if job == nil || string(job.UID) != u.UID {
			return "", false
		}
		return job.ResourceVersion, true
	}) {
		unseen[m.Unit.UID] = true
	}
	births := r.hands.Births(owner, plan.CreateObject, func(u plan.Unit) bool { return find(u) != nil })
	// What is there is read after what we have written: what is seen in between is in one of them.
	objects, err := r.jobs.GetIndexer().ByIndex(toolscache.NamespaceIndex, owner.Namespace)
	if err != nil {
		return nil, nil, fmt.Errorf("find the ImagePullJobs of %s: %w", owner.Name, err)
	}
	for _, object := range objects {
		cached := watch.Last[v1beta1.ImagePullJob](object)
		if of := metav1.GetControllerOfNoCopy(cached); of == nil || string(of.UID) != owner.UID {
			continue
		}
		job := predownload.JobOf(cached)
		job.Unseen = unseen[job.Unit.UID]
		jobs = append(jobs, job)
	}
	for _, b := range births.Births {
		jobs = append(jobs, predownload.Job{Unit: b.Unit, Revision: b.Target, Unseen: true})
	}
	return jobs, births.Refused, nil
}

// ownerNamed is a CloneSet as owner of jobs.
func ownerNamed(name types.NamespacedName) engine.Owner {
	version := v1beta1.GroupVersion()
	jobs := version.WithResource("imagepulljobs")
	return engine.Owner{
		Resource: version.WithResource("clonesets"), Kind: kindCloneSet, Namespace: name.Namespace, Name: name.Name, Objects: jobs, Creates: jobs,
	}
}
