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
	object := modern(u.HashJSON)
	entry, ok := Get(object, u.Set)
	if !ok {
		entry = "{}"
	}
	entry = Set(entry, "updateTimestamp", quote(now))
	entry = Set(entry, "hash", quote(u.Hash))
	entry = Set(entry, "sidecarSetName", quote(u.Set))
	list, err := json.Marshal(u.Containers)
	if err != nil {
		panic("marshal strings: " + err.Error())
	}
	entry = Set(entry, "sidecarList", string(list))
	entry = Set(entry, "controllerRevision", quote(u.Revision))
	return Set(object, u.Set, entry)
}

// modern replaces every member that is a string, a legacy hash, by an entry that says the same.
func modern(object string) string {
	var b strings.Builder
	done := 0
	for m, more := next(object, 0); more; m, more = next(object, m.to) {
		if object[m.from] != '"' {
			continue
		}
		b.WriteString(object[done:m.from])
		b.WriteString(`{"hash":` + object[m.from:m.to] + `,"sidecarSetName":` + m.key + `}`)
		done = m.to
	}
	if done == 0 {
		return object
	}
	return b.String() + object[done:]
}

// state writes this set's entry of the in-place update state. containerID is an addition to the wire format,
// which tells a restart with a new tag of the same image from no restart at all.
func (u Update) state(now string) string {
	object := u.StateJSON
	entry, ok := Get(object, u.Set)
	if !ok || entry[0] != '{' {
		entry = "{}"
	}
	last, ok := Get(entry, "lastContainerStatuses")
	if !ok || last[0] != '{' {
		last = "{}"
	}
	for i, image := range u.Images {
		status, ok := Get(last, image.Container)
		if !ok || status[0] != '{' {
			status = "{}"
		}
		status = Set(status, "imageID", quote(u.Runs[i].ImageID))
		status = Set(status, "containerID", quote(u.Runs[i].ContainerID))
		last = Set(last, image.Container, status)
	}
	entry = Set(entry, "revision", quote(u.Hash))
	entry = Set(entry, "updateTimestamp", quote(now))
	entry = Set(entry, "lastContainerStatuses", last)
	return Set(object, u.Set, entry)
}

// Report is what kubelet reports of a container.
type Report struct {
	Image, ImageID, ContainerID string
	// Behind tells that kubelet has not looked at the Pod's newest spec yet (status.observedGeneration, where
	// kubelet fills it in).
	Behind bool
}

// Settled tells whether kubelet runs a container with the image that its spec names. stateJSON is the Pod's
// state annotation; it passed CheckObject or is empty. Kubelet may report an image under another name than the
// spec's, so the name alone cannot tell:
//
//	nothing runs                              no
//	status.image equals spec.image            yes
//	spec.image has a digest                   when imageID has the same digest
//	Update.Change recorded what ran before    when another imageID runs, or another container of the same image
//	                                          (a new tag of the same digest) since kubelet saw the change
//	no change was ever made in place          yes
func Settled(specImage string, r Report, stateJSON, set, container string) bool {
	if r.ImageID == "" {
		return false
	}
	if r.Image == specImage {
		return true
	}
	if _, digest, ok := strings.Cut(specImage, "@"); ok {
		return strings.HasSuffix(r.ImageID, digest)
	}
	entry, _ := Get(stateJSON, set)
	statuses, _ := Get(entry, "lastContainerStatuses")
	last, changed := Get(statuses, container)
	if !changed || GetText(last, "imageID") != r.ImageID {
		return true
	}
	before := GetText(last, "containerID")
	return before != "" && before != r.ContainerID && !r.Behind
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
