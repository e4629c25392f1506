package sim

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// keptRevision is a ControllerRevision at a resource version, or that there is none any more.
type keptRevision struct {
	rv     int
	gone   bool
	record revision.Record
}

// commitRevision makes a revision's new state the truth and sends it to every cache.
func (w *World) commitRevision(name string, next keptRevision) int {
	w.rv++
	next.rv, next.record.Version = w.rv, strconv.Itoa(w.rv)
	w.revisions[name] = next
	for _, m := range w.managers {
		w.After(w.Lag(), func() { m.seeRevision(name, next) })
	}
	return w.rv
}

func (m *manager) seeRevision(name string, r keptRevision) {
	if m.dead || r.rv <= m.revisions[name].rv {
		return
	}
	m.revisions[name] = r
	m.wake(0)
}

// userDeletesRevision deletes any revision, also one that is needed.
func (w *World) userDeletesRevision() {
	names := slices.Sorted(maps.Keys(w.revisions))
	if len(names) == 0 {
		return
	}
	name := names[w.Rng.IntN(len(names))]
	if w.revisions[name].gone {
		return
	}
	w.Tell("user deletes revision %s", name)
	w.deleted[name] = true
	w.commitRevision(name, keptRevision{gone: true})
}

// history is what the cache and the ledger say of the revisions. It fails when the API server does not answer.
func (m *manager) history() (revision.History, bool) {
	m.own.See(m.shownRevision, m.w.Clock())
	for _, name := range m.own.Doubts() {
		if m.w.Fault(20) {
			return revision.History{}, false
		}
		r, version := m.w.revisions[name], ""
		if r.rv > 0 && !r.gone {
			version = r.record.Version
		}
		m.own.Found(name, true, version, m.w.Clock())
	}
	m.own.See(m.shownRevision, m.w.Clock())
	h := revision.History{Unseen: m.own.Marks().Unseen, Taken: m.own.Marks().Taken}
	for _, name := range slices.Sorted(maps.Keys(m.revisions)) {
		if r := m.revisions[name]; !r.gone {
			h.Records = append(h.Records, r.record)
		}
	}
	return h, true
}

func (m *manager) shownRevision(name string) (string, bool) {
	r := m.revisions[name]
	return strconv.Itoa(r.rv), r.rv > 0 && !r.gone
}

// doRevision carries out the first step, which is on a revision, by the rules of engine.Hands: the plan goes on only if
// it is done.
func (m *manager) doRevision(snap *snapshot, steps []plan.Step) {
	w := m.w
	w.After(w.Between(time.Millisecond, 80*time.Millisecond), func() {
		if m.dead {
			return
		}
		o := w.writeRevision(snap, steps[0])
		m.own.Settled(&steps[0], o, w.Clock())
		if o.Fate != engine.Done {
			steps = steps[:1]
		}
		m.do(snap, steps[1:])
	})
}

func (w *World) writeRevision(snap *snapshot, s plan.Step) engine.Outcome {
	if w.Fault(3) {
		w.Tell("manager %d: %s %s: the request is lost", snap.m.id, s.Verb, s.Unit)
		return engine.Outcome{Fate: engine.Unknown}
	}
	old := w.revisions[s.Unit.Name]
	next, fate := w.revised(old, s)
	if fate != engine.Done {
		return engine.Outcome{Fate: fate}
	}
	w.checkRevision(snap, s, old)
	w.writes++
	w.Tell("manager %d: %s %s: %s", snap.m.id, s.Verb, s.Unit, s.Why)
	rv := w.commitRevision(s.Unit.Name, next)
	snap.m.revised[s.Unit.Name] = rv
	if w.Fault(5) {
		w.Tell("the answer is lost")
		return engine.Outcome{Fate: engine.Unknown}
	}
	if w.Fault(1) {
		snap.m.crash()
	}
	return engine.Outcome{Fate: engine.Done, Version: strconv.Itoa(rv)}
}

// revised is what the API server makes of a revision, or why it does not.
func (w *World) revised(old keptRevision, s plan.Step) (next keptRevision, fate engine.Fate) {
	exists := old.rv > 0 && !old.gone
	switch {
	case s.Verb == plan.CreateRevision && exists:
		return old, engine.Stale
	case s.Verb == plan.CreateRevision:
		w.uids++
		return keptRevision{record: revision.Record{
			Name: s.Unit.Name, UID: "uid-" + strconv.Itoa(w.uids), Created: w.Clock().Unix(),
			Number: s.Revision.Number, Hash: contentHash(s.Revision.Data),
		}}, engine.Done
	case !exists || old.record.UID != s.Unit.UID:
		return old, engine.Gone
	case s.Verb == plan.DeleteRevision && old.record.Version != s.Revision.Version, old.record.Number != s.Revision.From:
		return old, engine.Stale
	case s.Verb == plan.DeleteRevision:
		return keptRevision{gone: true}, engine.Done
	}
	old.record.Number = s.Revision.Number
	return old, engine.Done
}

func contentHash(data []byte) string {
	var raw struct{ Spec v1beta1.SidecarSetSpec }
	if err := json.Unmarshal(data, &raw); err != nil {
		panic("read a revision: " + err.Error())
	}
	return identityOf(&raw.Spec)
}

func identityOf(spec *v1beta1.SidecarSetSpec) string {
	identity, err := revision.IdentityOf(spec)
	if err != nil {
		panic("identify a spec: " + err.Error())
	}
	return identity.Hash
}

// checkRevision checks a write of a revision that the API server is about to commit.
func (w *World) checkRevision(s *snapshot, step plan.Step, old keptRevision) {
	if step.Why == "" {
		w.Violate("complete", "%s %s has no reason", step.Verb, step.Unit)
	}
	if step.Verb != plan.DeleteRevision {
		w.checkNumber(s, step)
		return
	}
	if old.record.Hash == identityOf(&s.set.Spec) {
		w.Violate("kept", "%s is the newest revision and is deleted", step.Unit)
	}
	for _, l := range w.alive() {
		seen, ok := l.at(s.saw(l))
		if ok && s.saw(l) > 0 && seen.revision == step.Unit.Name {
			w.Violate("kept", "%s is deleted and %s uses it", step.Unit, l.pod.Name)
		}
	}
}

// checkNumber checks that a number is above all of the revisions that the process can know: it has observed them,
// or written them itself.
func (w *World) checkNumber(s *snapshot, step plan.Step) {
	if step.Revision.Number == step.Revision.From {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(w.revisions)) {
		r := w.revisions[name]
		known := s.history[name] >= r.rv || s.m.revised[name] == r.rv
		if !r.gone && known && r.record.Number >= step.Revision.Number {
			w.Violate("numbers", "%s gets number %d, and %s has %d", step.Unit, step.Revision.Number, name, r.record.Number)
		}
	}
}

// checkNamed checks that a Pod is told of a revision that is there, and is what it gets.
func (w *World) checkNamed(s *snapshot, step plan.Step, next *corev1.Pod) {
	r := w.revisions[step.Target]
	if w.deleted[step.Target] {
		return // by the user, and it may be again
	}
	if r.gone && s.history[step.Target] < r.rv && s.m.revised[step.Target] != r.rv {
		return // by another leader, since it was observed
	}
	if r.rv == 0 || r.gone || r.record.Hash != identityOf(&s.set.Spec) {
		w.Violate("named", "%s is told of revision %s, which is not there or something else", step.Unit, step.Target)
	}
	if told := entry(next.Annotations[v1beta1.SidecarSetHashAnnotation], s.set.Name).ControllerRevision; told != step.Target {
		w.Violate("named", "%s is told of revision %q, not %s", step.Unit, told, step.Target)
	}
}

// checkHistory checks, when everything had time to happen, that the spec is in the newest revision, which the status
// names, and that there are not too many.
func (w *World) checkHistory() {
	var newest revision.Record
	number, used := 0, map[string]bool{}
	for _, l := range w.alive() {
		used[l.last().revision] = true
	}
	for _, name := range slices.Sorted(maps.Keys(w.revisions)) {
		r := w.revisions[name]
		if r.gone {
			continue
		}
		if r.record.Number >= newest.Number {
			newest = r.record
		}
		if !used[name] {
			number++
		}
	}
	if newest.Hash != identityOf(&w.set.Spec) || w.set.Status.LatestRevision != newest.Name {
		w.Violate("reached", "the newest revision is %+v, and the status says %s", newest, w.set.Status.LatestRevision)
	}
	if limit := int(*w.set.Spec.RevisionHistoryLimit); number > max(limit, 1) {
		w.Violate("reached", "%d revisions that no pod uses, limit %d", number, limit)
	}
}

// startRevisions lists the revisions as they are.
func (m *manager) startRevisions() {
	m.revisions, m.revised = maps.Clone(m.w.revisions), map[string]int{}
}

const revisionRetry = 200 * time.Millisecond
