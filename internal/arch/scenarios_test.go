package arch

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lastRow is the number of the last scenario that is built: those about SidecarSets, CloneSets and PodProbeMarkers.
const lastRow = 72

// TestScenarios_everyRowHasItsTest: docs/scenarios.md is the one place that says which product test checks which
// founding scenario, and a test is named after its rows. What both say is the same, so neither can rot.
func TestScenarios_everyRowHasItsTest(t *testing.T) {
	tests, documented := testsOfRows(t), documentedRows(t)
	for row := 1; row <= lastRow; row++ {
		cell, ok := documented[row]
		if !ok {
			t.Errorf("docs/scenarios.md has no row %d", row)
			continue
		}
		if len(tests[row]) == 0 {
			if reason, none := strings.CutPrefix(cell, "none: "); !none || len(reason) < 10 {
				t.Errorf("docs/scenarios.md, row %d: no function of test/e2e or test/node is named TestRow%d…; write one, or say \"none: \" and why; it says %q", row, row, cell)
			}
			continue
		}
		if want := strings.Join(tests[row], ", "); cell != want {
			t.Errorf("docs/scenarios.md, row %d, names\n  %s\nthe tests that carry its number are\n  %s", row, cell, want)
		}
	}
}

// testsOfRows are the functions of test/e2e and test/node by the rows that their names carry, such as TestRow1and3to5_Something.
func testsOfRows(t *testing.T) map[int][]string {
	t.Helper()
	name := regexp.MustCompile(`^TestRow(\d+(?:(?:to|and)\d+)*)_\w+$`)
	rows := map[int][]string{}
	for _, s := range sources(t) {
		if folder := filepath.ToSlash(filepath.Dir(s.path)); folder != "test/e2e" && folder != "test/node" || !s.isTest() {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "TestRow") {
				continue
			}
			m := name.FindStringSubmatch(f.Name.Name)
			if m == nil {
				t.Errorf("%s: %s does not name its rows as TestRow1and3to5_Something does", s.path, f.Name.Name)
				continue
			}
			for _, row := range rowsOf(t, f.Name.Name, m[1]) {
				rows[row] = append(rows[row], f.Name.Name)
			}
		}
	}
	for row, list := range rows {
		slices.Sort(list)
		rows[row] = slices.Compact(list)
	}
	return rows
}

// rowsOf reads "1and3to5".
func rowsOf(t *testing.T, test, text string) []int {
	t.Helper()
	var rows []int
	for part := range strings.SplitSeq(text, "and") {
		var from, to int
		if n, _ := fmt.Sscanf(part, "%dto%d", &from, &to); n < 2 {
			to = from
		}
		if from < 1 || to < from || to > lastRow {
			t.Errorf("%s: %q are no rows of 1 to %d", test, part, lastRow)
			continue
		}
		for row := from; row <= to; row++ {
			rows = append(rows, row)
		}
	}
	return rows
}

// documentedRows are the last cells of the table by its first ones.
func documentedRows(t *testing.T) map[int]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), "docs", "scenarios.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[int]string{}
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		row, err := strconv.Atoi(strings.TrimSpace(cells[0]))
		if err != nil || len(cells) != 3 {
			continue
		}
		if _, twice := rows[row]; twice || row < 1 || row > lastRow {
			t.Errorf("docs/scenarios.md: row %d is there twice, or is none", row)
		}
		rows[row] = strings.TrimSpace(cells[2])
	}
	return rows
}
