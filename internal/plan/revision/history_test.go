package revision_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

func TestContent_hasAllFiveKeysAlways(t *testing.T) {
	data, err := revision.ContentOf(&v1beta1.SidecarSetSpec{Containers: []v1beta1.SidecarContainer{}}).Data()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"spec":{"$patch":"replace","volumes":null,"containers":null,"initContainers":null,"imagePullSecrets":null,"patchPodMetadata":null}}`
	if string(data) != want {
		t.Errorf("data is\n%s\nwant\n%s", data, want)
	}
}

func TestContent_isReadBackAndRestored(t *testing.T) {
	spec := parse(t, terse)
	spec.InitContainers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "init", Image: "init:1"}}}
	spec.Volumes = []corev1.Volume{{Name: "v"}}
	spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "s"}}
	spec.PatchPodMetadata = []v1beta1.SidecarSetPatchPodMetadata{{Annotations: map[string]string{"a": "b"}}}
	written := revision.ContentOf(spec)
	data, err := written.Data()
	if err != nil {
		t.Fatal(err)
	}
	read, err := revision.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(written, read); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	other := v1beta1.SidecarSetSpec{CustomVersion: "stays", Volumes: []corev1.Volume{{Name: "goes"}}}
	read.ApplyTo(&other)
	if diff := cmp.Diff(ofSpec(t, spec), ofSpec(t, &other)); diff != "" || other.CustomVersion != "stays" {
		t.Errorf("restored has other hashes or lost the rest: %s %+v", diff, other)
	}
	if got := other.InitContainers[0].PodInjectPolicy; got != v1beta1.AfterAppContainer {
		t.Errorf("an init container is restored to stand at %q", got)
	}
}

// Every field that is kept makes another revision, and writing a default out does not.
func TestIdentity_whatMakesARevision(t *testing.T) {
	identity := func(spec *v1beta1.SidecarSetSpec) string {
		id, err := revision.IdentityOf(spec)
		if err != nil {
			t.Fatal(err)
		}
		return id.Hash
	}
	if identity(parse(t, terse)) != identity(parse(t, verbose)) {
		t.Error("writing the defaults out makes another revision")
	}
	seen := map[string]string{identity(parse(t, terse)): "nothing"}
	for name, change := range map[string]func(*v1beta1.SidecarSetSpec){
		"image":       func(s *v1beta1.SidecarSetSpec) { s.Containers[0].Image = "x:2" },
		"volumes":     func(s *v1beta1.SidecarSetSpec) { s.Volumes = []corev1.Volume{{Name: "v"}} },
		"init":        func(s *v1beta1.SidecarSetSpec) { s.InitContainers = s.Containers },
		"secrets":     func(s *v1beta1.SidecarSetSpec) { s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "s"}} },
		"annotations": func(s *v1beta1.SidecarSetSpec) { s.PatchPodMetadata = make([]v1beta1.SidecarSetPatchPodMetadata, 1) },
	} {
		spec := parse(t, terse)
		change(spec)
		if other, same := seen[identity(spec)]; same {
			t.Errorf("%s makes the same revision as %s", name, other)
		}
		seen[identity(spec)] = name
	}
	spec := parse(t, terse)
	spec.UpdateStrategy.Paused, spec.CustomVersion = true, "v1"
	if seen[identity(spec)] != "nothing" {
		t.Error("a strategy or a custom version makes another revision")
	}
}

// The names are stored in Pods and ControllerRevisions.
func TestName_isStableOverReleases(t *testing.T) {
	id, err := revision.IdentityOf(parse(t, terse))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{revision.Name("a", id.Hash, nil), revision.Name("a", id.Hash, ptr.To[int32](0)), revision.Name("a", id.Hash, ptr.To[int32](1))}
	want := []string{"a-8d4f75bbw5dc47z4", "a-8d4f75bbw5dc47z4", "a-dd7fc5f47dwccd72"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func setOf(t *testing.T, image string) *v1beta1.SidecarSet {
	t.Helper()
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{
		Name: "a", UID: "owner", Labels: map[string]string{"team": "x"},
		Annotations: map[string]string{"note": "n", corev1.LastAppliedConfigAnnotation: "{}"},
	}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "c", Image: image}}}
	return set
}

func hashOf(t *testing.T, image string) string {
	t.Helper()
	id, err := revision.IdentityOf(&setOf(t, image).Spec)
	if err != nil {
		t.Fatal(err)
	}
	return id.Hash
}

func decide(t *testing.T, set *v1beta1.SidecarSet, h revision.History) revision.Decision {
	t.Helper()
	wanted, err := revision.WantedOf(set, ofSpec(t, &set.Spec))
	if err != nil {
		t.Fatal(err)
	}
	return revision.Decide(wanted, h)
}

func TestDecide(t *testing.T) {
	one := revision.Record{Name: "a-" + hashOf(t, "c:1"), UID: "1", Number: 1, Owner: "owner", Hash: hashOf(t, "c:1")}
	two := revision.Record{Name: "a-" + hashOf(t, "c:2"), UID: "2", Number: 2, Owner: "owner", Hash: hashOf(t, "c:2")}
	foreign := two
	foreign.Owner = "a deleted set of this name"
	renamed := one
	renamed.Name = "written-by-openkruise"
	for name, tc := range map[string]struct {
		image   string
		change  func(*v1beta1.SidecarSet)
		history revision.History
		want    string // the steps
		name    string
		hits    int32
		waiting bool
	}{
		"the first":             {image: "c:1", want: "CreateRevision ONE to ONE: the spec is in no revision yet; this is revision 1\n", name: one.Name},
		"the next":              {image: "c:2", history: revision.History{Records: []revision.Record{one}}, want: "CreateRevision TWO to TWO: the spec is in no revision yet; this is revision 2\n", name: two.Name},
		"the newest":            {image: "c:2", history: revision.History{Records: []revision.Record{two, one}}, name: two.Name},
		"an older one":          {image: "c:1", history: revision.History{Records: []revision.Record{two, one}}, want: "UpdateRevision ONE to ONE: the spec is that of revision 1 again, which becomes revision 3\n", name: one.Name},
		"of another name":       {image: "c:1", history: revision.History{Records: []revision.Record{renamed}}, name: renamed.Name},
		"a custom version":      {image: "c:2", change: custom("v2"), history: revision.History{Records: []revision.Record{one, two}}, want: "UpdateRevision TWO to TWO: its custom version is v2 now\n", name: two.Name},
		"name taken":            {image: "c:1", history: revision.History{Taken: []string{one.Name}}, want: "CreateRevision OTHER to OTHER: the spec is in no revision yet; this is revision 1\n", hits: 1},
		"of a deleted set":      {image: "c:2", history: revision.History{Records: []revision.Record{one, foreign}}, want: "CreateRevision OTHER to OTHER: the spec is in no revision yet; this is revision 2\n", hits: 1},
		"unseen write":          {image: "c:2", history: revision.History{Records: []revision.Record{one}, Unseen: true}, name: two.Name, waiting: true},
		"unseen write, current": {image: "c:1", history: revision.History{Records: []revision.Record{one}, Unseen: true}, name: one.Name},
	} {
		t.Run(name, func(t *testing.T) {
			set := setOf(t, tc.image)
			if tc.change != nil {
				tc.change(set)
			}
			d := decide(t, set, tc.history)
			steps := strings.NewReplacer(one.Name, "ONE", two.Name, "TWO", d.Name, "OTHER").Replace(plan.Plan{Steps: d.Steps}.String())
			if diff := cmp.Diff(tc.want, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if tc.name != "" && d.Name != tc.name || ptr.Deref(d.Collisions, 0) != tc.hits || d.Waiting != tc.waiting {
				t.Errorf("decided %s with %d collisions, waiting %t", d.Name, ptr.Deref(d.Collisions, 0), d.Waiting)
			}
		})
	}
}

func custom(version string) func(*v1beta1.SidecarSet) {
	return func(s *v1beta1.SidecarSet) { s.Spec.CustomVersion = version }
}

func TestDecide_whatANewRevisionCarries(t *testing.T) {
	set := setOf(t, "c:1")
	set.Labels[v1beta1.SidecarSetCustomVersionLabel] = "v1" // v1alpha1's form
	hashes := ofSpec(t, &set.Spec)
	r := decide(t, set, revision.History{}).Steps[0].Revision
	if diff := cmp.Diff(map[string]string{"team": "x", "kruise.io/sidecarset-name": "a", "apps.kruise.io/sidecarset-custom-version": "v1"}, r.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	want := map[string]string{"note": "n", "kruise.io/sidecarset-hash": hashes.Full, "kruise.io/sidecarset-hash-without-image": hashes.WithoutImage}
	if diff := cmp.Diff(want, r.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if object := (&appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: r.Data}}); revision.HashOf(object) != hashOf(t, "c:1") || !json.Valid(r.Data) {
		t.Errorf("data %s", r.Data)
	}
}

// Scenario row 26: 15 edits with limit 10 keep 6…15.
func TestForget(t *testing.T) {
	var history []revision.Record
	for i := range int64(15) {
		history = append(history, revision.Record{Name: string(rune('a' + i)), Number: i + 1})
	}
	forgotten := func(limit int, used string) string {
		var names []string
		for _, s := range revision.Forget(history, limit, func(r revision.Record) bool { return strings.Contains(used, r.Name) }) {
			names = append(names, s.Unit.Name)
		}
		if !slices.IsSorted(names) {
			t.Errorf("limit %d: %v is not from the oldest on", limit, names)
		}
		return strings.Join(names, "")
	}
	for _, tc := range []struct {
		limit      int
		used, want string
	}{
		{10, "", "abcde"},
		{15, "", ""},
		{20, "", ""},
		{10, "bd", "acefg"},
		{1, "", "abcdefghijklmn"},
		{0, "", "abcdefghijklmn"},
		{1, "abcdefghijklm", "n"},
	} {
		if got := forgotten(tc.limit, tc.used); got != tc.want {
			t.Errorf("limit %d, used %q: %q, want %q", tc.limit, tc.used, got, tc.want)
		}
	}
}
