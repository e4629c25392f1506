package scale

// Member is what counts of one Pod: active (it neither ended nor is being deleted) and owned.
type Member struct {
	// Specified: somebody wants this Pod deleted, by podsToDelete or by the label specified-delete.
	Specified bool
	// PreparingDelete: it is going to be deleted as soon as its hook lets it go.
	PreparingDelete bool
	// Available: it serves. A Pod that prepares its deletion does not, whatever is said here.
	Available bool
}

// Group counts the Pods of one side: old, all that have not the update revision, or new. Add counts; the zero Group is
// empty.
type Group struct {
	Total int
	// Total is Active and PreparingDelete together.
	Active, PreparingDelete int
	// ToDelete are the active ones that are specified.
	ToDelete int
	// Unavailable are the active ones that neither are specified nor serve.
	Unavailable int
	// Available are the active ones that serve, specified or not.
	Available int
	// Revivable are the PreparingDelete ones that nobody specified: they were too many when they were chosen.
	Revivable int
}

// Add counts one more Pod.
func (g *Group) Add(m Member) {
	g.Total++
	if m.PreparingDelete {
		g.PreparingDelete++
		if !m.Specified {
			g.Revivable++
		}
		return
	}
	g.Active++
	switch {
	case m.Specified:
		g.ToDelete++
	case !m.Available:
		g.Unavailable++
	}
	if m.Available {
		g.Available++
	}
}

// staying are the Pods that nobody is going to delete.
func (g Group) staying() int { return g.Active - g.ToDelete }

// specified are all that somebody wants deleted, those included that prepare it.
func (g Group) specified() int { return g.ToDelete + g.PreparingDelete - g.Revivable }

// notAvailable are all that do not serve, for whatever reason.
func (g Group) notAvailable() int { return g.Total - g.Available }

// withoutPreparing is the Group as if the Pods that prepare their deletion were gone.
func (g Group) withoutPreparing() Group {
	g.Total, g.PreparingDelete, g.Revivable = g.Active, 0, 0
	return g
}

func (g Group) plus(h Group) Group {
	return Group{
		Total: g.Total + h.Total, Active: g.Active + h.Active, PreparingDelete: g.PreparingDelete + h.PreparingDelete,
		ToDelete: g.ToDelete + h.ToDelete, Unavailable: g.Unavailable + h.Unavailable, Available: g.Available + h.Available,
		Revivable: g.Revivable + h.Revivable,
	}
}
