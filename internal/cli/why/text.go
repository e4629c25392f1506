package why

import (
	"fmt"
	"strings"
)

// page is text under construction: headings, and below them facts with a name at the left.
type page struct{ strings.Builder }

func (p *page) heading(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// fact writes one line; nothing without a text.
func (p *page) fact(name, text string) {
	if text != "" {
		fmt.Fprintf(p, "  %-11s %s\n", name, text)
	}
}

func (p *page) facts(name string, texts []string) {
	for _, text := range texts {
		p.fact(name, text)
		name = ""
	}
}

func (p *page) conditions(all []Condition) {
	if len(all) == 0 {
		return
	}
	p.heading("\nConditions:")
	for _, c := range all {
		fmt.Fprintf(p, "  %-11s %-5s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
}

// String is the report for a reader, what concerns the Pod most first.
func (r Pod) String() string {
	var p page
	state := string(r.Phase)
	switch {
	case r.Deleting:
		state += ", being deleted"
	case r.Ready:
		state += ", ready"
	default:
		state += ", not ready"
	}
	p.heading("Pod %s/%s: %s", r.Namespace, r.Name, state)
	p.facts("note", r.Notes)
	for i := range r.Sets {
		p.WriteString("\n")
		r.Sets[i].write(&p)
	}
	if r.Others.Count > 0 {
		p.WriteString("\n")
		r.Others.write(&p)
	}
	if len(r.Sets) == 0 && r.Others.Count == 0 {
		p.heading("\nThere are no SidecarSets.")
	}
	return p.String()
}

func (c *Carried) write(p *page) {
	p.heading("SidecarSet %s: %s", c.Name, c.headline())
	p.fact("because", c.NotInjected)
	p.fact("because", c.NotMatching)
	c.writeVersion(p)
	for _, container := range c.Containers {
		p.fact("container", container.Name+" "+container.Image)
		changed := ""
		if container.Changed != "" {
			changed = "; changed in place at " + container.Changed
		}
		p.fact("", container.Kubelet+changed)
	}
	if len(c.InitContainers) > 0 {
		p.fact("init", strings.Join(c.InitContainers, ", "))
	}
	c.writeUpgrade(p)
	c.Rollout.write(p)
	p.facts("note", c.Notes)
}

func (c *Carried) headline() string {
	switch {
	case !c.Injected:
		return "matches the pod, is not injected"
	case c.NotMatching != "":
		return "injected, and does not match the pod any more: it is not upgraded"
	case c.NewestRevision == "":
		return "injected"
	case c.Newest:
		return "injected, the newest version"
	}
	return "injected, not the newest version"
}

func (c *Carried) writeVersion(p *page) {
	switch {
	case c.Newest || c.NewestRevision == "":
		p.fact("version", c.Revision)
	case c.Revision == "":
		p.fact("version", "unknown, the newest is "+c.NewestRevision)
	default:
		p.fact("version", c.Revision+", the newest is "+c.NewestRevision)
	}
}

func (c *Carried) writeUpgrade(p *page) {
	if u := c.Upgrade; u != nil {
		switch {
		case !u.InPlace:
			p.fact("upgrade", "not in place: "+u.Why)
		case len(u.Changes) == 0:
			p.fact("upgrade", "in place: only the bookkeeping is behind, no container restarts")
		default:
			p.fact("upgrade", "in place: "+strings.Join(u.Changes, ", "))
		}
	} else if c.Newest {
		p.fact("upgrade", "nothing to do")
	}
	if c.Hold != nil && (c.Upgrade == nil || c.Upgrade.Reason != c.Hold.Reason) {
		p.fact("held", c.Hold.Reason+": "+c.Hold.Why)
	}
	if c.Next != "" {
		p.fact("next", "it is one of the pods that are updated now ("+c.Next+")")
		p.fact("", notKnownHere)
	}
}

// notKnownHere is what the manager knows and nobody else: its ledger of writes.
const notKnownHere = "if it stays so, the write may be refused or no manager runs: see kubectl describe sidecarset, and the manager's log"

func (r *Rollout) write(p *page) {
	if r == nil {
		return
	}
	p.fact("rollout", fmt.Sprintf("%d of %d pods updated, %d available; partition %s keeps %d, maxUnavailable %s allows %d",
		r.Updated, r.Matched, r.Ready, r.Partition, r.Keeps, r.MaxUnavailable, r.MayBeUnavailable))
}

func (o *Others) write(p *page) {
	p.heading("%d %s not match:", o.Count, plural(o.Count, "SidecarSet does", "SidecarSets do"))
	width := 0
	for _, other := range o.Nearest {
		width = max(width, len(other.Name))
	}
	for _, other := range o.Nearest {
		fmt.Fprintf(p, "  %-*s  %s\n", width, other.Name, other.Why)
	}
	if more := o.Labels + o.Namespaces; more > 0 {
		fmt.Fprintf(p, "  and %d more: %d for labels of the pod, %d for its namespace (--all lists them)\n", more, o.Labels, o.Namespaces)
	}
}

// String is the report for a reader.
func (r Set) String() string {
	var p page
	p.heading("SidecarSet %s", r.Name)
	if r.Rollout != nil {
		p.fact("version", r.Rollout.Revision)
		r.Rollout.write(&p)
		if r.Rollout.UpdatedReady != r.Rollout.Updated {
			p.fact("", fmt.Sprintf("%d of the updated pods are available", r.Rollout.UpdatedReady))
		}
	}
	if r.Next != nil {
		p.fact("next", r.Next.String()+" updated now")
		p.fact("", notKnownHere)
	} else if len(r.Conditions) > 0 {
		p.fact("next", "nothing is updated now: "+r.Conditions[0].Message)
	}
	if r.LookAgainAfter != "" {
		p.fact("", "time alone may change this in "+r.LookAgainAfter)
	}
	p.facts("note", r.Notes)
	if len(r.Holds) > 0 {
		p.heading("\nHeld:")
		for _, h := range r.Holds {
			fmt.Fprintf(&p, "  %s  %s\n    %s\n", h.Reason, h.String(), h.Why)
		}
	}
	if r.Bare != nil {
		p.heading("\nMatching and not injected:\n  %s", r.Bare)
		p.heading("    sidecars are injected when a pod is created; kubectl outrigger why pod/NAME says why it did not happen")
	}
	p.conditions(r.Conditions)
	return p.String()
}

// String names the Pods.
func (p *Pods) String() string { return p.of("pod", "pods") }

// of names them where they are something else: one, or many.
func (p *Pods) of(one, many string) string {
	text := fmt.Sprintf("%d %s: %s", p.Count, plural(p.Count, one, many), strings.Join(p.Examples, ", "))
	if more := p.Count - len(p.Examples); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
