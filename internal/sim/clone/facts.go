package clone

import (
	"maps"
	"slices"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// facts gathers what the cache and the ledgers say.
func (m *manager) facts() (cloneset.Facts, error) {
	if err := m.hands.Look(m.ctx, owner()); err != nil {
		return cloneset.Facts{}, err
	}
	marks, err := m.hands.MarkRevisions(m.ctx, owner(), m.shownRevision)
	if err != nil {
		return cloneset.Facts{}, err
	}
	f := cloneset.Facts{
		Now: m.w.Clock(), Memo: &m.memo, CanResize: !m.w.fixed, CanRenew: !m.w.alone, NoAgents: m.w.alone, Templates: map[string]*v1beta1.PodTemplate{},
		History: revision.History{Unseen: marks.Unseen, Taken: marks.Taken}, RollBack: m.w.rollBack,
	}
	for _, name := range slices.Sorted(maps.Keys(m.revisions)) {
		if r := m.revisions[name]; !r.gone {
			f.History.Records = append(f.History.Records, r.record)
			f.Templates[name] = r.template
		}
	}
	m.podFacts(&f)
	m.claimFacts(&f)
	m.requestFacts(&f)
	var unknown []plan.Unit
	for _, name := range cloneset.Unknown(m.set, f.Pods, f.History) {
		unknown = append(unknown, plan.Unit{Namespace: namespace, Name: name})
	}
	there, err := m.hands.Controls(m.ctx, owner(), unknown)
	for _, u := range there {
		f.Late = append(f.Late, u.Name)
	}
	return f, err
}

func (m *manager) shownRevision(name string) (string, bool) {
	r := m.revisions[name]
	if r == nil || r.gone {
		return "", false
	}
	return r.record.Version, true
}

func (m *manager) podFacts(f *cloneset.Facts) {
	at := map[string]int{}
	for _, name := range m.names {
		if c := m.pods[name]; c.matches {
			at[c.record.Unit.UID] = len(f.Pods)
			f.Pods = append(f.Pods, c.record)
		}
	}
	for _, mark := range m.w.subject.Marks(m.hands.PodMarks(owner(), m.shown)) {
		if i, there := at[mark.Unit.UID]; there {
			p := &f.Pods[i]
			p.Unseen, p.Leaving = p.Unseen || mark.Unseen, p.Leaving || mark.Left
			if mark.Refused != "" {
				p.Refused = mark.Refused
			}
		}
	}
	births := m.w.subject.Births(m.hands.Births(owner(), plan.CreatePod, func(u plan.Unit) bool { c := m.pods[u.Name]; return c != nil && c.pod != nil }))
	for _, b := range births.Births {
		f.Pods = append(f.Pods, cloneset.Pod{Unit: b.Unit, ID: b.Unit.Name[len(setName)+1:], Revision: b.Target, Born: true})
	}
	f.Refused, f.Taken = births.Refused, births.Taken
}

func (m *manager) claimFacts(f *cloneset.Facts) {
	hidden := map[string]bool{}
	for _, verb := range []plan.Verb{plan.KeepClaim, plan.DeleteClaim} {
		for _, mark := range m.hands.Marks(owner(), verb, m.shownClaim) {
			hidden[mark.Unit.UID] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.claims)) {
		c := m.claims[name]
		if c.gone {
			continue
		}
		r := cloneset.Claim{
			Unit: plan.Unit{Namespace: namespace, Name: name, UID: string(c.object.UID)}, ID: c.object.Labels[v1beta1.CloneSetInstanceIDLabel],
			Unseen: hidden[string(c.object.UID)],
		}
		r.Owner, r.OwnersJSON = ownerOf(c)
		f.Claims = append(f.Claims, r)
	}
}

func (m *manager) shownClaim(u plan.Unit) (string, bool) {
	c := m.claims[u.Name]
	if c == nil || c.gone || string(c.object.UID) != u.UID {
		return "", false
	}
	return c.object.ResourceVersion, true
}
