package clusternet

import (
	"net/netip"
	"testing"
)

func TestPlan_addresses(t *testing.T) {
	first, last := Plan{}, Plan{Block: blocks - 1}
	for got, want := range map[string]string{
		first.Machine().String():           "198.18.0.1",
		first.Registry().String():          "198.18.0.2",
		first.Node(0).String():             "198.18.0.10",
		first.Pods(0).String():             "198.18.1.0/24",
		first.APIServer().String():         "198.18.15.1",
		first.Prefix().String():            "198.18.0.0/20",
		last.Prefix().String():             "198.19.240.0/20",
		last.Pods(MaxNodes - 1).String():   "198.19.252.0/24",
		last.Services().String():           "198.19.255.0/24",
		last.Node(MaxNodes - 1).String():   "198.19.240.21",
		Plan{Block: 1}.Services().String(): "198.18.31.0/24",
		LinkName("1a2b3c4d"):               "dc1a2b3c4d",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if first.Pods(MaxNodes - 1).Overlaps(first.Services()) {
		t.Error("the last node's pods have addresses of Services")
	}
}

func TestChoose(t *testing.T) {
	used := func(prefixes ...string) (all []netip.Prefix) {
		for _, p := range prefixes {
			all = append(all, netip.MustParsePrefix(p))
		}
		return all
	}
	tests := map[string]struct {
		wish    int
		used    []netip.Prefix
		want    int
		refused bool
	}{
		"nothing is used":                {want: 0},
		"the wish is free":               {wish: 7, want: 7},
		"the wish is used":               {wish: 7, used: used("198.18.112.1/24"), want: 0},
		"the first ones are used":        {used: used("198.18.0.1/24", "198.18.31.1/32"), want: 2},
		"a default route is no use":      {used: used("0.0.0.0/0", "128.0.0.0/1"), want: 0},
		"a network of the machine's own": {used: used("198.18.0.0/16"), want: 16},
		"all are used":                   {used: used("198.18.0.0/15"), refused: true},
		"a wish that is none":            {wish: 99, want: 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := choose(Plan{tt.wish}, tt.used)
			if (err != nil) != tt.refused || got.Block != tt.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
