package rollout

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
)

func percent(s string) *intstr.IntOrString { v := intstr.FromString(s); return &v }
func number(n int) *intstr.IntOrString     { v := intstr.FromInt32(int32(n)); return &v }

func TestKeep_rounding(t *testing.T) {
	for name, c := range map[string]struct {
		partition *intstr.IntOrString
		total     int
		want      int
	}{
		"unset keeps none":                      {nil, 10, 0},
		"zero":                                  {number(0), 10, 0},
		"a number is taken as it is":            {number(980), 1000, 980},
		"a number beyond the total keeps all":   {number(12), 10, 10},
		"a number equal to the total keeps all": {number(10), 10, 10},
		"half of an odd number is rounded up":   {percent("50%"), 7, 4},
		"an exact percentage":                   {percent("90%"), 1000, 900},
		"one percent keeps at least one":        {percent("1%"), 10, 1},
		"below 100% one of many is updated":     {percent("99%"), 10, 9},
		"99% of two":                            {percent("99%"), 2, 1},
		"99% of one keeps it":                   {percent("99%"), 1, 1},
		"1% of one keeps it":                    {percent("1%"), 1, 1},
		"0% of one":                             {percent("0%"), 1, 0},
		"100% keeps all":                        {percent("100%"), 10, 10},
		"100% of two keeps both":                {percent("100%"), 2, 2},
		"nothing to keep":                       {percent("50%"), 0, 0},
		"a leading zero is a digit":             {percent("07%"), 100, 7},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Keep(c.partition, c.total)
			if err != nil || got != c.want {
				t.Errorf("Keep(%v, %d) = %d, %v; want %d", c.partition, c.total, got, err, c.want)
			}
		})
	}
}

func TestMaxUnavailable_rounding(t *testing.T) {
	for name, c := range map[string]struct {
		most  *intstr.IntOrString
		total int
		want  int
	}{
		"unset is one":                 {nil, 10, 1},
		"zero":                         {number(0), 10, 0},
		"a number is taken as it is":   {number(30), 10, 30},
		"exact":                        {percent("10%"), 1000, 100},
		"rounded up":                   {percent("10%"), 5, 1},
		"rounded up from just above 1": {percent("10%"), 11, 2},
		"0%":                           {percent("0%"), 5, 0},
		"100%":                         {percent("100%"), 5, 5},
		"of nothing":                   {percent("10%"), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := MaxUnavailable(c.most, c.total)
			if err != nil || got != c.want {
				t.Errorf("MaxUnavailable(%v, %d) = %d, %v; want %d", c.most, c.total, got, err, c.want)
			}
		})
	}
}

func TestResolve_refusesWhatIsNoNumber(t *testing.T) {
	for _, bad := range []*intstr.IntOrString{
		number(-1), percent("5"), percent("101%"), percent("-1%"), percent("%"), percent(""), percent("1.5%"),
		percent("+5%"), percent("5%%"), percent(" 5%"), percent("1000%"), percent("0100%"), percent("007%"),
	} {
		if n, err := Keep(bad, 10); err == nil {
			t.Errorf("Keep(%v) = %d, want an error", bad, n)
		}
		if n, err := MaxUnavailable(bad, 10); err == nil {
			t.Errorf("MaxUnavailable(%v) = %d, want an error", bad, n)
		}
	}
}

func TestUpAndDown_rounding(t *testing.T) {
	for name, c := range map[string]struct {
		v                     *intstr.IntOrString
		total, most, up, down int
	}{
		"a number is taken as it is":   {number(7), 5, 100, 7, 7},
		"between two numbers":          {percent("20%"), 6, 100, 2, 1},
		"exact":                        {percent("20%"), 5, 100, 1, 1},
		"just above a number":          {percent("34%"), 3, 100, 2, 1},
		"just below a number":          {percent("33%"), 3, 100, 1, 0},
		"0%":                           {percent("0%"), 5, 100, 0, 0},
		"100%":                         {percent("100%"), 5, 100, 5, 5},
		"of nothing":                   {percent("50%"), 0, 100, 0, 0},
		"more than all, where allowed": {percent("150%"), 5, 9999, 8, 7},
		"very much more":               {percent("9999%"), 1<<31 - 1, 9999, 214726889864, 214726889863},
	} {
		t.Run(name, func(t *testing.T) {
			if up, err := Up(*c.v, c.total, c.most); err != nil || up != c.up {
				t.Errorf("Up(%v of %d) = %d, %v; want %d", c.v, c.total, up, err, c.up)
			}
			if down, err := Down(*c.v, c.total, c.most); err != nil || down != c.down {
				t.Errorf("Down(%v of %d) = %d, %v; want %d", c.v, c.total, down, err, c.down)
			}
		})
	}
	if n, err := Up(*percent("10000%"), 1, 9999); err == nil {
		t.Errorf("Up(10000%%) = %d, want an error", n)
	}
}

func TestWindow_roomAndBudget(t *testing.T) {
	for name, c := range map[string]struct {
		window       Window
		room, budget int
	}{
		"untouched":                  {Window{Total: 1000, Keep: 980, MaxUnavailable: 100}, 20, 100},
		"partition reached":          {Window{Total: 1000, Keep: 980, Updated: 20, MaxUnavailable: 100}, 0, 100},
		"partition raised too late":  {Window{Total: 1000, Keep: 980, Updated: 40}, 0, 0},
		"some are unavailable":       {Window{Total: 100, Unavailable: 7, MaxUnavailable: 10}, 100, 3},
		"more than allowed are down": {Window{Total: 100, Unavailable: 17, MaxUnavailable: 10}, 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if room, budget := c.window.Room(), c.window.Budget(); room != c.room || budget != c.budget {
				t.Errorf("%+v: room %d, budget %d; want %d, %d", c.window, room, budget, c.room, c.budget)
			}
		})
	}
}
