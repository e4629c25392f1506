package scale

import (
	"testing"

	"pgregory.net/rapid"
)

func drawLimits(t *rapid.T) Limits {
	replicas := rapid.IntRange(0, 8).Draw(t, "replicas")
	l := Limits{
		Replicas: replicas, Keep: rapid.IntRange(0, replicas).Draw(t, "keep"),
		Surge: rapid.IntRange(0, 3).Draw(t, "surge"), MaxUnavailable: rapid.IntRange(0, 3).Draw(t, "maxUnavailable"),
		ScaleMaxUnavailable:    rapid.SampledFrom([]int{Unlimited, 1, 3}).Draw(t, "scaleMaxUnavailable"),
		ExcludePreparingDelete: rapid.Bool().Draw(t, "exclude"), RollBack: rapid.Bool().Draw(t, "rollBack"),
		Frozen: rapid.IntRange(0, 5).Draw(t, "frozen") == 0,
	}
	if l.Surge == 0 || l.Frozen {
		l.Surge, l.MaxUnavailable = 0, max(1, l.MaxUnavailable) // others are refused
	}
	return l
}

// Whatever happens, no deed of the controller takes down a Pod that is needed, goes past the partition, or creates
// more than there may be (cluster checks each). And when nothing more happens, all ends as it is wanted.
func TestCount_neverTooManyNorTooFewAndEndsAsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(drawLimits(t), 0, 0)
		for range rapid.IntRange(0, c.limits.Replicas).Draw(t, "old") {
			c.add(true).available_ = true
		}
		for len(c.pods) < c.limits.Replicas {
			c.add(false).available_ = true
		}
		c.inPlace, c.hook = rapid.Bool().Draw(t, "in place"), rapid.Bool().Draw(t, "hook")
		events := map[string]func(*rapid.T){
			"round": func(*rapid.T) { c.round() },
			"":      func(*rapid.T) { c.check(t) },
			"change the spec": func(t *rapid.T) {
				c.limits = drawLimits(t)
			},
			"new template": func(*rapid.T) {
				c.same = false
				for _, p := range c.pods {
					p.old = true
				}
			},
			"serve or fail": func(t *rapid.T) {
				if p := c.any(t); p != nil {
					p.available_ = !p.available_
				}
			},
			"user wants one deleted": func(t *rapid.T) {
				if p := c.any(t); p != nil {
					p.specified = true
				}
			},
			"let go": func(t *rapid.T) {
				if p := c.any(t); p != nil && p.preparing {
					c.release(p)
				}
			},
		}
		t.Repeat(events)
		c.ends(t)
	})
}

// When all Pods serve in the beginning and none fails, never fewer than replicas - maxUnavailable do, and there are
// never more than replicas + maxSurge.
func TestCount_staysInTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLimits(t)
		l.ScaleMaxUnavailable = Unlimited
		old := rapid.IntRange(0, l.Replicas).Draw(t, "old")
		c := newCluster(l, old, l.Replicas-old)
		c.inPlace = rapid.Bool().Draw(t, "in place")
		for range rapid.IntRange(0, 3).Draw(t, "specified") {
			if p := c.any(t); p != nil {
				p.specified = true
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"round": func(*rapid.T) { c.round() },
			"serve": func(t *rapid.T) {
				if p := c.any(t); p != nil {
					p.available_ = true
				}
			},
			"": func(t *rapid.T) {
				c.check(t)
				before, after := c.groups()
				all := before.plus(after)
				if all.Available < l.Replicas-l.MaxUnavailable || all.Total > l.Replicas+l.Surge {
					t.Fatalf("%s with %+v", c, l)
				}
			},
		})
		c.ends(t)
	})
}

func (c *cluster) any(t *rapid.T) *pod {
	if len(c.pods) == 0 {
		return nil
	}
	return c.pods[rapid.IntRange(0, len(c.pods)-1).Draw(t, "pod")]
}

func (c *cluster) check(t *rapid.T) {
	for _, wrong := range c.wrong {
		t.Fatal(wrong)
	}
}

// ends lets everything come to rest, and checks what there is then.
func (c *cluster) ends(t *rapid.T) {
	from, rounds := c.String(), 0
	for idle := 0; idle < 2; rounds++ {
		if did := c.round(); did != "" {
			idle = 0
		} else {
			idle++
			c.settle()
		}
		c.check(t)
		if rounds > 200 {
			t.Fatalf("no end: from %s, now %s, %+v", from, c, c.limits)
		}
	}
	old, new := c.groups()
	l := c.limits
	rest := "from " + from + " to " + c.String()
	if len(c.pods) != l.Replicas || old.specified()+new.specified() > 0 {
		t.Fatalf("%s: want %d Pods, none of them specified; %+v", rest, l.Replicas, l)
	}
	if !l.Frozen && old.Total > l.Keep {
		t.Fatalf("%s: want at most %d old; %+v", rest, l.Keep, l)
	}
	if !l.Frozen && l.RollBack && !c.same && old.Total != l.Keep {
		t.Fatalf("%s: want %d old; %+v", rest, l.Keep, l)
	}
}
