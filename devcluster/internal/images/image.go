// Package images makes container images out of static programs: the sample
// images of a cluster, and one of any program that a test has built.
//
// Where they go is package registry's business. Start reading at Catalog.
package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Workshop makes sample images from built programs.
type Workshop struct {
	pause, sample v1.Layer // the program, the same for all images that have it
}

// NewWorkshop reads the programs of a folder that Build made.
func NewWorkshop(folder string) (*Workshop, error) {
	var w Workshop
	for name, layer := range map[string]*v1.Layer{pauseProgram: &w.pause, "sample": &w.sample} {
		program, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return nil, fmt.Errorf("read the program of sample images: %w", err)
		}
		a := newArchive()
		a.base()
		a.file("bin/"+name, 0o755, program)
		if name == "sample" {
			for _, tool := range tools() {
				a.link("bin/"+tool, "/bin/sample")
			}
		}
		if *layer, err = a.layer(); err != nil {
			return nil, err
		}
	}
	return &w, nil
}

// Make makes one of the catalog's images.
func (w *Workshop) Make(s Sample) (v1.Image, error) {
	entry := []string{"/bin/" + s.Program}
	if s.Program == pauseProgram {
		return assemble(entry, s.env(), w.pause)
	}
	own := newArchive()
	own.link("bin/"+s.Program, "/bin/sample")
	own.file("version", 0o644, []byte(s.Version+"\n"))
	for _, folder := range s.Folders {
		own.folder(strings.TrimPrefix(folder, "/"), 0o777)
	}
	for _, path := range s.Links {
		own.link(strings.TrimPrefix(path, "/"), "/bin/sample")
	}
	for _, path := range slices.Sorted(maps.Keys(s.Scripts)) {
		own.file(strings.TrimPrefix(path, "/"), 0o755, []byte(s.Scripts[path]))
	}
	layer, err := own.layer()
	if err != nil {
		return nil, err
	}
	return assemble(entry, s.env(), w.sample, layer)
}

func (s Sample) env() []string {
	return append([]string{"PATH=/bin", "VERSION=" + s.Version}, s.Env...)
}

// OfProgram makes an image of one static program, at /NAME, which is its
// entry point.
func OfProgram(path string) (v1.Image, error) {
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	name := filepath.Base(path)
	a := newArchive()
	a.base()
	a.file(name, 0o755, program)
	layer, err := a.layer()
	if err != nil {
		return nil, err
	}
	return assemble([]string{"/" + name}, []string{"PATH=/bin"}, layer)
}

func assemble(entry, env []string, layers ...v1.Layer) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, layer := range layers {
		var err error
		if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: types.OCILayer}); err != nil {
			return nil, fmt.Errorf("add a layer: %w", err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint, config.Config.Env, config.Config.WorkingDir = entry, env, "/"
	return mutate.ConfigFile(image, config)
}

// archive is a layer in the making. Times are all the same, so that the same
// content is the same digest.
type archive struct {
	buffer bytes.Buffer
	tar    *tar.Writer
	made   map[string]bool
	err    error
}

func newArchive() *archive {
	a := &archive{made: map[string]bool{}}
	a.tar = tar.NewWriter(&a.buffer)
	return a
}

// base is what programs expect of any file system.
func (a *archive) base() {
	a.folder("tmp", 0o1777)
	a.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"))
	a.file("etc/group", 0o644, []byte("root:x:0:\nnobody:x:65534:\n"))
}

func (a *archive) folder(name string, mode int64) {
	a.parent(name)
	if !a.made[name] {
		a.made[name] = true
		a.write(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}, nil)
	}
}

func (a *archive) parent(name string) {
	if dir := filepath.Dir(name); dir != "." {
		a.folder(dir, 0o755)
	}
}

func (a *archive) file(name string, mode int64, content []byte) {
	a.parent(name)
	a.write(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}, content)
}

func (a *archive) link(name, to string) {
	a.parent(name)
	a.write(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}, nil)
}

func (a *archive) write(h *tar.Header, content []byte) {
	h.ModTime = time.Unix(0, 0)
	if a.err == nil {
		a.err = a.tar.WriteHeader(h)
	}
	if a.err == nil {
		_, a.err = a.tar.Write(content)
	}
}

func (a *archive) layer() (v1.Layer, error) {
	if err := a.tar.Close(); err != nil || a.err != nil {
		return nil, fmt.Errorf("write a layer: %w", errors.Join(a.err, err))
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a.buffer.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
}
