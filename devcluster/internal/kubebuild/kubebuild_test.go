package kubebuild

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree makes a source tree like this module's.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":              "module " + modulePath + "\n\ngo 1.26\n\nrequire k8s.io/kubernetes v1.37.1\n",
		"go.sum":              "sum\n",
		"cmd/kube/main.go":    "package main\n",
		"cmd/kube/x_test.go":  "package main\n",
		"internal/x/other.go": "package x\n",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestIdentify_changesWithWhatIsBuilt(t *testing.T) {
	for file, wantOther := range map[string]bool{
		"go.mod": true, "go.sum": true, "cmd/kube/main.go": true, "cmd/kube/new.go": true,
		"cmd/kube/x_test.go": false, "internal/x/other.go": false,
	} {
		dir := tree(t)
		before, version, err := identify(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if version != "v1.37.1" || !strings.HasPrefix(before, "v1.37.1-") {
			t.Errorf("version %s, key %s", version, before)
		}
		b, _ := os.ReadFile(filepath.Join(dir, file))
		write(t, filepath.Join(dir, file), string(b)+"// changed\n")
		after, _, err := identify(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if (before != after) != wantOther {
			t.Errorf("%s changed: key %s → %s", file, before, after)
		}
	}
}

func TestEnsure_doesNotBuildTwice(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := tree(t)
	key, _, err := identify(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(cache, "devcluster", "kube", key, "kube")
	write(t, want, "binary")
	b, err := Ensure(t.Context(), dir, os.Stderr)
	if err != nil || b.Built || b.Path != want || b.Version != "v1.37.1" {
		t.Errorf("got %+v, %v; want the one in the cache", b, err)
	}
}

func TestEnsure_aFailedBuildSaysWhyAndLeavesNothing(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := tree(t)
	write(t, filepath.Join(dir, "go.mod"), "module "+modulePath+"\n\ngo 1.26\n\n// require k8s.io/kubernetes v0.0.0\nrequire (\n\tk8s.io/kubernetes v1.37.1 // indirect\n)\n")
	write(t, filepath.Join(dir, "cmd/kube/main.go"), "package main\n\nfunc main() { undefinedThing() }\n")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	_, err = Ensure(t.Context(), dir, out)
	if err == nil || !strings.Contains(err.Error(), "undefinedThing") {
		t.Errorf("error %v, want the compiler's", err)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "devcluster", "kube", "*", "kube*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %q (%v)", left, err)
	}
}

func TestKubernetesVersion(t *testing.T) {
	for gomod, want := range map[string]string{
		"require k8s.io/kubernetes v1.36.3\n":                           "v1.36.3",
		"require (\n\tk8s.io/api v0.1.0\n\tk8s.io/kubernetes v1.2.3\n)": "v1.2.3",
		"require k8s.io/api v0.1.0\n":                                   "",
	} {
		if got, err := kubernetesVersion([]byte(gomod)); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", gomod, got, err)
		}
	}
}

func TestSource(t *testing.T) {
	dir := tree(t)
	if got, err := Source(dir); got != dir || err != nil {
		t.Errorf("named: %q, %v", got, err)
	}
	if _, err := Source(t.TempDir()); err == nil {
		t.Error("a folder without the module was taken")
	}
	// This very checkout, from which the test was compiled.
	if got, err := Source(""); err != nil || !isSource(got) {
		t.Errorf("default: %q, %v", got, err)
	}
}

func TestBuildArgs_stampTheVersion(t *testing.T) {
	args := buildArgs("v1.37.1", "out")
	flags := args[slices.Index(args, "-ldflags")+1]
	for _, want := range []string{"k8s.io/component-base/version.gitVersion=v1.37.1", "version.gitMajor=1", "version.gitMinor=37"} {
		if !strings.Contains(flags, want) {
			t.Errorf("%s lacks %s", flags, want)
		}
	}
	if !slices.Equal(args, buildArgs("v1.37.1", "out")) {
		t.Error("the arguments are not the same each time: the build cache would miss")
	}
}
