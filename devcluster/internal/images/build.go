package images

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds the programs of the sample images from the source tree of this
// module and returns the folder they are in. What was built before from the
// same sources is used again.
func Build(ctx context.Context, source string, out io.Writer) (string, error) {
	key, err := identify(source)
	if err != nil {
		return "", fmt.Errorf("look at the sources of the sample images: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user cache folder: %w", err)
	}
	folder := filepath.Join(cache, "devcluster", "images", key)
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return "", fmt.Errorf("create build cache: %w", err)
	}
	fmt.Fprintln(out, "Building the programs of the sample images (once)")
	// Built aside and renamed: whoever comes second loses nothing but time.
	tmp, err := os.MkdirTemp(filepath.Dir(folder), "new-")
	if err != nil {
		return "", fmt.Errorf("create build cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", tmp+"/", "./images/...")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs of the sample images: %w\n%s", err, out)
	}
	if err := os.Rename(tmp, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, there := os.Stat(folder); there != nil {
			return "", fmt.Errorf("keep the build: %w", err)
		}
	}
	return folder, nil
}

// identify hashes the sources.
func identify(source string) (string, error) {
	h := sha256.New()
	add := func(path string) error {
		b, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", strings.TrimPrefix(path, source), len(b), b)
		return err
	}
	err := filepath.WalkDir(filepath.Join(source, "images"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		return add(path)
	})
	if err == nil {
		err = add(filepath.Join(source, "go.sum"))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), err
}
