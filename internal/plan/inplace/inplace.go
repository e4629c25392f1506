// Package inplace answers what the one patch of an in-place update writes to a Pod, and whether kubelet has
// carried out the last one.
//
// It does not decide which Pods are updated. Start at Version.Change. The annotations it writes are
// OpenKruise's wire format, documented at their names in api/apps/v1beta1.
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
	// Images that change, and per image (same index) what kubelet reports now.
	Images []plan.ImageChange
	Runs   []Report
	// Settled tells that what runs was made from what the spec names now.
	Settled bool
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
			{Key: v1beta1.SidecarSetInPlaceUpdateStateAnnotation, From: p.StateJSON, Absent: p.StateAbsent, To: v.stateOf(p)},
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

// stateOf writes this set's entry of the in-place update state. containerID and image (the spec's, from which
// that container was made, empty when that cannot be known) are additions to the wire format: they tell a restart with a new tag of the same image
// from no restart at all, and a return to the old image before kubelet acted from a change under way.
func (v Version) stateOf(p Pod) string {
	entry := object(p.StateJSON, v.name)
	last := object(entry, "lastContainerStatuses")
	for i, image := range p.Images {
		status := object(last, image.Container)
		if before := GetText(status, "containerID"); before == "" || before != p.Runs[i].ContainerID {
			madeFrom := ""
			if p.Settled || p.Runs[i].ContainerID == "" {
				madeFrom = image.From
			}
			status = Set(status, "image", quote(madeFrom))
		}
		status = Set(status, "imageID", quote(p.Runs[i].ImageID))
		status = Set(status, "containerID", quote(p.Runs[i].ContainerID))
		last = Set(last, image.Container, status)
	}
	entry = Set(entry, "revision", v.hash)
	entry = Set(entry, "updateTimestamp", v.now)
	entry = Set(entry, "lastContainerStatuses", last)
	return Set(p.StateJSON, v.name, entry)
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
	// Behind tells that kubelet has not looked at the Pod's newest spec yet (status.observedGeneration, where
	// kubelet fills it in).
	Behind bool
}

// Settled tells whether kubelet runs a container with the image that its spec names. stateJSON is the Pod's
// state annotation; it passed CheckObject or is empty. A runtime may report an image under another name than the
// spec's, also under that of an older tag of the same digest, so the name alone cannot tell:
//
//	nothing runs, or kubelet has not looked at the newest spec     no
//	Version.Change recorded no change of the container              yes
//	the container that ran before the change still runs            when it was made from the image of the spec
//	status.image names spec.image                                  yes
//	spec.image has a digest                                        when imageID has the same digest
//	nothing ran at the change                                      unless status.image names the image before
//	another imageID runs than before the change                    yes
//	another container runs than before, of the same imageID        yes: a new tag of the same image
//	the record does not say which container ran (OpenKruise's)     no
//
// One case cannot be told: a container that crashed after the record's observation and runs its old image again,
// while kubelet, which has looked at the new spec, is about to stop it. It looks like a new tag of the same image,
// and is taken for that until it is stopped; the other way round a new tag would never count as available.
func Settled(specImage string, r Report, stateJSON, set, container string) bool {
	if r.ImageID == "" || r.Behind {
		return false
	}
	entry, _ := Get(stateJSON, set)
	statuses, _ := Get(entry, "lastContainerStatuses")
	last, changed := Get(statuses, container)
	return !changed || carriedOut(specImage, r, last)
}

// carriedOut is Settled for a container whose last change was recorded.
func carriedOut(specImage string, r Report, last string) bool {
	before := GetText(last, "containerID")
	same, image := before != "" && before == r.ContainerID, GetText(last, "image")
	switch {
	case same && image != "":
		return image == specImage
	case names(r.Image, specImage):
		return true
	case strings.Contains(specImage, "@"):
		return strings.HasSuffix(r.ImageID, specImage[strings.IndexByte(specImage, '@')+1:])
	case GetText(last, "imageID") == "":
		return !names(r.Image, image)
	}
	return GetText(last, "imageID") != r.ImageID || before != "" && !same
}

// names tells whether a runtime's name of an image is the spec's, perhaps with the registry written out.
func names(reported, image string) bool {
	return reported == image || strings.HasSuffix(reported, "/"+image)
}

// HashOf returns the hash that a hash annotation names for a set, and the JSON list of the set's containers
// where it says so. It reads both forms: a map of entries, and the legacy map of hashes. The annotation passed
// CheckObject.
func HashOf(annotation, set string) (hash, sidecarList string) {
	entry, _ := Get(annotation, set)
	if legacy, ok := Text(entry); ok {
		return legacy, ""
	}
	sidecarList, _ = Get(entry, "sidecarList")
	return GetText(entry, "hash"), sidecarList
}
