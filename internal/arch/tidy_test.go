package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines     = 400
	maxFunctionLines = 70
)

// source is one parsed Go file of the repository, devcluster included.
type source struct {
	path string // relative to the root
	data []byte
	file *ast.File
	fset *token.FileSet
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// TestTidy_filesStaySmall: a file that grows past the limit holds more than one idea.
func TestTidy_filesStaySmall(t *testing.T) {
	for _, s := range sources(t) {
		if n := bytes.Count(s.data, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: its idea has not been found yet", s.path, n, maxFileLines)
		}
	}
}

// TestTidy_functionsFitOnAScreen: the parent holds the ifs, leaves are pure.
func TestTidy_functionsFitOnAScreen(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if n > maxFunctionLines && (!s.isTest() || n > 2*maxFunctionLines) {
				t.Errorf("%s: %s has %d lines, more than %d", s.path, f.Name.Name, n, maxFunctionLines)
			}
		}
	}
}

// TestTidy_packagesSayWhatTheyAre: a newcomer reads the package comment first.
func TestTidy_packagesSayWhatTheyAre(t *testing.T) {
	documented, seen := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		dir := filepath.Dir(s.path)
		seen[dir] = true
		if s.file.Doc != nil && len(s.file.Doc.Text()) > 40 {
			documented[dir] = true
		}
	}
	for dir := range seen {
		if !documented[dir] {
			t.Errorf("%s has no package comment: say which question it answers, what it does not do, where to start", dir)
		}
	}
}

// TestTidy_noHiddenWiring: no init, no mutable package state; dependencies are arguments.
func TestTidy_noHiddenWiring(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s has an init function: wiring must be visible in internal/app", s.path)
				}
			case *ast.GenDecl:
				if name, found := packageVariable(d); found {
					t.Errorf("%s has the package variable %s: package state is hidden wiring; use a const, a function or an argument", s.path, name)
				}
			}
		}
	}
}

// packageVariable finds a variable that is more than a compile-time assertion, an embedded file or a sentinel error.
func packageVariable(d *ast.GenDecl) (string, bool) {
	if d.Tok != token.VAR || d.Doc != nil && strings.Contains(d.Doc.Text()+embedDirective(d), "go:embed") {
		return "", false
	}
	for _, spec := range d.Specs {
		value := spec.(*ast.ValueSpec)
		for i, name := range value.Names {
			if name.Name != "_" && (i >= len(value.Values) || !isSentinel(value.Values[i])) {
				return name.Name, true
			}
		}
	}
	return "", false
}

// isSentinel tells whether a variable is errors.New("…"): never written to, and compared with errors.Is.
func isSentinel(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && f.Sel.Name == "New" && fmt.Sprint(f.X) == "errors"
}

// embedDirective returns the raw directive lines, which Doc.Text leaves out.
func embedDirective(d *ast.GenDecl) string {
	var b strings.Builder
	for _, c := range d.Doc.List {
		b.WriteString(c.Text)
	}
	return b.String()
}

// TestTidy_namesSaySomething: these names hold anything and therefore say nothing.
func TestTidy_namesSaySomething(t *testing.T) {
	for _, s := range sources(t) {
		name := s.file.Name.Name
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "manager", "processor", "control"}, name) {
			t.Errorf("%s: package %s says nothing about what it answers", s.path, name)
		}
	}
}

// TestTidy_noSleepsInTests: a sleep is a race that has not happened yet; wait for the condition. Inside a
// testing/synctest bubble time is virtual, and sleeping is how it passes.
func TestTidy_noSleepsInTests(t *testing.T) {
	call := regexp.MustCompile(`\btime\.Sleep\(`)
	for _, s := range sources(t) {
		virtual := bytes.Contains(s.data, []byte(`"testing/synctest"`))
		if s.isTest() && call.Match(s.data) && !virtual && filepath.Base(s.path) != "tidy_test.go" {
			t.Errorf("%s sleeps: wait for a condition", s.path)
		}
	}
}

// TestTidy_clockStaysAboveTheWaterline: time is a value that the observation carries.
func TestTidy_clockStaysAboveTheWaterline(t *testing.T) {
	for _, s := range sources(t) {
		below := strings.HasPrefix(s.path, "internal/plan/") || strings.HasPrefix(s.path, "internal/kind/")
		if below && !s.isTest() && bytes.Contains(s.data, []byte("time.Now(")) {
			t.Errorf("%s reads the clock: time is data below the waterline", s.path)
		}
	}
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	base := root(t)
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || name == "bin" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(name, "zz_generated") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, data, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(base, path)
		all = append(all, source{path: rel, data: data, file: file, fset: fset})
		return err
	})
	if err != nil {
		t.Fatalf("read the sources: %v", err)
	}
	return all
}
