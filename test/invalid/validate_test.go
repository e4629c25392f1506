package invalid_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1alpha1"
	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/cloneset"
	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/kind/imagelistpulljob"
	"github.com/outrigger-project/outrigger/internal/kind/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
	"github.com/outrigger-project/outrigger/test/invalid"
)

// validate is what the validating webhook says, as far as no cluster is needed.
func validate(t *testing.T, table invalid.Table, c invalid.Case) []string {
	t.Helper()
	switch table.Resource {
	case "clonesets":
		return validateCloneSet(t, c)
	case "nodeimages":
		return validateHub(t, c, nodeimage.Validate)
	case "imagepulljobs":
		return validateHub(t, c, imagepulljob.Validate)
	case "imagelistpulljobs":
		return validateHub(t, c, imagelistpulljob.Validate)
	case "podprobemarkers":
		return validatePodProbeMarker(t, c)
	case "containerrecreaterequests":
		return validateContainerRecreateRequest(t, c)
	}
	return validateSidecarSet(t, c)
}

// validateHub is for kinds whose versions have the same structure.
func validateHub[T any](t *testing.T, c invalid.Case, validate func(object, old *T) field.ErrorList) []string {
	t.Helper()
	object := new(T)
	decode(t, c.Manifest, object)
	var old *T
	if c.Old != nil {
		old = new(T)
		decode(t, c.Old, old)
	}
	return texts(validate(object, old))
}

// TestImages_validateKnowsTheRulesOfTheSchema is the same for what pulls images.
func TestImages_validateKnowsTheRulesOfTheSchema(t *testing.T) {
	left := []string{"unknown field", "must be of type", "spec: Required", "more than a week"}
	for _, table := range []invalid.Table{invalid.NodeImages(), invalid.ImagePullJobs(), invalid.ImageListPullJobs()} {
		for _, c := range all(t, table) {
			if slices.ContainsFunc(left, func(l string) bool { return strings.Contains(strings.Join(c.Want, "\n"), l) }) || !json.Valid(c.Manifest) {
				continue
			}
			if strings.HasPrefix(c.Name, "parallelism too large") { // no Go number is
				continue
			}
			if errs := validate(t, table, c); len(errs) == 0 {
				t.Errorf("%s: Validate finds nothing; the schema says %q", c.Name, c.Want)
			}
		}
	}
}

func validateCloneSet(t *testing.T, c invalid.Case) []string {
	t.Helper()
	var old *v1beta1.CloneSet
	if c.Old != nil {
		old = hubCloneSet(t, c.Version, c.Old)
	}
	return texts(cloneset.Validate(hubCloneSet(t, c.Version, c.Manifest), old, nil, true))
}

// TestCloneSets_validateKnowsTheRulesOfTheSchema: where there is no schema, Validate alone says what is wrong. What it
// leaves to the API server is listed: types of fields, and the insides of a Pod template.
func TestCloneSets_validateKnowsTheRulesOfTheSchema(t *testing.T) {
	left := []string{"unknown field", "must be of type", "spec.template.spec.", "volumeMode", "annotations.scrape", "labels.x"}
	for _, c := range all(t, invalid.CloneSets()) {
		if slices.ContainsFunc(left, func(l string) bool { return strings.Contains(strings.Join(c.Want, "\n"), l) }) && c.By == invalid.Schema {
			continue
		}
		if errs := validateCloneSet(t, c); len(errs) == 0 {
			t.Errorf("%s: Validate finds nothing; the schema says %q", c.Name, c.Want)
		}
	}
}

func hubCloneSet(t *testing.T, version string, manifest []byte) *v1beta1.CloneSet {
	t.Helper()
	out, spoke := &v1beta1.CloneSet{}, &v1alpha1.CloneSet{}
	if version == "v1beta1" {
		decode(t, manifest, out)
		return out
	}
	decode(t, manifest, spoke)
	if err := spoke.ConvertTo(out); err != nil {
		t.Fatal(err)
	}
	return out
}

// validateContainerRecreateRequest is what both webhooks say.
func validateContainerRecreateRequest(t *testing.T, c invalid.Case) []string {
	t.Helper()
	r := hubContainerRecreateRequest(t, c.Version, c.Manifest)
	if c.Old != nil {
		old := hubContainerRecreateRequest(t, c.Version, c.Old)
		containerrecreaterequest.Fill(old, running())
		return texts(containerrecreaterequest.Validate(r, old, containerrecreaterequest.Target{}))
	}
	if errs := containerrecreaterequest.Sent(r); len(errs) > 0 {
		return texts(errs)
	}
	target := running()
	if r.Spec.PodName != target.Pod.Name {
		target.Pod = nil
	}
	containerrecreaterequest.Fill(r, target)
	return texts(containerrecreaterequest.Validate(r, nil, target))
}

// TestContainerRecreateRequests_validateKnowsTheRulesOfTheSchema but for types of fields.
func TestContainerRecreateRequests_validateKnowsTheRulesOfTheSchema(t *testing.T) {
	left := []string{"unknown field", `Invalid value: "`, "spec: Required", "statusContext", "restartPolicy"}
	for _, c := range all(t, invalid.ContainerRecreateRequests()) {
		if slices.ContainsFunc(left, func(l string) bool { return strings.Contains(strings.Join(c.Want, "\n"), l) }) && c.By == invalid.Schema {
			continue
		}
		if errs := validateContainerRecreateRequest(t, c); len(errs) == 0 {
			t.Errorf("%s: Validate finds nothing; the schema says %q", c.Name, c.Want)
		}
	}
}

// running is the Pod of the cases, as kubelet reports it.
func running() containerrecreaterequest.Target {
	pod := invalid.ContainerRecreateRequests().Pods[0].DeepCopy()
	pod.UID, pod.Spec.NodeName, pod.Status.Phase = "u1", "node-1", corev1.PodRunning
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, ContainerID: "containerd://" + c.Name})
	}
	return containerrecreaterequest.Target{Pod: pod}
}

func hubContainerRecreateRequest(t *testing.T, version string, manifest []byte) *v1beta1.ContainerRecreateRequest {
	t.Helper()
	out, spoke := &v1beta1.ContainerRecreateRequest{}, &v1alpha1.ContainerRecreateRequest{}
	if version == "v1beta1" {
		decode(t, manifest, out)
		return out
	}
	decode(t, manifest, spoke)
	if err := spoke.ConvertTo(out); err != nil {
		t.Fatal(err)
	}
	return out
}

func validateSidecarSet(t *testing.T, c invalid.Case) []string {
	t.Helper()
	var old *v1beta1.SidecarSet
	if c.Old != nil {
		old = hubSidecarSet(t, c.Version, c.Old)
	}
	var others []sidecarset.Other
	for _, data := range c.Others {
		set := hubSidecarSet(t, c.Version, data)
		s, err := scope.Of(&set.Spec)
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, sidecarset.Other{Set: set, Scope: s})
	}
	set := hubSidecarSet(t, c.Version, c.Manifest)
	errs := sidecarset.Validate(set, old, others)
	if len(errs) == 0 && sidecarset.NeedsRevisions(set, old) {
		errs = sidecarset.ValidateRevision(set, old, others, nil)
	}
	return texts(errs)
}

func hubSidecarSet(t *testing.T, version string, manifest []byte) *v1beta1.SidecarSet {
	t.Helper()
	out, spoke := &v1beta1.SidecarSet{}, &v1alpha1.SidecarSet{}
	if version == "v1beta1" {
		decode(t, manifest, out)
		return out
	}
	decode(t, manifest, spoke)
	if err := spoke.ConvertTo(out); err != nil {
		t.Fatal(err)
	}
	return out
}

func decode(t *testing.T, manifest []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(manifest, into); err != nil {
		t.Fatal(err)
	}
}
