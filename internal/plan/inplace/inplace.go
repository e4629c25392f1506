// Package inplace answers what the one patch of an in-place update writes to a Pod, and whether kubelet has
// carried out the last one.
//
// It does not decide which Pods are updated. For SidecarSets start at Version.Change. For workloads, Between tells what
// differs between two templates and whether a Pod can get it in place, TemplateVersion.Change begins that, and ProgressOf
// and Continue bring it to an end. The annotations that are written are OpenKruise's wire format, documented at their
// names in api/apps/v1beta1.
package inplace

import (
	"strings"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Version is the version of a SidecarSet that Pods are updated to.
type Version struct {
	name string
	// JSON texts
	set, hash, revision, containers, now string
}

// VersionOf returns a set's version and the moment at which Pods are told to take it.
func VersionOf(set, hash, revision string, containers []string, now time.Time) Version {
	quoted := make([]string, len(containers))
	for i, c := range containers {
		quoted[i] = quote(c)
	}
	return Version{
		name: set, set: quote(set), hash: quote(hash), revision: quote(revision),
		containers: "[" + strings.Join(quoted, ",") + "]",
		now:        quote(now.UTC().Format(time.RFC3339)),
	}
}

// Pod is what an update needs of one Pod.
type Pod struct {
	// Images that change, and per image (same index) what kubelet reports of the container now.
	Images []plan.ImageChange
	Runs   []Report
	// Settled tells of each that it was made from what the spec names now.
	Settled []bool
	// HashJSON and StateJSON are the annotations as they are. They passed CheckObject.
	HashJSON, StateJSON string
	// StateAbsent tells that there is no state annotation; StateJSON is empty then.
	StateAbsent bool
}

// Change returns the content of the patch: the images that differ, and the two annotations that say which
// version the Pod has and what it ran before. What the annotations say of other sets, and fields of ours that
// are not known here, stay as they are.
func (v Version) Change(p Pod) plan.Change {
	return plan.Change{
		Images: p.Images,
		Annotations: []plan.AnnotationChange{
			{Key: v1beta1.SidecarSetHashAnnotation, From: p.HashJSON, To: v.hashOf(p)},
			{Key: v1beta1.SidecarSetInPlaceUpdateStateAnnotation, From: p.StateJSON, Absent: p.StateAbsent, To: v.stateOf(p, true)},
		},
	}
}

// Resized returns the change of the without-image annotation of a Pod that gets, or has, what these hashes say beside its
// images.
func (v Version) Resized(annotation, withoutImage, withoutResources string) plan.AnnotationChange {
	entries := modern(annotation)
	entry := Set(object(entries, v.name), "updateTimestamp", v.now)
	entry = Set(entry, "hash", quote(withoutImage))
	entry = Set(entry, "sidecarSetName", v.set)
	entry = Set(entry, "hashWithoutResources", quote(withoutResources))
	return plan.AnnotationChange{
		Key: v1beta1.SidecarSetHashWithoutImageAnnotation, From: annotation, To: Set(entries, v.name, entry),
	}
}

// Reset returns the content of a patch that changes images and leaves the Pod's version as it is.
func (v Version) Reset(p Pod) plan.Change {
	return plan.Change{
		Images: p.Images,
		Annotations: []plan.AnnotationChange{
			{Key: v1beta1.SidecarSetInPlaceUpdateStateAnnotation, From: p.StateJSON, Absent: p.StateAbsent, To: v.stateOf(p, false)},
		},
	}
}

// hashOf writes this set's entry of the hash annotation. A map of the legacy form (name to hash) becomes one of
// the present form as a whole: readers of either form do not expect a mixture.
func (v Version) hashOf(p Pod) string {
	entries := modern(p.HashJSON)
	entry := Set(object(entries, v.name), "updateTimestamp", v.now)
	entry = Set(entry, "hash", v.hash)
	entry = Set(entry, "sidecarSetName", v.set)
	entry = Set(entry, "sidecarList", v.containers)
	entry = Set(entry, "controllerRevision", v.revision)
	return Set(entries, v.name, entry)
}

// modern replaces every member that is a string, a legacy hash, by an entry that says the same.
func modern(entries string) string {
	var b strings.Builder
	done := 0
	for m, more := next(entries, 0); more; m, more = next(entries, m.to) {
		if entries[m.from] != '"' {
			continue
		}
		b.WriteString(entries[done:m.from])
		b.WriteString(`{"hash":` + entries[m.from:m.to] + `,"sidecarSetName":` + m.key + `}`)
		done = m.to
	}
	if done == 0 {
		return entries
	}
	return b.String() + entries[done:]
}

// stateOf writes this set's entry of the in-place update state.
func (v Version) stateOf(p Pod, newVersion bool) string {
	entry := object(p.StateJSON, v.name)
	last := object(entry, "lastContainerStatuses")
	for i, image := range p.Images {
		last = Set(last, image.Container, recorded(object(last, image.Container), image, p.Runs[i], p.Settled[i]))
	}
	if newVersion {
		entry = Set(entry, "revision", v.hash)
	}
	entry = Set(entry, "updateTimestamp", v.now)
	entry = Set(entry, "lastContainerStatuses", last)
	return Set(p.StateJSON, v.name, entry)
}

// recorded writes what kubelet reports of a container whose image is about to change. Besides imageID it says, as an
// addition to the wire format, what SettledEntry needs:
//
//	containerID   which container ran
//	image         what that was made from; empty when that cannot be known
//	changing      whether an earlier change was still under way
func recorded(status string, image plan.ImageChange, runs Report, settled bool) string {
	changing := "true"
	if settled {
		changing = "false"
	}
	if before := GetText(status, "containerID"); before == "" || before != runs.ContainerID {
		madeFrom := runs.MadeFrom
		if madeFrom == "" && (settled || runs.ContainerID == "") {
			madeFrom = image.From
		}
		status = Set(status, "image", quote(madeFrom))
	}
	status = Set(status, "imageID", quote(runs.ImageID))
	status = Set(status, "containerID", quote(runs.ContainerID))
	return Set(status, "changing", changing)
}

// object returns the member that is an object, or an empty one.
func object(of, key string) string {
	if value, ok := Get(of, key); ok && value[0] == '{' {
		return value
	}
	return "{}"
}

// Report is what kubelet reports of a container.
type Report struct {
	Image, ImageID, ContainerID string
	// Started is when a container of the Pod was last started, 0 when this one does not run; Grace is how long kubelet
	// takes to stop it at most. In seconds (since 1970).
	Started, Grace int64
	// MadeFrom is the image that the container was made from, as the spec named it; empty when nobody watched.
	MadeFrom string
	// Ended tells that nothing runs, and that kubelet says so after it has looked at the Pod's newest spec: it starts the
	// container from that or a newer one.
	Ended bool
	// Behind tells that kubelet has not looked at the Pod's newest spec yet (status.observedGeneration, where
	// kubelet fills it in).
	Behind bool
}

// patience is how many seconds after a change, or after starting a container, kubelet looks at the newest spec at the
// latest; it covers clocks that differ, too.
const patience = 10

// longestStop is how many seconds of a grace period are waited for at most when it is in doubt which container runs. A
// container that takes longer to stop serves meanwhile; a rollout that waited for it would stand for as long.
const longestStop = 30

// Settled is SettledEntry for a container of a SidecarSet: stateJSON is the Pod's state annotation, which has an entry
// for every set. It passed CheckObject or is empty.
func Settled(specImage string, r Report, stateJSON, set, container string) (settled bool, from int64) {
	entry, _ := Get(stateJSON, set)
	return SettledEntry(specImage, r, entry, container)
}

// SettledEntry tells whether kubelet runs a container with the image that its spec names, and from when on that is
// sure (in seconds since 1970; 0: it is). entry is the record of the last update (InPlaceUpdateState), empty if there
// is none.
//
// What has to be told apart from the container that is wanted is any other that kubelet may have started: from the
// image before the last change, when the container crashed in between, or from a version in between. Such a one is
// reported as running, also by a kubelet that has looked at the newest spec, until it is stopped and the wanted one
// is pulled and started. What kubelet reports of an image cannot tell: a runtime may call it by the name of any tag
// that has the same digest, and the tags that it knows are those of all Pods on its node.
//
//	nothing runs, or kubelet has not looked at the newest spec     no
//	its start was watched (see Origins.Watch)                      when it was made from the image of the spec
//	no change of the container was recorded                        yes
//	the container that ran before the change still runs            when it was made from the image of the spec;
//	                                                               in doubt when it is not known what it was made from
//	spec.image has a digest and imageID another                    no
//	another imageID runs than before, no earlier change was        yes: only the images before and after the change
//	under way                                                      can run, and this is not the one before
//	otherwise another container than before is reported            in doubt: no when it has stopped, else yes in time
//	the record does not say which container ran (OpenKruise's)     when imageID is another or status.image names it
//
// In doubt, only time tells: a container that kubelet does not want is gone when its grace period is over, counted from
// the last thing that kubelet is known to have done before: starting a container of the Pod. There is seldom doubt, because starts are watched; what is left is what happened while no manager ran or the watch was
// interrupted, and kubelets that do not say which generation they look at (before Kubernetes 1.34).
func SettledEntry(specImage string, r Report, entry, container string) (settled bool, from int64) {
	if r.ImageID == "" || r.Behind {
		return false, 0
	}
	if r.MadeFrom != "" {
		return r.MadeFrom == specImage, 0
	}
	statuses, _ := Get(entry, "lastContainerStatuses")
	last, changed := Get(statuses, container)
	if !changed {
		return true, 0
	}
	settled, sure := carriedOut(specImage, r, last)
	switch {
	case !settled || sure:
		return settled, 0
	case r.Started == 0:
		return false, 0
	}
	told, err := time.Parse(time.RFC3339, GetText(entry, "updateTimestamp"))
	if err != nil {
		told = time.Time{}
	}
	return true, max(r.Started, told.Unix()) + min(r.Grace, longestStop) + patience
}

// carriedOut is SettledEntry for a container whose last change was recorded.
func carriedOut(specImage string, r Report, last string) (settled, sure bool) {
	before, known := Get(last, "containerID")
	image := GetText(last, "image")
	another := GetText(last, "imageID") != r.ImageID
	if beforeID, _ := Text(before); known && beforeID == r.ContainerID {
		return image == specImage || image == "", image != ""
	}
	if _, digest, ok := strings.Cut(specImage, "@"); ok && (!known || !strings.HasSuffix(r.ImageID, digest)) {
		return strings.HasSuffix(r.ImageID, digest), true
	}
	if !known {
		return another || names(r.Image, specImage), true
	}
	changing, _ := Get(last, "changing")
	return true, another && changing != "true"
}

// names tells whether a runtime's name of an image is the spec's, perhaps with the registry written out.
func names(reported, image string) bool {
	return reported == image || strings.HasSuffix(reported, "/"+image)
}

// Entry is what a hash annotation says of a set.
type Entry struct {
	// Hash of the set's containers.
	Hash string
	// WithoutResources is the hash without images, cpu and memory; empty where the annotation does not say, as
	// OpenKruise's.
	WithoutResources string
	// Revision names the set's revision; empty in the legacy form.
	Revision string
	// SidecarList is the JSON list of the set's containers, empty where the annotation does not say.
	SidecarList string
}

// EntryOf returns what a hash annotation says of a set. It reads both forms: a map of entries, and the legacy map
// of hashes. The annotation passed CheckObject.
func EntryOf(annotation, set string) Entry {
	entry, _ := Get(annotation, set)
	if legacy, ok := Text(entry); ok {
		return Entry{Hash: legacy}
	}
	list, _ := Get(entry, "sidecarList")
	return Entry{
		Hash: GetText(entry, "hash"), WithoutResources: GetText(entry, "hashWithoutResources"),
		Revision: GetText(entry, "controllerRevision"), SidecarList: list,
	}
}
