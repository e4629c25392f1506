package scale

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tell runs rounds until there is nothing more to do; when there is nothing to do now, all Pods become available.
func tell(c *cluster) (story []string) {
	for quiet := 0; quiet < 2 && len(story) < 500; {
		before := c.String()
		did := c.round()
		if did == "" {
			if quiet++; quiet == 1 {
				c.settle()
			}
			continue
		}
		quiet = 0
		story = append(story, before+" "+did)
	}
	return append(slices.Concat(story, c.wrong), c.String())
}

// Scenario rows 57 to 60 with their columns, and the trace of the CloneSet specification.
func TestCount_surgeExampleStepByStep(t *testing.T) {
	c := newCluster(Limits{Replicas: 5, Keep: 3, Surge: 1, ScaleMaxUnavailable: Unlimited}, 5, 0)
	step := func(want, columns string) {
		t.Helper()
		if did := c.round(); did != want || c.columns() != columns {
			t.Errorf("%q, %s; want %q, %s", did, c.columns(), want, columns)
		}
	}
	step("create 1 new", "5 1 0 5 6") // row 57
	step("", "5 1 0 5 6")
	c.settle()
	step("update 1 old", "5 1 1 6 6")
	step("delete specified 1 old", "5 1 1 5 5")
	step("create 1 new", "5 2 1 5 6")
	step("", "5 2 1 5 6")
	c.settle()
	step("delete 1 old", "5 2 2 5 5") // row 58: an old one is the surplus
	step("", "5 2 2 5 5")
	c.limits.Keep = 0
	step("create 1 new", "5 3 2 5 6") // row 59
	want := []string{
		"3o3n update 1 old",
		"2o1o+3n delete specified 1 old",
		"2o3n create 1 new",
		"2o4n update 1 old",
		"1o1o+4n delete specified 1 old",
		"1o4n create 1 new",
		"1o5n delete 1 old",
		"5n",
	}
	if diff := cmp.Diff(want, tell(c)); diff != "" {
		t.Error(diff)
	}
	step("", "5 5 5 5 5") // row 60
}

func TestCount_stories(t *testing.T) {
	for name, c := range map[string]struct {
		limits   Limits
		old, new int
		change   func(*cluster)
		want     []string
	}{
		"a new CloneSet": {Limits{Replicas: 3, Keep: 2, MaxUnavailable: 1}, 0, 0,
			func(c *cluster) { c.same = true }, []string{" create 3 new", "3n"}},
		"a window of two, without surge": {Limits{Replicas: 3, Keep: 0, MaxUnavailable: 2}, 3, 0,
			func(c *cluster) { c.inPlace = true }, []string{"3o update 2 old", "1o2n update 1 old", "3n"}},
		"recreated": {Limits{Replicas: 3, Keep: 1, MaxUnavailable: 1}, 3, 0, nil, []string{
			"3o update 1 old", "2o1o+ delete specified 1 old", "2o create 1 new",
			"2o1n update 1 old", "1o1o+1n delete specified 1 old", "1o1n create 1 new", "1o2n",
		}},
		"in place with surge": {Limits{Replicas: 3, Keep: 0, Surge: 1}, 3, 0,
			func(c *cluster) { c.inPlace = true }, []string{"3o create 1 new", "3o1n update 1 old", "2o2n update 1 old", "1o3n update 1 old", "4n delete 1 new", "3n"}},
		"scaled out, the partition stays": {Limits{Replicas: 8, Keep: 3, MaxUnavailable: 1}, 3, 2,
			nil, []string{"3o2n create 3 new", "3o5n"}},
		"scaled out, the partition grows, as a percentage does": {Limits{Replicas: 10, Keep: 6, MaxUnavailable: 1}, 3, 2,
			nil, []string{"3o2n create 3 old, 2 new", "6o4n"}},
		"scaled in, old ones first": {Limits{Replicas: 4, Keep: 1, MaxUnavailable: 1}, 3, 4,
			nil, []string{"3o4n delete 2 old, 1 new", "1o3n"}},
		"a partition that is raised keeps what is new": {Limits{Replicas: 5, Keep: 5, MaxUnavailable: 1}, 3, 2,
			nil, []string{"3o2n"}},
		"with the gate it brings them back": {Limits{Replicas: 5, Keep: 5, MaxUnavailable: 1, RollBack: true}, 3, 2,
			func(c *cluster) { c.inPlace = true }, []string{"3o2n update 1 new", "4o1n update 1 new", "5o"}},
		"with surge by old ones": {Limits{Replicas: 5, Keep: 5, Surge: 2, RollBack: true}, 3, 2, nil, []string{
			"3o2n create 2 old", "5o2n delete 2 new", "5o",
		}},
		"paused": {Limits{Replicas: 5, MaxUnavailable: 1, Frozen: true}, 3, 2, nil, []string{"3o2n"}},
		"paused, one is to be replaced": {Limits{Replicas: 3, Keep: 3, MaxUnavailable: 1, Frozen: true}, 3, 0,
			func(c *cluster) { c.pods[0].specified = true }, []string{"2o1o+ delete specified 1 old", "2o create 1 old", "3o"}},
		"none may be missing: created before it is deleted": {Limits{Replicas: 3, Keep: 3, Surge: 1}, 3, 0,
			func(c *cluster) { c.pods[0].specified = true }, []string{"2o1o+ create 1 old", "3o1o+ delete specified 1 old", "3o"}},
		"scaled in by name": {Limits{Replicas: 2, MaxUnavailable: 1}, 0, 3,
			func(c *cluster) { c.pods[2].specified = true }, []string{"2n1n+ delete specified 1 new", "2n"}},
		"scaled in by name and further": {Limits{Replicas: 1, MaxUnavailable: 1}, 0, 3,
			func(c *cluster) { c.pods[2].specified = true }, []string{"2n1n+ delete specified 1 new", "2n delete 1 new", "1n"}},
		"a hook that waits, then scaled out: taken back": {Limits{Replicas: 3, MaxUnavailable: 1}, 0, 3,
			func(c *cluster) { c.pods[1].preparing = true }, []string{"2n1n- revive 1 new", "3n"}},
		"a specified one is not taken back": {Limits{Replicas: 3, MaxUnavailable: 1}, 0, 3,
			func(c *cluster) { c.pods[1].preparing, c.pods[1].specified = true, true }, []string{"2n create 1 new", "3n"}},
		"excluded: another at once": {Limits{Replicas: 3, MaxUnavailable: 1, ExcludePreparingDelete: true}, 0, 3,
			func(c *cluster) { c.pods[1].preparing = true }, []string{"2n1n- create 1 new", "3n"}},
		"who prepares its deletion is not too many twice": {Limits{Replicas: 3, MaxUnavailable: 1}, 0, 5,
			func(c *cluster) { c.pods[1].preparing = true }, []string{"4n1n- delete 1 new", "3n"}},
		"a template given up": {Limits{Replicas: 3, MaxUnavailable: 1}, 2, 1,
			func(c *cluster) { c.same, c.inPlace = true, true }, []string{"2o1n update 1 old", "1o2n update 1 old", "3n"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.limits.ScaleMaxUnavailable = Unlimited
			cluster := newCluster(c.limits, c.old, c.new)
			if c.change != nil {
				c.change(cluster)
			}
			if diff := cmp.Diff(c.want, tell(cluster)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a story does not show: numbers that hold something back.
func TestCount_numbers(t *testing.T) {
	group := func(total, unavailable, toDelete int) Group {
		return Group{Total: total, Active: total, ToDelete: toDelete, Unavailable: unavailable, Available: total - unavailable}
	}
	for name, c := range map[string]struct {
		limits   Limits
		old, new Group
		want     Numbers
	}{
		"creation is limited by what is unavailable": {
			Limits{Replicas: 10, ScaleMaxUnavailable: 3}, Group{}, group(4, 1, 0),
			Numbers{Create: 2, Limited: 4, DeleteReady: 0, MaxUnavailable: -6},
		},
		"and not at all while too many are": {
			Limits{Replicas: 10, Keep: 10, ScaleMaxUnavailable: 3}, group(5, 4, 0), Group{},
			Numbers{Limited: 5, MaxUnavailable: -5},
		},
		"who prepares its deletion is unavailable": {
			Limits{Replicas: 10, ScaleMaxUnavailable: 3}, Group{}, Group{Total: 4, Active: 3, PreparingDelete: 1, Available: 2, Unavailable: 1},
			Numbers{Create: 1, Limited: 5, MaxUnavailable: -6},
		},
		"a limited creation starts with the old ones": {
			Limits{Replicas: 10, Keep: 4, ScaleMaxUnavailable: 5}, group(1, 0, 0), group(1, 0, 0),
			Numbers{Create: 5, CreateOld: 3, Limited: 3, MaxUnavailable: -8},
		},
		"surge is capped": {
			Limits{Replicas: 10, Surge: 3, MaxUnavailable: 0, ScaleMaxUnavailable: Unlimited}, group(10, 0, 0), Group{},
			Numbers{Create: 3, Surge: 3, Update: 10},
		},
		"no more surge than the side needs that is short": {
			Limits{Replicas: 5, Keep: 3, Surge: 3, ScaleMaxUnavailable: Unlimited}, group(5, 0, 0), group(1, 1, 0),
			Numbers{Surge: 1, Update: 1, MaxUnavailable: 1},
		},
		"nobody is taken back to be surge": {
			Limits{Replicas: 3, Surge: 1, ScaleMaxUnavailable: Unlimited}, Group{Total: 4, Active: 3, PreparingDelete: 1, Revivable: 1, Available: 3}, Group{},
			Numbers{Surge: 1, Update: 3, UpdateNow: 1, MaxUnavailable: 1},
		},
		"what can be spared needs no surge": {
			Limits{Replicas: 10, Surge: 3, MaxUnavailable: 2, ScaleMaxUnavailable: Unlimited}, Group{}, group(10, 0, 2),
			Numbers{MaxUnavailable: 2, DeleteReady: 2},
		},
		"what cannot does": {
			Limits{Replicas: 10, Surge: 3, MaxUnavailable: 2, ScaleMaxUnavailable: Unlimited}, Group{}, group(10, 1, 2),
			Numbers{Create: 1, MaxUnavailable: 2, DeleteReady: 1, Surge: 1},
		},
		"also while one of them prepares its deletion": {
			Limits{Replicas: 5, Surge: 2, MaxUnavailable: 1, ScaleMaxUnavailable: Unlimited}, Group{},
			Group{Total: 5, Active: 4, PreparingDelete: 1, ToDelete: 2, Available: 4},
			Numbers{Create: 2, Surge: 2, MaxUnavailable: 1},
		},
		"the surplus is not taken from those that replace old ones": {
			Limits{Replicas: 5, Keep: 3, Surge: 1, ScaleMaxUnavailable: Unlimited}, group(5, 0, 1), group(3, 0, 0),
			Numbers{Delete: 1, Surge: 1, MaxUnavailable: 3, DeleteReady: 3},
		},
		"a new one that is broken counts, also if it is specified or prepares its deletion": {
			Limits{Replicas: 10, MaxUnavailable: 3, ScaleMaxUnavailable: Unlimited}, group(8, 4, 0),
			Group{Total: 2, Active: 1, PreparingDelete: 1, ToDelete: 1},
			Numbers{MaxUnavailable: 3, Update: 8, UpdateNow: 1},
		},
		"who is deleted anyway is not brought back": {
			Limits{Replicas: 10, Keep: 8, MaxUnavailable: 4, ScaleMaxUnavailable: Unlimited, RollBack: true}, group(5, 0, 0), group(5, 0, 2),
			Numbers{MaxUnavailable: 4, DeleteReady: 4, Update: -1, UpdateNow: 1, UpdateReady: 1},
		},
		"bringing back stops if those brought back do not work": {
			Limits{Replicas: 10, Keep: 8, MaxUnavailable: 4, ScaleMaxUnavailable: Unlimited, RollBack: true}, group(5, 3, 0), group(5, 0, 0),
			Numbers{MaxUnavailable: 4, DeleteReady: 1, Update: -3, UpdateNow: 1, UpdateReady: 1},
		},
		"a version that does not work stops the rollout, even where the old one did not either": {
			Limits{Replicas: 10, MaxUnavailable: 2, ScaleMaxUnavailable: Unlimited}, group(8, 5, 0), group(2, 2, 0),
			Numbers{MaxUnavailable: 2, Update: 8},
		},
		"unavailable ones are updated though no available one may be": {
			Limits{Replicas: 10, MaxUnavailable: 2, ScaleMaxUnavailable: Unlimited}, group(9, 5, 0), group(1, 0, 0),
			Numbers{MaxUnavailable: 2, Update: 9, UpdateNow: 2},
		},
		"who is deleted anyway is not updated, but counts as missing": {
			Limits{Replicas: 10, Keep: 5, MaxUnavailable: 3, ScaleMaxUnavailable: Unlimited}, group(10, 0, 2), Group{},
			Numbers{MaxUnavailable: 3, DeleteReady: 3, Update: 3, UpdateNow: 3, UpdateReady: 1},
		},
		"an unavailable one that is specified does not let another go": {
			Limits{Replicas: 5, MaxUnavailable: 1, ScaleMaxUnavailable: Unlimited}, Group{},
			Group{Total: 5, Active: 5, ToDelete: 2, Available: 4},
			Numbers{MaxUnavailable: 1},
		},
		"both sides have too few: scaling comes first, nothing is brought back": {
			Limits{Replicas: 10, Keep: 5, MaxUnavailable: 10, ScaleMaxUnavailable: Unlimited, RollBack: true}, group(4, 0, 0), group(2, 0, 0),
			Numbers{Create: 4, CreateOld: 1, MaxUnavailable: 6, DeleteReady: 6},
		},
		"both have too many": {
			Limits{Replicas: 6, Keep: 3, MaxUnavailable: 1, ScaleMaxUnavailable: Unlimited, RollBack: true}, group(6, 0, 0), group(4, 0, 0),
			Numbers{Delete: 4, DeleteOld: 3, MaxUnavailable: 5, DeleteReady: 5},
		},
		"the old ones are taken back first, as far as the partition keeps them": {
			Limits{Replicas: 6, Keep: 3, MaxUnavailable: 1, ScaleMaxUnavailable: Unlimited},
			Group{Total: 4, Active: 2, PreparingDelete: 2, Available: 2, Revivable: 2},
			Group{Total: 4, Active: 2, PreparingDelete: 2, Available: 2, Revivable: 2},
			Numbers{Revive: 2, ReviveOld: 1, MaxUnavailable: 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Count(c.limits, c.old, c.new, false)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
