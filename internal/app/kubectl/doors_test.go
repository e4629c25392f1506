package kubectl_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/internal/app/kubectl"
	"github.com/outrigger-project/outrigger/internal/webhook"
)

const goldens = "../../plan/inject/testdata"

var update = flag.Bool("update", false, "rewrite the goldens") //nolint:gochecknoglobals // a flag of the test binary

// golden is one case: what goes in, and the Pods or the error that come out.
type golden struct {
	path    string
	archive *txtar.Archive
}

func (g golden) file(name string) (string, bool) {
	for _, f := range g.archive.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

func (g golden) set(name, data string) {
	for i := range g.archive.Files {
		if g.archive.Files[i].Name == name {
			g.archive.Files[i].Data = []byte(data)
			return
		}
	}
	g.archive.Files = append(g.archive.Files, txtar.File{Name: name, Data: []byte(data)})
}

// input is in.yaml, together with the example that the case uses: a file, and how many of its documents.
func (g golden) input(t *testing.T) string {
	t.Helper()
	in, _ := g.file("in.yaml")
	if uses, ok := g.file("uses"); ok {
		var name string
		var n int
		if _, err := fmt.Sscan(uses, &name, &n); err != nil {
			t.Fatalf("uses: %v", err)
		}
		example, err := os.ReadFile(filepath.Join("../../..", name))
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(example), "---\n")
		in = strings.Join(append(parts[:n], in), "---\n")
	}
	return in
}

// gates returns what the feature gates that the case names are at each door.
func (g golden) gates() (flags []string, sorted bool) {
	if _, sorted = g.file("gates"); sorted {
		flags = []string{"--sort-containers"}
	}
	return flags, sorted
}

// TestGoldens_throughBothDoors runs every case of internal/plan/inject/testdata through the command line and
// through the webhook. Both must give what the case says. -update rewrites what the command line gives.
func TestGoldens_throughBothDoors(t *testing.T) {
	all := load(t)
	if len(all) < 25 {
		t.Fatalf("only %d goldens", len(all))
	}
	for _, g := range all {
		t.Run(strings.TrimSuffix(filepath.Base(g.path), ".txtar"), func(t *testing.T) {
			if wantError, ok := g.file("error.txt"); ok {
				refusedByBoth(t, g.input(t), strings.TrimSpace(wantError))
				return
			}
			injectedByBoth(t, g)
		})
	}
}

func refusedByBoth(t *testing.T, in, want string) {
	t.Helper()
	if _, failure := throughCommandLine(in, nil); !strings.HasSuffix(strings.TrimSpace(failure), want) {
		t.Errorf("command line says\n%s\nwant it to end with\n%s", failure, want)
	}
	want = "sidecars cannot be injected: " + want
	if _, refusal := throughWebhook(t, in, false); refusal != want {
		t.Errorf("webhook says\n%s\nwant\n%s", refusal, want)
	}
}

func injectedByBoth(t *testing.T, g golden) {
	t.Helper()
	in := g.input(t)
	flags, sorted := g.gates()
	out, failure := throughCommandLine(in, flags)
	if failure != "" {
		t.Fatalf("command line: %s", failure)
	}
	if *update {
		g.set("want.yaml", out)
		if err := os.WriteFile(g.path, txtar.Format(g.archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := g.file("want.yaml")
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("command line (-want +got):\n%s", diff)
	}
	pods, refusal := throughWebhook(t, in, sorted)
	if refusal != "" {
		t.Fatalf("webhook refuses: %s", refusal)
	}
	if diff := cmp.Diff(out, pods); diff != "" {
		t.Errorf("the doors disagree (-command line +webhook):\n%s", diff)
	}
	if again, failure := throughCommandLine(setsOf(in)+out, flags); failure != "" || again != out {
		t.Errorf("injecting again is not the same: %s\n%s", failure, cmp.Diff(out, again))
	}
}

func load(t *testing.T) []golden {
	t.Helper()
	paths, err := filepath.Glob(goldens + "/*")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() && slices.Contains([]string{"fuzz", "rapid"}, filepath.Base(path)) {
			continue // what the fuzzers found; they read it themselves
		}
		if !strings.HasSuffix(path, ".txtar") {
			t.Errorf("%s is no golden: nothing reads it", path)
			continue
		}
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{path, archive}
		for _, f := range archive.Files {
			if !slices.Contains([]string{"in.yaml", "want.yaml", "error.txt", "uses", "gates"}, f.Name) {
				t.Errorf("%s: nothing reads its file %s", path, f.Name)
			}
		}
		_, wants := g.file("want.yaml")
		if _, fails := g.file("error.txt"); wants == fails {
			t.Errorf("%s: must have one of want.yaml and error.txt", path)
		}
		all = append(all, g)
	}
	return all
}

func throughCommandLine(in string, flags []string) (out, failure string) {
	var stdout, stderr bytes.Buffer
	if code := kubectl.Run(append([]string{"inject", "-f", "-"}, flags...), strings.NewReader(in), &stdout, &stderr); code != 0 {
		return "", stderr.String()
	}
	return stdout.String(), stderr.String()
}

// throughWebhook sends each Pod as the API server would and applies the patch. It stops at a refusal.
func throughWebhook(t *testing.T, in string, sorted bool) (pods, refusal string) {
	t.Helper()
	handler := &webhook.PodHandler{SortContainers: sorted}
	server := httptest.NewServer(handler)
	defer server.Close()
	var given [][]byte
	for _, d := range documents(t, in) {
		switch kind(t, d) {
		case "SidecarSet":
			set, err := kubectl.Decode(d)
			if err != nil {
				t.Fatal(err)
			}
			if err := handler.Put(set); err != nil {
				t.Fatal(err)
			}
		case "Namespace":
			var namespace struct {
				Metadata struct {
					Name   string
					Labels map[string]string
				}
			}
			if err := json.Unmarshal(d, &namespace); err != nil {
				t.Fatal(err)
			}
			handler.PutNamespace(namespace.Metadata.Name, namespace.Metadata.Labels)
		case "ControllerRevision":
			var r appsv1.ControllerRevision
			if err := json.Unmarshal(d, &r); err != nil {
				t.Fatal(err)
			}
			if err := handler.PutRevision(&r); err != nil {
				t.Fatal(err)
			}
		case "Pod":
			given = append(given, d)
		}
	}
	var out []string
	for i, pod := range given {
		patch, message := admit(t, server.URL, fmt.Sprint("u-", i), pod)
		if message != "" {
			return "", message
		}
		text, err := yaml.JSONToYAML(patched(t, pod, patch))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	return strings.Join(out, "---\n"), ""
}

func admit(t *testing.T, url, uid string, pod []byte) (patch []byte, refusal string) {
	t.Helper()
	namespace := "default"
	var meta struct{ Metadata struct{ Namespace string } }
	if err := json.Unmarshal(pod, &meta); err == nil && meta.Metadata.Namespace != "" {
		namespace = meta.Metadata.Namespace
	}
	review := fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":%q,"operation":"CREATE",
		"namespace":%q,"resource":{"group":"","version":"v1","resource":"pods"},"object":%s}}`, uid, namespace, pod)
	response, err := http.Post(url, "application/json", strings.NewReader(review))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v: %s", response.StatusCode, err, body)
	}
	var answer struct {
		Response struct {
			UID       string
			Allowed   bool
			PatchType string
			Patch     []byte
			Status    struct {
				Message string
				Code    int
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	r := answer.Response
	if r.UID != uid || (r.Patch != nil) != (r.PatchType == "JSONPatch") || r.Allowed == (r.Status.Code == http.StatusUnprocessableEntity) {
		t.Errorf("malformed answer: %s", body)
	}
	return r.Patch, r.Status.Message
}

func patched(t *testing.T, pod, patch []byte) []byte {
	t.Helper()
	if patch == nil {
		return pod
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatalf("%v in %s", err, patch)
	}
	pod, err = operations.Apply(pod)
	if err != nil {
		t.Fatalf("%v in %s", err, patch)
	}
	return pod
}

// setsOf returns everything but the Pods.
func setsOf(in string) string {
	var others []string
	for d := range strings.SplitSeq(in, "---\n") {
		if !strings.Contains(d, "\nkind: Pod\n") {
			others = append(others, d)
		}
	}
	return strings.Join(append(others, ""), "---\n")
}

func documents(t *testing.T, in string) [][]byte {
	t.Helper()
	var all [][]byte
	for d := range strings.SplitSeq(in, "\n---\n") {
		data, err := yaml.YAMLToJSON([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		if string(data) != "null" {
			all = append(all, data)
		}
	}
	return all
}

func kind(t *testing.T, doc []byte) string {
	t.Helper()
	var meta struct{ Kind string }
	if err := json.Unmarshal(doc, &meta); err != nil {
		t.Fatal(err)
	}
	return meta.Kind
}
