// Package kubebuild makes the heavy binary (cmd/kube) when it is needed and
// answers where it is.
//
// A build is kept in the user's cache folder under a key made of everything it
// depends on: go.mod, go.sum, the sources of cmd/kube, the Go version and how
// this package builds. The same key is never built twice. The Kubernetes
// version is the one in go.mod and nowhere else.
//
// Start reading at Ensure.
package kubebuild

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// modulePath is this module's, by which its source tree is recognised.
const modulePath = "github.com/outrigger-project/outrigger/devcluster"

// Binary is a heavy binary that is ready to run.
type Binary struct {
	Path string
	// Version of Kubernetes, such as v1.37.1.
	Version string
	// Built tells that it was built now, and Took how long that lasted.
	Built bool
	Took  time.Duration
}

// Ensure returns the heavy binary for the source tree, building it when the
// cache has none. Progress goes to out.
func Ensure(ctx context.Context, source string, out *os.File) (Binary, error) {
	key, version, err := identify(ctx, source)
	if err != nil {
		return Binary{}, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Binary{}, fmt.Errorf("find the user cache folder: %w", err)
	}
	dir := filepath.Join(cache, "devcluster", "kube", key)
	b := Binary{Path: filepath.Join(dir, "kube"), Version: version}
	if _, err := os.Stat(b.Path); err == nil {
		return b, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Binary{}, fmt.Errorf("create build cache: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, "lock"), out)
	if err != nil {
		return Binary{}, err
	}
	defer unlock()
	if _, err := os.Stat(b.Path); err == nil {
		return b, nil // somebody else built it while this process waited
	}
	started := time.Now()
	if err := build(ctx, source, version, b.Path, out); err != nil {
		return Binary{}, err
	}
	b.Built, b.Took = true, time.Since(started)
	return b, nil
}

// Given returns a binary that the user has; it is asked for its version.
func Given(ctx context.Context, path string) (Binary, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Binary{}, fmt.Errorf("kube binary: %w", err)
	}
	out, err := exec.CommandContext(ctx, abs, "kube-apiserver", "--version").Output()
	if err != nil {
		return Binary{}, fmt.Errorf("ask %s for its version: %w", abs, err)
	}
	return Binary{Path: abs, Version: strings.TrimPrefix(strings.TrimSpace(string(out)), "Kubernetes ")}, nil
}

// Source finds the source tree of this module: the one named, else the one
// this program was compiled from, else one at or above the working folder.
func Source(named string) (string, error) {
	if named != "" {
		if !isSource(named) {
			return "", fmt.Errorf("%s does not hold module %s", named, modulePath)
		}
		return filepath.Abs(named)
	}
	if _, file, _, ok := runtime.Caller(0); ok {
		if dir := filepath.Dir(filepath.Dir(filepath.Dir(file))); isSource(dir) {
			return dir, nil
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{dir, filepath.Join(dir, "devcluster")} {
			if isSource(candidate) {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("cannot find the source tree of devcluster; run inside a checkout, or use --source or --kube-binary")
		}
	}
}

func isSource(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && bytes.Contains(b, []byte("module "+modulePath+"\n"))
}

// kubernetesVersion reads the version of k8s.io/kubernetes that go.mod requires.
func kubernetesVersion(gomod []byte) (string, error) {
	lines := bufio.NewScanner(bytes.NewReader(gomod))
	for lines.Scan() {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "require "))
		if len(fields) >= 2 && fields[0] == "k8s.io/kubernetes" {
			return fields[1], nil
		}
	}
	return "", errors.New("go.mod does not require k8s.io/kubernetes")
}

// identify returns the cache key of a source tree and its Kubernetes version.
func identify(ctx context.Context, source string) (key, version string, err error) {
	goVersion, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", "", fmt.Errorf("ask the go command for its version (is Go installed?): %w", err)
	}
	gomod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return "", "", fmt.Errorf("read: %w", err)
	}
	if version, err = kubernetesVersion(gomod); err != nil {
		return "", "", err
	}
	files, err := filepath.Glob(filepath.Join(source, "cmd", "kube", "*.go"))
	if err != nil {
		return "", "", fmt.Errorf("list sources: %w", err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
	files = append(files, filepath.Join(source, "go.mod"), filepath.Join(source, "go.sum"))
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q\n", goVersion, buildArgs(version, "kube"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", "", fmt.Errorf("read: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(f), len(b), b)
	}
	return fmt.Sprintf("%s-%x", version, h.Sum(nil)[:6]), version, nil
}

// buildArgs are the arguments of the go command. Without the stamps the API
// server calls itself v0.0.0-master.
func buildArgs(version, output string) []string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	stamps := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for name, value := range map[string]string{"gitVersion": version, "gitMajor": parts[0], "gitMinor": parts[1], "gitCommit": "devcluster", "gitTreeState": "clean"} {
			stamps = append(stamps, fmt.Sprintf("-X %s.%s=%s", pkg, name, value))
		}
	}
	slices.Sort(stamps) // a map was ranged over
	return []string{"build", "-v", "-buildvcs=false", "-ldflags", strings.Join(stamps, " "), "-o", output, "./cmd/kube"}
}

func build(ctx context.Context, source, version, output string, out *os.File) error {
	fmt.Fprintf(out, "Building Kubernetes %s (once; 5 to 8 minutes on two cores, about 3 GB of Go build cache)\n", version)
	tmp := output + ".new"
	cmd := exec.CommandContext(ctx, "go", buildArgs(version, tmp)...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the go command: %w", err)
	}
	p := newProgress(out)
	last := follow(pipe, p)
	err = cmd.Wait()
	p.finish()
	if err != nil {
		os.Remove(tmp)
		return fmt.Errorf("go build of %s: %w\n%s", source, err, strings.Join(last, "\n"))
	}
	if err := os.Rename(tmp, output); err != nil {
		return fmt.Errorf("keep the build: %w", err)
	}
	return nil
}

// follow shows what the go command says and returns its last lines.
func follow(r io.Reader, p *progress) []string {
	const keep = 20
	var last []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.line(lines.Text())
		last = append(last, lines.Text())
		last = last[max(0, len(last)-keep):]
	}
	return last
}

// lock waits for other builds of the same key.
func lock(ctx context.Context, path string, out io.Writer) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open build lock: %w", err)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for said := false; ; said = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock the build: %w", err)
		}
		if !said {
			fmt.Fprintln(out, "Waiting for another process that builds the same")
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another build: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}
