package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Stories tells every story in testdata/seq, of which there are at least as many, again, and compares. A story is a txtar
// file: the section "world" says what there is, the name of every other section is something that happens, and its text is
// what follows from that. begin begins a story; what it returns is called for every section, and returns its text. With
// update the files are rewritten: to tell a new story, write the section names.
func Stories(t *testing.T, least int, update bool, begin func(t *testing.T) (section func(name, body string) string)) {
	t.Helper()
	files, err := filepath.Glob("testdata/seq/*.txtar")
	if err != nil || len(files) < least {
		t.Fatalf("%d stories, want %d, %v", len(files), least, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := retold(string(data), begin(t))
			if update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(data), got); diff != "" {
				t.Errorf("the story has changed (-update rewrites it):\n%s", diff)
			}
		})
	}
}

// retold is a story with other texts. What comes before the first section stays.
func retold(text string, section func(name, body string) string) string {
	var told strings.Builder
	name, body := "", ""
	end := func() {
		if name == "" {
			told.WriteString(body)
			return
		}
		fmt.Fprintf(&told, "-- %s --\n%s", name, section(name, body))
	}
	for line := range strings.Lines(text) {
		if next, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(next, " --") {
			end()
			name, body = strings.TrimSuffix(next, " --"), ""
			continue
		}
		body += line
	}
	end()
	return told.String()
}
