package logwriter

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLastNumber: a writer that is started again goes on where the file ends.
func TestLastNumber(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if n, err := lastNumber(path); n != 0 || err != nil {
		t.Errorf("without a file: %d, %v", n, err)
	}
	for content, want := range map[string]int{
		"":                      0,
		"1 a\n2 b\n":            2,
		"1 a\n2 b\n3":           2, // cut off
		"1 a\nnot a number\n":   1,
		"1 a\n2 b\n3 c\n4 d\n5": 4,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := lastNumber(path); n != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", content, n, err, want)
		}
	}
}
