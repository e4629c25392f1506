package scale

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// cluster is the simplest world in which Count's answers can be carried out: Pods that become available at some time,
// and a controller that does the first thing there is to do. It checks every single deed.
type cluster struct {
	limits Limits
	// same: there is one revision only. Then no Pod is old, unless its template was given up.
	same bool
	// inPlace: an update changes the Pod, else it marks it for deletion.
	inPlace bool
	// hook: a Pod that is deleted waits until it is let go.
	hook bool
	pods []*pod
	born int
	// wrong is what must not have been done.
	wrong []string
}

type pod struct {
	born                                  int
	old, specified, preparing, available_ bool
}

func (p *pod) available() bool { return p.available_ && !p.preparing }

func newCluster(l Limits, old, new int) *cluster {
	c := &cluster{limits: l}
	for range old {
		c.add(true).available_ = true
	}
	for range new {
		c.add(false).available_ = true
	}
	return c
}

func (c *cluster) add(old bool) *pod {
	c.born++
	c.pods = append(c.pods, &pod{born: c.born, old: old})
	return c.pods[len(c.pods)-1]
}

func (c *cluster) groups() (old, new Group) {
	for _, p := range c.pods {
		g := &new
		if p.old {
			g = &old
		}
		g.Add(Member{Specified: p.specified, PreparingDelete: p.preparing, Available: p.available()})
	}
	return old, new
}

func (c *cluster) count() Numbers {
	old, new := c.groups()
	limits := c.limits
	limits.InPlace = c.inPlace
	return Count(limits, old, new, c.same)
}

// round does the first thing there is to do, and tells it; "" if there is none.
func (c *cluster) round() string {
	c.settleRevision()
	n := c.count()
	for _, do := range []func(Numbers) string{c.revive, c.create, c.deleteSpecified, c.scaleIn, c.update} {
		if did := do(n); did != "" {
			return did
		}
	}
	return ""
}

// settleRevision: the update revision becomes the current one when all Pods have it.
func (c *cluster) settleRevision() {
	old, new := c.groups()
	if old.Total == 0 && new.Total == c.limits.Replicas {
		c.same = true
	}
}

func (c *cluster) must(ok bool, format string, args ...any) {
	if !ok {
		c.wrong = append(c.wrong, fmt.Sprintf(format, args...)+fmt.Sprintf(" (%s, %+v, %+v)", c, c.limits, c.count()))
	}
}

// takeDown is called before an available Pod stops to serve by our doing.
func (c *cluster) takeDown(p *pod) {
	old, new := c.groups()
	if p.available() {
		c.must(old.Available+new.Available > c.limits.Replicas-c.limits.MaxUnavailable, "%s takes down pod %d", c, p.born)
	}
}

func (c *cluster) revive(n Numbers) string {
	for _, p := range c.pods {
		if !p.preparing || p.specified || n.Revive == 0 || p.old && n.ReviveOld == 0 || !p.old && n.Revive == n.ReviveOld {
			continue
		}
		p.preparing, p.available_ = false, false
		return "revive 1" + side(p)
	}
	c.must(n.Revive == 0, "revive %d", n.Revive)
	return ""
}

func (c *cluster) create(n Numbers) string {
	for i := range n.Create {
		old, new := c.groups()
		if c.limits.ExcludePreparingDelete {
			old, new = old.withoutPreparing(), new.withoutPreparing()
		}
		c.must(old.Total+new.Total < c.limits.Replicas+c.limits.Surge, "create")
		c.must(i >= n.CreateOld || old.Total < c.limits.Keep+c.limits.Surge, "create old")
		c.add(i < n.CreateOld)
	}
	return told("create", n.CreateOld, n.Create-n.CreateOld)
}

func (c *cluster) deleteSpecified(n Numbers) string {
	var gone [2]int
	for _, p := range slices.Clone(c.pods) {
		if !p.specified || p.preparing || p.available() && n.DeleteReady == 0 {
			continue
		}
		if p.available() {
			n.DeleteReady--
		}
		gone[index(p)]++
		c.delete(p)
	}
	return told("delete specified", gone[0], gone[1])
}

func (c *cluster) scaleIn(n Numbers) string {
	var staying []*pod
	var candidates []Candidate
	for _, p := range c.pods {
		if !p.specified && !p.preparing {
			staying = append(staying, p)
			candidates = append(candidates, Candidate{
				Old: p.old, Scheduled: true, Phase: corev1.PodRunning, Available: p.available(), Ready: p.available(), Created: int64(p.born),
			})
		}
	}
	var gone [2]int
	chosen := n.Choose(nil, candidates)
	c.must(len(chosen) == n.Delete, "%d chosen of %d", len(chosen), n.Delete)
	for _, i := range chosen {
		p := staying[i]
		if p.available() && n.DeleteReady == 0 {
			continue
		}
		if p.available() {
			n.DeleteReady--
		}
		old, new := c.groups()
		c.must(old.staying()+new.staying() > c.limits.Replicas, "scale in")
		c.must(!p.old || old.staying() > c.limits.Keep || new.staying() <= c.limits.Replicas-c.limits.Keep, "scale in past the partition")
		gone[index(p)]++
		c.delete(p)
	}
	return told("delete", gone[0], gone[1])
}

func (c *cluster) delete(p *pod) {
	c.takeDown(p)
	if c.hook {
		p.preparing = true
		return
	}
	c.release(p)
}

func (c *cluster) release(p *pod) {
	c.pods = slices.DeleteFunc(c.pods, func(q *pod) bool { return q == p })
}

func (c *cluster) update(n Numbers) string {
	var updated [2]int
	candidates := slices.Clone(c.pods)
	slices.SortStableFunc(candidates, func(a, b *pod) int { return number(a.available()) - number(b.available()) })
	for _, p := range candidates {
		switch {
		case n.UpdateNow == 0 || p.specified || p.preparing || p.old != (n.Update > 0) || p.available() && n.UpdateReady == 0:
			continue
		case p.available():
			n.UpdateReady--
		}
		n.UpdateNow--
		old, new := c.groups()
		if p.old {
			c.must(old.staying() > c.limits.Keep, "update past the partition")
		} else {
			c.must(c.limits.RollBack && !c.same && new.staying() > c.limits.Replicas-c.limits.Keep, "bring back past the partition")
		}
		c.must(!c.limits.Frozen, "update although frozen")
		updated[index(p)]++
		if c.inPlace {
			c.takeDown(p)
			p.old, p.available_ = !p.old, false
		} else {
			p.specified = true
		}
	}
	return told("update", updated[0], updated[1])
}

// settle lets every Pod become available, and lets go those that wait for it.
func (c *cluster) settle() {
	for _, p := range slices.Clone(c.pods) {
		p.available_ = true
		if p.preparing {
			c.release(p)
		}
	}
}

// String tells the Pods: 4o1o+1n* are 4 old, 1 old marked, 1 new that does not serve, 1n- prepares its deletion.
func (c *cluster) String() string {
	var kinds []string
	counts := map[string]int{}
	for _, p := range c.pods {
		kind := "n"
		if p.old {
			kind = "o"
		}
		switch {
		case p.preparing:
			kind += "-"
		case p.specified:
			kind += "+"
		}
		if !p.available() && !p.preparing {
			kind += "*"
		}
		if counts[kind]++; counts[kind] == 1 {
			kinds = append(kinds, kind)
		}
	}
	slices.SortFunc(kinds, func(a, b string) int { return strings.Compare(b[:1]+a, a[:1]+b) })
	var b strings.Builder
	for _, kind := range kinds {
		fmt.Fprintf(&b, "%d%s", counts[kind], kind)
	}
	return b.String()
}

// columns are what kubectl get clone shows: DESIRED UPDATED UPDATED_READY READY TOTAL.
func (c *cluster) columns() string {
	old, new := c.groups()
	return fmt.Sprint(c.limits.Replicas, new.Total, new.Available, old.Available+new.Available, len(c.pods))
}

func told(verb string, old, new int) string {
	var parts []string
	if old > 0 {
		parts = append(parts, fmt.Sprintf("%d old", old))
	}
	if new > 0 {
		parts = append(parts, fmt.Sprintf("%d new", new))
	}
	if len(parts) == 0 {
		return ""
	}
	return verb + " " + strings.Join(parts, ", ")
}

func side(p *pod) string {
	if p.old {
		return " old"
	}
	return " new"
}

func index(p *pod) int { return 1 - number(p.old) }

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
