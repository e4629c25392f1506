package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/outrigger-project/outrigger/"

// pkg is what the law needs of a package, as `go list -json` tells it.
type pkg struct {
	ImportPath string
	Dir        string
	Imports    []string
	Deps       []string
	GoFiles    []string
}

func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, module) }

// rule forbids the packages below `from` (except those below `except`) to import what it names: standard and
// third-party packages directly, our own transitively.
type rule struct {
	from   []string
	except []string
	// ban names packages; a name also covers what is below it. Our own are written relative to the module.
	ban []string
	why string
}

// law reads as the table of the architecture.
func law() []rule {
	impure := []string{
		"context", "log", "log/slog", "math/rand", "math/rand/v2", "os", "net", "sync",
		"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "github.com/go-logr/logr",
	}
	return []rule{
		{from: []string{"api"}, ban: []string{"internal", "cmd"}, why: "types are for users too"},
		{
			from: []string{"internal", "cmd"}, except: []string{"internal/webhook", "internal/app", "cmd", "internal/sim"},
			ban: []string{"api/apps/v1alpha1"}, why: "one version inside: only conversion sees a spoke",
		},
		{from: []string{"internal/plan", "internal/kind"}, ban: impure, why: "decisions are deterministic and testable without a cluster"},
		{from: []string{"internal/plan"}, ban: []string{"internal/kind"}, why: "mechanisms do not know kinds"},
		{
			from: []string{"internal/plan", "internal/kind", "api"},
			ban:  []string{"internal/engine", "internal/controller", "internal/webhook", "internal/node", "internal/app", "internal/cli", "internal/features", "internal/sim", "internal/testkit"},
			why:  "below the waterline nothing reaches up",
		},
		{from: []string{"internal/engine"}, ban: []string{"internal/kind", "internal/controller", "internal/webhook", "internal/cli", "internal/node"}, why: "hands know verbs, not kinds"},
		{from: []string{"internal/controller"}, ban: []string{"internal/webhook", "internal/cli", "internal/node"}, why: "no sideways edges"},
		{from: []string{"internal/webhook"}, ban: []string{"internal/controller", "internal/engine", "internal/cli", "internal/node"}, why: "admission never reaches into reconcilers"},
		{from: []string{"internal/node"}, ban: []string{"internal/engine", "internal/controller", "internal/webhook", "internal/cli", "internal/kept", "internal/features"}, why: "small binary, small rights"},
		{from: []string{"internal/app/node", "cmd/node"}, ban: []string{"internal/engine", "internal/controller", "internal/webhook", "internal/cli"}, why: "small binary, small rights"},
		{
			from: []string{"internal", "cmd"}, except: []string{"internal/node/cri", "internal/testkit"},
			ban: []string{"k8s.io/cri-client", "k8s.io/cri-api"}, why: "one package talks to the container runtime",
		},
		{from: []string{"internal/cli"}, ban: []string{"internal/controller", "internal/webhook", "internal/engine", "internal/node"}, why: "previews with the same functions, acts through the API only"},
		{
			from: []string{"internal/kept"}, ban: []string{"internal/kind", "internal/engine", "internal/controller", "internal/webhook", "internal/app", "internal/cli", "internal/features"},
			why: "what the cache keeps is shared by all controllers and knows no kind: what it reads for one is a mechanism in internal/plan",
		},
		{
			from: []string{"internal", "cmd", "api"}, except: []string{"internal/kept", "internal/controller", "internal/app", "internal/testkit", "cmd"},
			ban: []string{"internal/kept"}, why: "what the cache keeps is for those who read the cache",
		},
		{
			from: []string{"internal/roster", "internal/watch"}, ban: []string{"internal/kind", "internal/engine", "internal/kept", "internal/controller", "internal/app", "internal/plan"},
			why: "how records and controllers follow the watch does not depend on what is in them",
		},
		{from: []string{""}, ban: []string{"k8s.io/kubernetes"}, why: "no pin to one Kubernetes minor; only the devcluster module may"},
		{from: []string{"internal", "cmd", "api"}, except: []string{"internal/sim", "internal/testkit"}, ban: []string{"internal/sim", "internal/testkit"}, why: "test worlds stay out of the product"},
	}
}

func TestImports_followTheArchitecture(t *testing.T) {
	for _, p := range packages(t) {
		for _, r := range law() {
			if !within(p.path(), r.from) || within(p.path(), r.except) {
				continue
			}
			for _, imported := range broken(p, r) {
				t.Errorf("%s imports %s: %s", p.path(), imported, r.why)
			}
		}
	}
}

func TestImports_plansVocabularyStandsAlone(t *testing.T) {
	allowed := []string{"errors", "fmt", "strings", "slices", "time"}
	for _, p := range packages(t) {
		if p.path() != "internal/plan" {
			continue
		}
		for _, imported := range p.Imports {
			if !slices.Contains(allowed, imported) {
				t.Errorf("internal/plan imports %s: it is the vocabulary of all and may import %v only", imported, allowed)
			}
		}
	}
}

func TestImports_noEdgeBetweenSiblings(t *testing.T) {
	for _, p := range packages(t) {
		for _, parent := range []string{"internal/kind/", "internal/controller/"} {
			own, ok := sibling(p.path(), parent)
			if !ok {
				continue
			}
			for _, d := range p.Deps {
				if other, ok := sibling(strings.TrimPrefix(d, module), parent); ok && other != own {
					t.Errorf("%s imports %s: a kind or controller never imports another", p.path(), d)
				}
			}
		}
	}
}

// The law itself is tested: a rule that catches nothing would pass for ever.
func TestImports_brokenFindsViolations(t *testing.T) {
	r := rule{ban: []string{"net", "internal/engine", "k8s.io/client-go"}}
	p := pkg{
		Imports: []string{"net/http", "k8s.io/client-go/rest", "nettle", module + "internal/plan"},
		Deps:    []string{"net", module + "internal/engine/deep", "k8s.io/client-go/tools"},
	}
	got := broken(p, r)
	want := []string{"k8s.io/client-go/rest", module + "internal/engine/deep", "net/http"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("broken() = %v, want %v", got, want)
	}
}

func broken(p pkg, r rule) []string {
	var found []string
	for _, ban := range r.ban {
		ours := strings.HasPrefix(ban, "internal") || strings.HasPrefix(ban, "api") || ban == "cmd"
		candidates := p.Imports
		if ours {
			ban, candidates = module+ban, p.Deps
		}
		for _, c := range candidates {
			if c == ban || strings.HasPrefix(c, ban+"/") {
				found = append(found, c)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func within(path string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		return tree == "" || path == tree || strings.HasPrefix(path, tree+"/")
	})
}

func sibling(path, parent string) (string, bool) {
	rest, ok := strings.CutPrefix(path, parent)
	name, _, _ := strings.Cut(rest, "/")
	return name, ok
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,Deps,GoFiles", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list found %d packages only", len(pkgs))
	}
	return pkgs
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
