package app

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMetrics_areDocumented holds docs/metrics.md against the code: every metric with every label, and nothing else.
func TestMetrics_areDocumented(t *testing.T) {
	registry := &descriptions{}
	if err := newMetrics().register(registry); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(outrigger_[a-z_]+)` \\| \\w+ \\| ([^|]+) \\|").FindAllStringSubmatch(string(page), -1) {
		labels := strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(row[2]), "`", ""), ", ", ",")
		documented = append(documented, row[1]+" "+strings.TrimSuffix(labels, "none"))
	}
	slices.Sort(documented)
	slices.Sort(registry.all)
	if !slices.Equal(documented, registry.all) {
		t.Errorf("docs/metrics.md has\n%q\nthe code has\n%q", documented, registry.all)
	}
	for _, name := range regexp.MustCompile(`outrigger_[a-z_]+`).FindAllString(string(page), -1) {
		if !slices.ContainsFunc(registry.all, func(d string) bool { return strings.HasPrefix(d, name+" ") }) {
			t.Errorf("docs/metrics.md speaks of %s, which is no metric", name)
		}
	}
}

// descriptions is a registry that only keeps what metrics are called, as "name label,label".
type descriptions struct {
	prometheus.Registerer
	all []string
}

func (d *descriptions) Register(c prometheus.Collector) error {
	described := make(chan *prometheus.Desc, 100)
	c.Describe(described)
	close(described)
	form := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for desc := range described {
		m := form.FindStringSubmatch(desc.String())
		d.all = append(d.all, m[1]+" "+m[2])
	}
	return nil
}
