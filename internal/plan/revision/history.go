package revision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// DefaultHistoryLimit is how many revisions are kept when revisionHistoryLimit does not say.
const DefaultHistoryLimit = 10

// Record is what is kept of a ControllerRevision.
type Record struct {
	Name, UID string
	// Version is the resourceVersion.
	Version string
	// Number counts the revisions of an owner: 1, 2, 3 …
	Number int64
	// Created is when, in seconds since 1970.
	Created int64
	// CustomVersion is the name that the user gave to it.
	CustomVersion string
	// Owner is the UID of the object it is a revision of.
	Owner string
	// Orphan tells that it has no owner, and the name and labels of the owner's revisions: one of the same name was deleted
	// with --cascade=orphan, and what it left is the new one's. Left to the caller.
	Orphan bool
	// Hash is that of the content's identity (HashOf, TemplateHashOf); empty if the data cannot be read, or while it is being deleted.
	Hash string
}

// RecordOf makes the record of a ControllerRevision, without its Hash, which costs more than the rest.
func RecordOf(r *appsv1.ControllerRevision) Record {
	record := Record{
		Name: r.Name, UID: string(r.UID), Version: r.ResourceVersion,
		Number: r.Revision, Created: r.CreationTimestamp.Unix(),
		CustomVersion: r.Labels[v1beta1.SidecarSetCustomVersionLabel],
	}
	if owner := metav1.GetControllerOfNoCopy(r); owner != nil {
		record.Owner = string(owner.UID)
	}
	return record
}

// compare orders records: the newest comes last.
func compare(a, b Record) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Created, b.Created), cmp.Compare(a.Name, b.Name))
}

// History is what is known of an owner's revisions.
type History struct {
	// Records of the ControllerRevisions that carry the owner's name, in any order. Those of another owner (a deleted
	// one of the same name) are not its revisions; their names cannot be used.
	Records []Record
	// Taken are further names that cannot be used.
	Taken []string
	// Unseen tells that we wrote a revision and have not seen the result.
	Unseen bool
}

// Of returns the revisions of one owner, the newest last.
func (h History) Of(uid string) []Record {
	var own []Record
	for _, r := range h.Records {
		if (r.Owner == uid || r.Orphan) && r.Hash != "" {
			own = append(own, r)
		}
	}
	slices.SortFunc(own, compare)
	return own
}

// takes tells whether a name stands for something else already.
func (h History) takes(name string) bool {
	return slices.Contains(h.Taken, name) || slices.ContainsFunc(h.Records, func(r Record) bool { return r.Name == name })
}

// Decision says which revision is the newest, and what is to be written for it.
type Decision struct {
	// Name of the newest revision.
	Name string
	// Unseen tells that our last write to a revision has not come back.
	Unseen bool
	// Waiting tells that the newest revision may not be there yet and cannot be decided on, because our last write
	// has not come back.
	Waiting bool
	// Collisions is the new status.collisionCount.
	Collisions *int32
	// Steps bring the newest revision about.
	Steps []plan.Step
	// History are the revisions, the newest last.
	History []Record
}

// Wanted is the revision that is to be the newest, and what a new one carries.
type Wanted struct {
	Owner
	Identity Identity
	// CustomVersion is the name that the user gives to it; empty if none.
	CustomVersion string
	// Labels and Annotations of a new revision.
	Labels, Annotations map[string]string
	// HashLabel is a label that gets what a new revision's name adds to its owner's; empty if there is none.
	HashLabel string
}

// Decide says which revision an owner's spec is:
//
//	the newest one has this content    that one
//	an older one has it                that one, with the next number (a rollback)
//	none has it                        a new one; collisionCount goes up when its name stands for something else
//
// A custom version is put on the newest revision, also when nothing else changed. Orphans are adopted before.
func Decide(w Wanted, h History) Decision {
	d := Decision{Collisions: w.Collisions, History: h.Of(w.UID)}
	newest := Record{}
	if n := len(d.History); n > 0 {
		newest = d.History[n-1]
	}
	same, found := Equal(d.History, w.Identity.Hash)
	d.Name, d.Collisions = w.nameOf(w.Identity, h)
	current := found && same.Name == newest.Name
	if h.Unseen {
		d.Unseen, d.Waiting = true, !current
		return d
	}
	d.Steps = adoptions(d.History)
	switch custom := w.CustomVersion; {
	case !found:
		d.Steps = append(d.Steps, w.create(d.Name, newest.Number+1))
	case !current:
		why := fmt.Sprintf("the spec is that of revision %d again, which becomes revision %d", same.Number, newest.Number+1)
		d.Steps = append(d.Steps, renew(same, newest.Number+1, custom, why))
	case custom != "" && custom != same.CustomVersion:
		d.Steps = append(d.Steps, renew(same, same.Number, custom, fmt.Sprintf("its custom version is %s now", custom)))
	}
	return d
}

// Equal returns the newest of the records, which are ordered, that has a content.
func Equal(history []Record, hash string) (Record, bool) {
	for _, r := range slices.Backward(history) {
		if r.Hash == hash {
			return r, true
		}
	}
	return Record{}, false
}

// create writes a new revision.
func (w Wanted) create(name string, number int64) plan.Step {
	data, err := asServed(w.Identity.Data)
	if err != nil {
		panic(err) // we wrote it
	}
	r := &plan.Revision{Number: number, Labels: map[string]string{}, Annotations: w.Annotations, Data: data}
	maps.Copy(r.Labels, w.Labels)
	maps.Copy(r.Labels, customLabel(w.CustomVersion))
	if w.HashLabel != "" {
		r.Labels[w.HashLabel] = Short(name)
	}
	return plan.Step{
		Verb: plan.CreateRevision, Unit: plan.Unit{Name: name}, Target: name, Revision: r,
		Why: fmt.Sprintf("the spec is in no revision yet; this is revision %d", number),
	}
}

// renew gives a revision a number and, if there is one, a custom version.
func renew(r Record, number int64, custom, why string) plan.Step {
	return plan.Step{
		Verb: plan.UpdateRevision, Unit: plan.Unit{Name: r.Name, UID: r.UID}, Target: r.Name, Why: why,
		Revision: &plan.Revision{From: r.Number, Number: number, Labels: customLabel(custom)},
	}
}

// adoptions give the orphans among the revisions to the owner.
func adoptions(history []Record) (steps []plan.Step) {
	for _, r := range history {
		if r.Orphan {
			steps = append(steps, plan.Step{
				Verb: plan.UpdateRevision, Unit: plan.Unit{Name: r.Name, UID: r.UID}, Target: r.Name,
				Revision: &plan.Revision{From: r.Number, Number: r.Number, Version: r.Version, Adopt: true},
				Why:      "an owner of the same name has left it, and pods may be of it",
			})
		}
	}
	return steps
}

func customLabel(custom string) map[string]string {
	if custom == "" {
		return nil
	}
	return map[string]string{v1beta1.SidecarSetCustomVersionLabel: custom}
}

// Forget deletes the oldest revisions beyond a limit, which counts as 1 at least: never the newest, and none that is
// used. history is ordered.
func Forget(history []Record, limit int, used func(Record) bool) []plan.Step {
	excess := len(history) - max(limit, 1)
	var steps []plan.Step
	for i := 0; i < len(history)-1 && len(steps) < excess; i++ {
		r := history[i]
		if used(r) {
			continue
		}
		steps = append(steps, plan.Step{
			Verb: plan.DeleteRevision, Unit: plan.Unit{Name: r.Name, UID: r.UID}, Target: r.Name,
			Revision: &plan.Revision{From: r.Number, Number: r.Number, Version: r.Version},
			Why: fmt.Sprintf("there are %d revisions, revisionHistoryLimit is %d, and no pod uses revision %d",
				len(history), max(limit, 1), r.Number),
		})
	}
	return steps
}
