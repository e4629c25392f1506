package inplace

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// RevisionLabel is the label by which a workload's Pod names its revision.
const RevisionLabel = "controller-revision-hash"

// TemplateVersion is the revision of a workload's template that Pods are updated to.
type TemplateVersion struct {
	// Revision is its name.
	Revision string
	// ShortLabel has Pods name it by its short hash only.
	ShortLabel bool
	// Grace is for how many seconds a Pod gets no traffic before its containers are changed; 0 for none.
	Grace int32
	Now   time.Time
}

// TemplatePod is what an update needs of one Pod of a workload.
type TemplatePod struct {
	// QoS is what its QoS class follows from, and Trouble why kubelet does not resize it.
	QoS     QoS
	Trouble Trouble
	// Containers are those of spec.containers in order, injected ones too.
	Containers []TemplateContainer
	Labels     map[string]string
	Finalizers []string
	// Annotation returns an annotation, and whether there is one.
	Annotation func(key string) (value string, ok bool)
}

// TemplateContainer is one container of a Pod.
type TemplateContainer struct {
	Name, Image string
	// Runs is what kubelet reports of it, and Ready whether that it is ready.
	Runs  Report
	Ready bool
	// Size is its cpu and memory.
	Size Size
	// Priority is the value of KRUISE_CONTAINER_PRIORITY, empty if there is none. What is not a whole number is none.
	Priority string
}

// Refuses tells why a Pod cannot be changed in place although the templates would allow it; empty if it can be. Its
// annotations may be unreadable, since anybody can write to them.
func (p TemplatePod) Refuses(d Difference) string {
	if d.Recreate != "" {
		return d.Recreate
	}
	earlier, err := p.pending()
	if err != nil {
		return err.Error()
	}
	for _, image := range d.Images {
		if p.container(image.Name) < 0 {
			return fmt.Sprintf("the pod has no container %s", image.Name)
		}
	}
	return p.refusesSize(d.after(earlier).Resources)
}

// Restarts tells whether containers start anew for a change. Then the Pod is to get no traffic before.
func (p TemplatePod) Restarts(d Difference, now time.Time) bool {
	all, err := p.all(d, now)
	return err == nil && len(p.starting(p.todo(all))) > 0
}

// starting are the containers that restart, in order.
func (p TemplatePod) starting(work Difference) (names []string) {
	for i := range p.Containers {
		name := p.Containers[i].Name
		another := slices.ContainsFunc(work.Images, func(image ContainerImage) bool { return image.Name == name })
		if another || p.restarting(work.Resources, name) {
			names = append(names, name)
		}
	}
	return names
}

// Change returns the content of the patch that begins an update, for a Pod that does not refuse it: labels and
// annotations that say which revision the Pod has; and if there is no grace period, or no container restarts, also
// what differs, of the containers those of the first batch. What an earlier update has not done yet is done, too.
//
// With a grace period the patch changes no container, so it can be written together with the conditions that drain
// the Pod; Continue returns the rest when the time is over.
func (v TemplateVersion) Change(p TemplatePod, d Difference) plan.Change {
	all, err := p.all(d, v.Now)
	if err != nil { // Refuses says so
		all = d
	}
	work := p.todo(all)
	restarts := len(p.starting(work)) > 0
	c := plan.Change{Labels: slices.Concat(
		p.label(RevisionLabel, revision.Label(v.Revision, v.ShortLabel)),
		p.label(v1beta1.PodTemplateHashLabel, revision.Short(v.Revision)),
	)}
	state := p.state()
	entry := v.begin(state.object(), work, len(all.Resources) > 0)
	grace := p.grace()
	if v.Grace > 0 && restarts {
		c.Annotations = slices.Concat(state.write(entry), grace.write(graceJSON(v, work)))
		return c
	}
	entry = p.apply(work, entry, v.Now, &c)
	c.Annotations = slices.Concat(c.Annotations, state.write(entry), grace.remove())
	return c
}

// begin writes which update a state is about, and forgets what earlier ones left. What they recorded of containers is
// still needed, to tell when those are settled.
func (v TemplateVersion) begin(entry string, work Difference, resources bool) string {
	for _, flag := range []string{"updateEnvFromMetadata", "updateResources", "updateImages", "nextContainerImages", "nextContainerRefMetadata", "nextContainerResources", "containerBatchesRecord"} {
		entry = Remove(entry, flag)
	}
	entry = renewing(entry, nil)
	now := v.Now
	if v.Grace > 0 {
		now = now.Add(time.Second - 1) // a timestamp has no fractions, and a grace period is no shorter than asked for
	}
	entry = Set(entry, "revision", quote(v.Revision))
	entry = Set(entry, "updateTimestamp", timestamp(now))
	entry = Set(entry, "lastContainerStatuses", object(entry, "lastContainerStatuses"))
	if slices.ContainsFunc(work.Images, func(image ContainerImage) bool { return image.To != "" }) {
		entry = Set(entry, "updateImages", "true")
	}
	if _, some := work.Renews(); some {
		entry = Set(entry, "updateEnvFromMetadata", "true")
	}
	if resources {
		entry = Set(entry, "updateResources", "true")
	}
	return entry
}

func timestamp(t time.Time) string { return quote(t.UTC().Format(time.RFC3339)) }

// apply writes the first batch of what is to do, and returns the state that says so, and what comes next. entry is the
// state without what it says of batches.
func (p TemplatePod) apply(work Difference, entry string, now time.Time, c *plan.Change) string {
	before := p.state()
	busy := p.busy(before, work.Images, now)
	batch, later := p.split(work, busy)
	last := object(entry, "lastContainerStatuses")
	for _, image := range batch.Images {
		i := p.container(image.Name)
		own := &p.Containers[i]
		settled := own.settled(before.object(), now)
		if own.renews(image, before.object(), now) {
			c.Renews = append(c.Renews, own.Name)
		}
		if image.To == "" {
			continue
		}
		change := plan.ImageChange{Container: own.Name, Index: i, From: own.Image, To: image.To}
		status := Remove(recorded(object(last, own.Name), change, own.Runs, settled), "environment")
		if image.Environment {
			status = Set(status, "environment", "true")
		}
		last = Set(last, own.Name, status)
		c.Images = append(c.Images, change)
	}
	entry = renewing(entry, c.Renews)
	for _, r := range batch.Resources {
		c.Resources = append(c.Resources, p.resize(r))
	}
	batch.Metadata.write(p, c)
	entry = Set(entry, "lastContainerStatuses", last)
	return later.write(entry, batch.containers(), busy, now)
}

// busy are the containers of the batch before that a next batch has to wait for, because they do not change again.
func (p TemplatePod) busy(state note, again []ContainerImage, now time.Time) (names []string) {
	rest, err := state.outstanding()
	if err != nil {
		return nil
	}
	for _, name := range rest.PreCheck.Ready {
		i := p.container(name)
		changes := slices.ContainsFunc(again, func(image ContainerImage) bool { return image.Name == name })
		if i >= 0 && !changes && !p.Containers[i].serves(state.object(), now) {
			names = append(names, name)
		}
	}
	return names
}

// serves tells whether it is ready, and surely what its spec names.
func (c *TemplateContainer) serves(state string, now time.Time) bool {
	return c.Ready && c.settled(state, now)
}

// settled tells whether it surely runs the image that its spec names.
func (c *TemplateContainer) settled(state string, now time.Time) bool {
	settled, sure := SettledEntry(c.Image, c.Runs, state, c.Name)
	return settled && sure <= now.Unix()
}

// todo leaves out the images and resources that the Pod has, or has no container for, and puts the rest in the order of its
// containers. Which environment a container has the Pod does not tell.
func (p TemplatePod) todo(d Difference) Difference {
	var images []ContainerImage
	var resources []ContainerResource
	for i := range p.Containers {
		c := &p.Containers[i]
		for _, image := range d.Images {
			if image.To == c.Image {
				image.To = ""
			}
			if image.Name == c.Name && (image.To != "" || image.Environment) {
				images = append(images, image)
			}
		}
		for _, r := range d.Resources {
			if r.differs(c) {
				resources = append(resources, r)
			}
		}
	}
	d.Images, d.Resources = images, resources
	return d
}

// containers are those that change, in order.
func (d Difference) containers() (names []string) {
	for _, image := range d.Images {
		names = append(names, image.Name)
	}
	for _, r := range d.Resources {
		if !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}

// container returns the place of a container, -1 if there is none.
func (p TemplatePod) container(name string) int {
	return slices.IndexFunc(p.Containers, func(c TemplateContainer) bool { return c.Name == name })
}

// label sets a label, unless the Pod has it.
func (p TemplatePod) label(key, value string) []plan.LabelChange {
	was, there := p.Labels[key]
	if there && was == value {
		return nil
	}
	return []plan.LabelChange{{Key: key, From: was, Absent: !there, To: value}}
}

// note is one of the two annotations that say how far an update is.
type note struct {
	key, legacy string
	// text is what the note says, under either name: "{}" if nothing.
	text string
	// at is the annotation of its present name, old the one of its former name.
	at, old       string
	there, former bool
}

func (p TemplatePod) state() note {
	return p.note(v1beta1.InPlaceUpdateStateAnnotation, v1beta1.LegacyInPlaceUpdateStateAnnotation)
}

func (p TemplatePod) grace() note {
	return p.note(v1beta1.InPlaceUpdateGraceAnnotation, v1beta1.LegacyInPlaceUpdateGraceAnnotation)
}

func (p TemplatePod) note(key, legacy string) note {
	n := note{key: key, legacy: legacy, text: "{}"}
	n.at, n.there = p.Annotation(key)
	n.old, n.former = p.Annotation(legacy)
	switch {
	case n.there:
		n.text = n.at
	case n.former:
		n.text = n.old
	}
	return n
}

// read reads a note into a struct.
func (n note) read(into any) error {
	err := CheckObject(n.text)
	if err == nil {
		err = json.Unmarshal([]byte(n.text), into)
	}
	if err != nil {
		return fmt.Errorf("annotation %s cannot be read: %w", n.key, err)
	}
	return nil
}

// object is what a note says, nothing if it cannot be read.
func (n note) object() string {
	if CheckObject(n.text) != nil {
		return "{}"
	}
	return n.text
}

// write sets a note, under its present name only.
func (n note) write(text string) []plan.AnnotationChange {
	changes := []plan.AnnotationChange{{Key: n.key, From: n.at, Absent: !n.there, To: text}}
	if n.there && n.at == text {
		changes = nil
	}
	if n.former {
		changes = append(changes, plan.AnnotationChange{Key: n.legacy, From: n.old, Remove: true})
	}
	return changes
}

func (n note) remove() (changes []plan.AnnotationChange) {
	if n.there {
		changes = append(changes, plan.AnnotationChange{Key: n.key, From: n.at, Remove: true})
	}
	if n.former {
		changes = append(changes, plan.AnnotationChange{Key: n.legacy, From: n.old, Remove: true})
	}
	return changes
}
