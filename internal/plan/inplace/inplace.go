// Package inplace answers what the one patch of an in-place update writes to a Pod, and whether kubelet has
// carried out the last one.
//
// It does not decide which Pods are updated. Start at Update.Change. The annotations it writes are
// OpenKruise's wire format, documented at their names in api/apps/v1beta1.
package inplace

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Update is one SidecarSet's update of one Pod.
type Update struct {
	// Set, Hash and Revision name the version, Containers its containers.
	Set, Hash, Revision string
	Containers          []string
	Now                 time.Time
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
func (u Update) Change() plan.Change {
	now := u.Now.UTC().Format(time.RFC3339)
	return plan.Change{
		Images: u.Images,
		Annotations: []plan.AnnotationChange{
			{Key: v1beta1.SidecarSetHashAnnotation, From: u.HashJSON, To: u.hash(now)},
			{Key: v1beta1.SidecarSetInPlaceUpdateStateAnnotation, From: u.StateJSON, Absent: u.StateAbsent, To: u.state(now)},
		},
	}
}

// hash writes this set's entry of the hash annotation. A map of the legacy form (name to hash) becomes one of
// the present form as a whole: readers of either form do not expect a mixture.
func (u Update) hash(now string) string {
	entries := modern(u.HashJSON)
	entry := Set(object(entries, u.Set), "updateTimestamp", quote(now))
	entry = Set(entry, "hash", quote(u.Hash))
	entry = Set(entry, "sidecarSetName", quote(u.Set))
	list, err := json.Marshal(u.Containers)
	if err != nil {
		panic("marshal strings: " + err.Error())
	}
	entry = Set(entry, "sidecarList", string(list))
	entry = Set(entry, "controllerRevision", quote(u.Revision))
	return Set(entries, u.Set, entry)
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

// state writes this set's entry of the in-place update state. containerID and image (the spec's, from which
// that container was made, empty when that cannot be known) are additions to the wire format: they tell a restart with a new tag of the same image
// from no restart at all, and a return to the old image before kubelet acted from a change under way.
func (u Update) state(now string) string {
	entry := object(u.StateJSON, u.Set)
	last := object(entry, "lastContainerStatuses")
	for i, image := range u.Images {
		status := object(last, image.Container)
		if before := GetText(status, "containerID"); before == "" || before != u.Runs[i].ContainerID {
			madeFrom := ""
			if u.Settled || u.Runs[i].ContainerID == "" {
				madeFrom = image.From
			}
			status = Set(status, "image", quote(madeFrom))
		}
		status = Set(status, "imageID", quote(u.Runs[i].ImageID))
		status = Set(status, "containerID", quote(u.Runs[i].ContainerID))
		last = Set(last, image.Container, status)
	}
	entry = Set(entry, "revision", quote(u.Hash))
	entry = Set(entry, "updateTimestamp", quote(now))
	entry = Set(entry, "lastContainerStatuses", last)
	return Set(u.StateJSON, u.Set, entry)
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
//	Update.Change recorded no change of the container              yes
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
	if !changed {
		return true
	}
	before := GetText(last, "containerID")
	same, image := before != "" && before == r.ContainerID, GetText(last, "image")
	if same && image != "" {
		return image == specImage
	}
	if names(r.Image, specImage) {
		return true
	}
	if _, digest, ok := strings.Cut(specImage, "@"); ok {
		return strings.HasSuffix(r.ImageID, digest)
	}
	if GetText(last, "imageID") == "" {
		return !names(r.Image, image)
	}
	return GetText(last, "imageID") != r.ImageID || before != "" && !same
}

// names tells whether a runtime's name of an image is the spec's, perhaps with the registry written out.
func names(reported, image string) bool {
	return reported == image || strings.HasSuffix(reported, "/"+image)
}

// Version returns the hash that a hash annotation names for a set, and the JSON list of the set's containers
// where it says so. It reads both forms: a map of entries, and the legacy map of hashes. The annotation passed
// CheckObject.
func Version(annotation, set string) (hash, sidecarList string) {
	entry, _ := Get(annotation, set)
	if legacy, ok := Text(entry); ok {
		return legacy, ""
	}
	sidecarList, _ = Get(entry, "sidecarList")
	return GetText(entry, "hash"), sidecarList
}
