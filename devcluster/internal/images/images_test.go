package images

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// shelf is a registry in memory.
type shelf map[string]v1.Image

func (s shelf) Push(_ context.Context, reference string, image v1.Image) error {
	if s[reference] != nil {
		return errors.New(reference + " is pushed twice")
	}
	s[reference] = image
	return nil
}

// programs is a folder with something in place of the programs.
func programs(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"pause", "sample"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("program "+name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func digest(t *testing.T, image v1.Image) v1.Hash {
	t.Helper()
	d, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLoad(t *testing.T) {
	folder := programs(t)
	first, second := shelf{}, shelf{}
	for _, s := range []shelf{first, second} {
		if err := Load(t.Context(), folder, s); err != nil {
			t.Fatal(err)
		}
	}
	digests := map[v1.Hash]string{}
	for _, sample := range Catalog() {
		want := digest(t, first[sample.References[0]])
		if other := digests[want]; other != "" {
			t.Errorf("%s and %s are the same image", other, sample.References[0])
		}
		digests[want] = sample.References[0]
		for _, reference := range sample.References {
			if got := digest(t, first[reference]); got != want {
				t.Errorf("%s is not the image of %s", reference, sample.References[0])
			}
			if got := digest(t, second[reference]); got != want {
				t.Errorf("%s is another image when it is made again", reference)
			}
		}
	}
}

// files lists what is in an image's file system, by name: the content, or what a link points to.
func files(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	all := map[string]string{}
	r := mutate.Extract(image)
	defer r.Close()
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = string(content) + h.Linkname
	}
}

func TestMake_files(t *testing.T) {
	all := shelf{}
	if err := Load(t.Context(), programs(t), all); err != nil {
		t.Fatal(err)
	}
	for reference, want := range map[string]map[string]string{
		"log-service/logtail:0.16.16": {
			"bin/sample": "program sample", "bin/sh": "/bin/sample", "bin/logcollector": "/bin/sample", "version": "0.16.16\n",
			"usr/local/ilogtail/run_logtail.sh": "/bin/sample", "etc/init.d/ilogtaild": "/bin/sample",
		},
		"registry.devcluster/gameserver:1": {"home/game/idle.sh": "/bin/sample", "home/game": ""},
		"registry.devcluster/pause:1":      {"bin/pause": "program pause"},
	} {
		got := files(t, all[reference])
		for name, content := range want {
			if c, there := got[name]; !there || c != content {
				t.Errorf("%s: %s is %q, %v", reference, name, c, there)
			}
		}
	}
}

func TestOfProgram(t *testing.T) {
	image, err := OfProgram(filepath.Join(programs(t), "sample"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Entrypoint; !slices.Equal(got, []string{"/sample"}) {
		t.Errorf("entry point %q", got)
	}
	if got := files(t, image)["sample"]; got != "program sample" {
		t.Errorf("the program is %q", got)
	}
}
