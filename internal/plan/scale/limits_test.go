package scale

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func value(s string) *intstr.IntOrString {
	if s == "" {
		return nil
	}
	v := intstr.Parse(s)
	return &v
}

func TestLimitsOf(t *testing.T) {
	for name, c := range map[string]struct {
		replicas                                 int
		partition, surge, unavailable, scaleMost string
		paused, onDelete                         bool
		want                                     Limits
	}{
		"all defaults":                        {5, "", "", "", "", false, false, Limits{MaxUnavailable: 1}},
		"default, rounded up without surge":   {6, "", "", "", "", false, false, Limits{MaxUnavailable: 2}},
		"default, rounded down with surge":    {6, "", "1", "", "", false, false, Limits{Surge: 1, MaxUnavailable: 1}},
		"scenario row 57":                     {5, "3", "20%", "0", "", false, false, Limits{Keep: 3, Surge: 1}},
		"the comment's example":               {6, "50%", "20%", "20%", "", false, false, Limits{Keep: 3, Surge: 2, MaxUnavailable: 1}},
		"percentages that are exact":          {10, "30%", "20%", "20%", "10%", false, false, Limits{Keep: 3, Surge: 2, MaxUnavailable: 2, ScaleMaxUnavailable: 1}},
		"0% surge is none":                    {6, "", "0%", "20%", "", false, false, Limits{MaxUnavailable: 2}},
		"surge of more than all":              {5, "", "150%", "0", "", false, false, Limits{Surge: 8}},
		"numbers are taken as they are":       {5, "2", "7", "9", "11", false, false, Limits{Keep: 2, Surge: 7, MaxUnavailable: 9, ScaleMaxUnavailable: 11}},
		"partition beyond replicas":           {5, "7", "", "1", "", false, false, Limits{Keep: 5, MaxUnavailable: 1}},
		"partition below 100% updates one":    {5, "99%", "", "1", "", false, false, Limits{Keep: 4, MaxUnavailable: 1}},
		"partition 100%":                      {5, "100%", "", "1", "", false, false, Limits{Keep: 5, MaxUnavailable: 1}},
		"partition of one":                    {1, "1%", "", "1", "", false, false, Limits{Keep: 1, MaxUnavailable: 1}},
		"no replicas":                         {0, "50%", "50%", "50%", "50%", false, false, Limits{}},
		"paused has no surge, and rounds up":  {6, "2", "20%", "20%", "", true, false, Limits{Keep: 2, MaxUnavailable: 2, Frozen: true}},
		"OnDelete rounds down":                {9, "2", "50%", "", "", false, true, Limits{MaxUnavailable: 1, Frozen: true}},
		"OnDelete, exact":                     {10, "", "", "", "", false, true, Limits{MaxUnavailable: 2, Frozen: true}},
		"OnDelete, few: one may be replaced":  {4, "", "", "", "", false, true, Limits{MaxUnavailable: 1, Frozen: true}},
		"OnDelete, none may be unavailable":   {4, "", "", "0", "", false, true, Limits{Frozen: true}},
		"OnDelete, 0%":                        {4, "", "", "0%", "", false, true, Limits{Frozen: true}},
		"scale maxUnavailable is rounded up":  {5, "", "", "1", "10%", false, false, Limits{MaxUnavailable: 1, ScaleMaxUnavailable: 1}},
		"scale maxUnavailable 0 creates none": {5, "", "", "1", "0", false, false, Limits{MaxUnavailable: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Replicas = c.replicas
			if c.scaleMost == "" {
				c.want.ScaleMaxUnavailable = Unlimited
			}
			got, err := LimitsOf(c.replicas, value(c.partition), value(c.surge), value(c.unavailable), value(c.scaleMost), c.paused, c.onDelete)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLimitsOf_namesTheWrongField(t *testing.T) {
	for name, c := range map[string]struct{ partition, surge, unavailable, scaleMost string }{
		"partition":                    {partition: "101%"},
		"maxSurge":                     {surge: "10000%"},
		"maxUnavailable":               {unavailable: "-1"},
		"scaleStrategy.maxUnavailable": {scaleMost: "many"},
	} {
		for _, onDelete := range []bool{false, true} {
			_, err := LimitsOf(5, value(c.partition), value(c.surge), value(c.unavailable), value(c.scaleMost), false, onDelete)
			if err == nil || !strings.HasPrefix(err.Error(), name+": ") {
				t.Errorf("%s is wrong: error is %v", name, err)
			}
		}
	}
}
