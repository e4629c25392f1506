package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/share"
)

// document is one object of a file.
type document struct {
	// at says where it stands, for messages.
	at    string
	value jsonview.Value
}

func (d document) kind() string { return d.value.Get("kind").Text() }

func (d document) group() string {
	group, _, found := strings.Cut(d.value.Get("apiVersion").Text(), "/")
	if !found {
		return ""
	}
	return group
}

// readAll reads the documents of all files; "-" is standard input.
func readAll(files []string, in io.Reader) ([]document, error) {
	var all []document
	for _, name := range files {
		documents, err := readFile(name, in)
		if err != nil {
			return nil, err
		}
		all = append(all, documents...)
	}
	return all, nil
}

func readFile(name string, in io.Reader) ([]document, error) {
	if name == "-" {
		return readDocuments("standard input", in)
	}
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readDocuments(name, f)
}

func readDocuments(name string, in io.Reader) ([]document, error) {
	var all []document
	reader := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for n := 1; ; n++ {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		at := fmt.Sprintf("%s, document %d", name, n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		data, err := yaml.YAMLToJSONStrict(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		value, err := jsonview.Parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		all = append(all, flatten(document{at, value})...)
	}
}

// flatten returns the items of a List, nothing for an empty document, and anything else as it is.
func flatten(d document) []document {
	if !d.value.Present() {
		return nil
	}
	if d.kind() != "List" {
		return []document{d}
	}
	var all []document
	for item := range d.value.Get("items").Elements() {
		all = append(all, flatten(document{fmt.Sprintf("%s, items[%d]", d.at, len(all)), item})...)
	}
	return all
}

// sort tells Pods, SidecarSets, their revisions and Namespaces apart and refuses the rest.
func sort(documents []document, decode Decode) (*input, error) {
	given := &input{
		namespaces: map[string]map[string]string{}, revisions: map[string][]revision.Kept{},
		balances: map[string]map[string]share.Balance{}, decode: decode, seen: map[string]string{},
	}
	for _, d := range documents {
		if err := given.add(d); err != nil {
			return nil, fmt.Errorf("%s: %w", d.at, err)
		}
	}
	if len(given.pods) == 0 {
		return nil, errors.New("the files hold no Pod")
	}
	return given, given.prepare()
}

func (g *input) add(d document) error {
	switch d.group() + "/" + d.kind() {
	case "/Pod":
		return g.addPod(d)
	case "/Namespace":
		return g.addNamespace(d)
	case v1beta1.GroupName + "/SidecarSet":
		return g.addSet(d)
	case "apps/ControllerRevision":
		return g.addRevision(d)
	}
	if d.kind() == "" {
		return errors.New("kind: required")
	}
	return fmt.Errorf("kind: %s of %q cannot be injected: sidecars are injected into Pods when they are created; give the Pod", d.kind(), d.value.Get("apiVersion").Text())
}

// addPod checks the types of the fields we know; fields we do not know are the API server's business.
func (g *input) addPod(d document) error {
	if err := kjson.UnmarshalCaseSensitivePreserveInts(d.value, &corev1.Pod{}); err != nil {
		return fmt.Errorf("pod: %w", err)
	}
	g.pods = append(g.pods, d)
	return nil
}

func (g *input) addNamespace(d document) error {
	metadata := d.value.Get("metadata")
	name := metadata.Get("name").Text()
	if name == "" {
		return errors.New("metadata.name: required")
	}
	g.namespaces[name] = textMap(metadata.Get("labels"))
	return nil
}

func (g *input) addSet(d document) error {
	set, err := g.decode(d.value)
	if err != nil {
		return err
	}
	if other, twice := g.seen[set.Name]; twice {
		return fmt.Errorf("metadata.name: SidecarSet %s stands in %s already", set.Name, other)
	}
	g.seen[set.Name] = d.at
	// Whether two sets go together is asked of the Pod that gets both: a file may hold sets that never meet.
	if errs := sidecarset.ValidateAlone(set); len(errs) > 0 {
		return fmt.Errorf("SidecarSet %s: %w", set.Name, errs.ToAggregate())
	}
	g.given = append(g.given, given{d.at, set})
	return nil
}

// addRevision leaves ControllerRevisions of others than SidecarSets alone.
func (g *input) addRevision(d document) error {
	var r appsv1.ControllerRevision
	if err := json.Unmarshal(d.value, &r); err != nil {
		return fmt.Errorf("controllerRevision: %w", err)
	}
	if set := r.Labels[v1beta1.SidecarSetNameLabel]; set != "" {
		g.revisions[set] = append(g.revisions[set], revision.KeptOf(&r))
	}
	return nil
}

// prepare prepares the sets when everything is read.
func (g *input) prepare() error {
	for _, given := range g.given {
		set, kept := given.set, g.revisions[given.set.Name]
		for i := range kept {
			if set.UID == "" { // it does not come from the cluster: the name alone decides
				kept[i].Owner = ""
			}
		}
		prepared, err := inject.Prepare(set, kept...)
		if err != nil {
			return fmt.Errorf("%s: %w", given.at, err)
		}
		g.sets = append(g.sets, prepared)
		g.index.Put(set.Name, prepared.Scope, prepared)
	}
	return nil
}

// textMap reads labels. It is never nil.
func textMap(object jsonview.Value) map[string]string {
	all := map[string]string{}
	for key, value := range object.Fields() {
		all[key.Text()] = value.Text()
	}
	return all
}
