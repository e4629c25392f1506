package logcollector

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCollect(t *testing.T) {
	in, out := filepath.Join(t.TempDir(), "access.log"), filepath.Join(t.TempDir(), "collected.log")
	steps := []struct {
		does, write, version, want string
	}{
		{"nothing is there", "", "1", ""},
		{"lines", "1 a\n2 b\n", "1", "1\t1 a\n1\t2 b\n"},
		{"nothing is new", "", "1", "1\t1 a\n1\t2 b\n"},
		{"half a line", "3 c", "1", "1\t1 a\n1\t2 b\n"},
		{"its rest, for the next version", "c\n", "2", "1\t1 a\n1\t2 b\n2\t3 cc\n"},
	}
	for _, s := range steps {
		if s.write != "" {
			f, err := os.OpenFile(in, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(s.write); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		if err := collect(in, out, s.version); err != nil {
			t.Fatalf("%s: %v", s.does, err)
		}
		if got, _ := os.ReadFile(out); string(got) != s.want {
			t.Errorf("%s: collected %q, want %q", s.does, got, s.want)
		}
	}
}
