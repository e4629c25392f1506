package v1alpha1

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/randfill"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Each case is a v1alpha1 CloneSet and what it is in v1beta1, both ways.
func TestCloneSetConversion_bothWays(t *testing.T) {
	tests := map[string]struct{ spoke, hub string }{
		"what is the same": {
			spoke: `{"spec":{"replicas":3,"selector":{"matchLabels":{"app":"a"}},"minReadySeconds":5,"revisionHistoryLimit":2,"progressDeadlineSeconds":60,
				"scaleStrategy":{"podsToDelete":["a-1"],"maxUnavailable":"10%","disablePVCReuse":true},"lifecycle":{"preDelete":{"finalizersHandler":["x/y"]}},
				"updateStrategy":{"type":"ReCreate","partition":3,"maxSurge":"20%","maxUnavailable":0,"paused":true}}}`,
			hub: `{"spec":{"replicas":3,"selector":{"matchLabels":{"app":"a"}},"minReadySeconds":5,"revisionHistoryLimit":2,"progressDeadlineSeconds":60,
				"scaleStrategy":{"podsToDelete":["a-1"],"maxUnavailable":"10%"},"lifecycle":{"preDelete":{"finalizersHandler":["x/y"]}},
				"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"podUpdatePolicy":"ReCreate","partition":3,"maxSurge":"20%","maxUnavailable":0,"paused":true}}}}`,
		},
		"claims are reused by default": {
			spoke: `{"spec":{"updateStrategy":{"type":"ReCreate"}}}`,
			hub:   `{"spec":{"scaleStrategy":{"enablePVCReuse":true},"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"podUpdatePolicy":"ReCreate"}}}}`,
		},
		"in place": {
			spoke: `{"spec":{"scaleStrategy":{"disablePVCReuse":true},"updateStrategy":{"type":"InPlaceIfPossible","inPlaceUpdateStrategy":{"gracePeriodSeconds":10}}}}`,
			hub:   `{"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"podUpdatePolicy":"InPlaceIfPossible","inPlaceUpdateStrategy":{"gracePeriodSeconds":10}}}}}`,
		},
		"OnDelete": {
			spoke: `{"spec":{"scaleStrategy":{"disablePVCReuse":true},"updateStrategy":{"type":"OnDelete","maxUnavailable":2}}}`,
			hub:   `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":{"podUpdatePolicy":"ReCreate","maxUnavailable":2}}}}`,
		},
		"OnDelete with a policy": {
			spoke: `{"metadata":{"annotations":{"apps.kruise.io/cloneset-v1beta1-pod-update-policy":"InPlaceOnly"}},
				"spec":{"scaleStrategy":{"disablePVCReuse":true},"updateStrategy":{"type":"OnDelete"}}}`,
			hub: `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":{"podUpdatePolicy":"InPlaceOnly"}}}}`,
		},
		"PreparingDelete excluded": {
			spoke: `{"metadata":{"labels":{"apps.kruise.io/cloneset-scaling-exclude-preparing-delete":"true","app":"a"}},
				"spec":{"scaleStrategy":{"disablePVCReuse":true},"updateStrategy":{"type":"ReCreate"}}}`,
			hub: `{"metadata":{"labels":{"app":"a"}},
				"spec":{"scaleStrategy":{"excludePreparingDelete":true},"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"podUpdatePolicy":"ReCreate"}}}}`,
		},
		"a label that says nothing stays": {
			spoke: `{"metadata":{"labels":{"apps.kruise.io/cloneset-scaling-exclude-preparing-delete":"false"}},
				"spec":{"scaleStrategy":{"disablePVCReuse":true},"updateStrategy":{"type":"ReCreate"}}}`,
			hub: `{"metadata":{"labels":{"apps.kruise.io/cloneset-scaling-exclude-preparing-delete":"false"}},
				"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"podUpdatePolicy":"ReCreate"}}}}`,
		},
		"pre-download": {
			spoke: `{"metadata":{"annotations":{"apps.kruise.io/image-predownload-parallelism":"5","apps.kruise.io/image-predownload-timeout-seconds":"+60",
				"apps.kruise.io/image-predownload-min-updated-ready-pods":"2"}},"spec":{"scaleStrategy":{"disablePVCReuse":true},"updateStrategy":{"type":"InPlaceOnly"}}}`,
			hub: `{"metadata":{"annotations":{"apps.kruise.io/image-predownload-timeout-seconds":"+60"}},
				"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"podUpdatePolicy":"InPlaceOnly",
				"inPlaceUpdateStrategy":{"imagePreDownloadParallelism":5,"imagePreDownloadMinUpdatedReadyPods":2}}}}}`,
		},
		"fields that Kubernetes has and this program does not know": {
			spoke: `{"spec":{"scaleStrategy":{"disablePVCReuse":true},"template":{"spec":{"containers":[{"name":"a","new":{"x":1}}],"newer":[1]},"metadata":{}},
				"volumeClaimTemplates":[{"spec":{"newest":true},"metadata":{"name":"data"}}],"updateStrategy":{"type":"ReCreate"}}}`,
			hub: `{"spec":{"template":{"spec":{"containers":[{"name":"a","new":{"x":1}}],"newer":[1]},"metadata":{}},
				"volumeClaimTemplates":[{"spec":{"newest":true},"metadata":{"name":"data"}}],
				"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"podUpdatePolicy":"ReCreate"}}}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spoke, hub := &CloneSet{}, &v1beta1.CloneSet{}
			read(t, test.spoke, spoke)
			if err := spoke.ConvertTo(hub); err != nil {
				t.Fatal(err)
			}
			expectSaid(t, "hub", test.hub, hub)
			back := &CloneSet{}
			read(t, test.hub, hub)
			if err := back.ConvertFrom(hub); err != nil {
				t.Fatal(err)
			}
			expectSaid(t, "spoke", test.spoke, back)
		})
	}
}

// A policy that was kept counts only while the type is still OnDelete.
func TestCloneSetConversion_keptPolicyIsForOnDelete(t *testing.T) {
	spoke, hub := &CloneSet{}, &v1beta1.CloneSet{}
	read(t, `{"metadata":{"annotations":{"apps.kruise.io/cloneset-v1beta1-pod-update-policy":"InPlaceOnly"}},"spec":{"updateStrategy":{"type":"InPlaceIfPossible"}}}`, spoke)
	if err := spoke.ConvertTo(hub); err != nil {
		t.Fatal(err)
	}
	if got := hub.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy; got != "InPlaceIfPossible" || len(hub.Annotations) != 0 {
		t.Errorf("policy is %s and annotations %v, want InPlaceIfPossible and none", got, hub.Annotations)
	}
}

// A template that was changed here is written as it is now, not as it was read.
func TestCloneSetTemplate_changesWin(t *testing.T) {
	var set v1beta1.CloneSet
	read(t, `{"spec":{"template":{"metadata":{},"spec":{"containers":[{"name":"a","image":"a:1"}],"newer":1}}}}`, &set)
	set.Spec.Template.Spec.Containers[0].Image = "a:2"
	got, err := json.Marshal(set.Spec.Template)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"metadata":{},"spec":{"containers":[{"name":"a","image":"a:2","resources":{}}]}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzCloneSetRoundTrip converts made-up objects there and back, in both directions.
func FuzzCloneSetRoundTrip(f *testing.F) {
	for seed := range int64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		fill := cloneSetFiller(seed)

		spoke, hub, backSpoke := &CloneSet{}, &v1beta1.CloneSet{}, &CloneSet{}
		fill.Fill(spoke)
		before := spoke.DeepCopy()
		if err := spoke.ConvertTo(hub); err != nil {
			t.Fatal(err)
		}
		if err := backSpoke.ConvertFrom(hub); err != nil {
			t.Fatal(err)
		}
		expectEqual(t, "v1alpha1", before, backSpoke)
		expectEqual(t, "input", before, spoke)

		hub, spoke = &v1beta1.CloneSet{}, &CloneSet{}
		fill.Fill(hub)
		beforeHub, backHub := hub.DeepCopy(), &v1beta1.CloneSet{}
		if err := spoke.ConvertFrom(hub); err != nil {
			t.Fatal(err)
		}
		if err := spoke.ConvertTo(backHub); err != nil {
			t.Fatal(err)
		}
		expectEqual(t, "v1beta1", beforeHub, backHub)
		expectEqual(t, "input", beforeHub, hub)
	})
}

// cloneSetFiller makes CloneSets as they may be stored: with the schema's defaults, which every stored object has.
func cloneSetFiller(seed int64) *randfill.Filler {
	return filler(seed).Funcs(
		func(s *CloneSet, c randfill.Continue) {
			c.FillNoCustom(s)
			s.ManagedFields = nil
			types := []CloneSetUpdateStrategyType{"ReCreate", "InPlaceIfPossible", "InPlaceOnly", "OnDelete"}
			s.Spec.UpdateStrategy.Type = types[c.Intn(len(types))]
			if c.Bool() {
				s.Labels = map[string]string{v1beta1.CloneSetExcludePreparingDeleteLabel: "true", "other": ""}
			}
			if s.Spec.UpdateStrategy.Type == "OnDelete" && c.Bool() {
				s.Annotations = map[string]string{v1beta1.CloneSetPodUpdatePolicyAnnotation: "InPlaceOnly"}
			}
			if c.Bool() {
				s.Annotations = with(s.Annotations, v1beta1.ImagePreDownloadParallelismAnnotation, []string{"3", "many"}[c.Intn(2)])
			}
		},
		func(s *v1beta1.CloneSet, c randfill.Continue) {
			c.FillNoCustom(s)
			s.ManagedFields = nil
			u := &s.Spec.UpdateStrategy
			u.Type = []v1beta1.CloneSetUpdateStrategyType{"RollingUpdate", "OnDelete"}[c.Intn(2)]
			u.RollingUpdate.PodUpdatePolicy = []v1beta1.CloneSetPodUpdatePolicy{"ReCreate", "InPlaceIfPossible", "InPlaceOnly"}[c.Intn(3)]
		},
		func(p *v1beta1.PodTemplate, c randfill.Continue) { c.Fill(&p.PodTemplateSpec) },
		func(p *v1beta1.VolumeClaimTemplate, c randfill.Continue) { c.Fill(&p.PersistentVolumeClaim) },
		func(m *metav1.ObjectMeta, c randfill.Continue) { c.FillNoCustom(m); m.ManagedFields = nil },
	)
}

func read(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// expectSaid compares what an object says with JSON that leaves out what is empty.
func expectSaid(t *testing.T, what, want string, got any) {
	t.Helper()
	var w, g map[string]any
	read(t, want, &w)
	read(t, asJSON(t, got), &g)
	if diff := cmp.Diff(filled(w), filled(g)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// filled drops what is empty: null, {} and a status of zeros.
func filled(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if child, ok := v.(map[string]any); ok {
			child = filled(child)
			v = child
			if len(child) == 0 {
				continue
			}
		}
		if v != nil && k != "status" {
			out[k] = v
		}
	}
	return out
}
