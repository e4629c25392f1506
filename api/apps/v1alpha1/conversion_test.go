package v1alpha1

import (
	"encoding/json"
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

func TestConversion_keepsWhatV1beta1CannotSay(t *testing.T) {
	byTeam := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	byName := func(ns string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": ns}}
	}
	tests := map[string]struct {
		spoke   SidecarSetSpec
		wantHub *metav1.LabelSelector
		change  func(hub *v1beta1.SidecarSet)
		want    SidecarSetSpec
	}{
		"namespace": {
			spoke:   SidecarSetSpec{Namespace: "ns-1"},
			wantHub: byName("ns-1"),
			want:    SidecarSetSpec{Namespace: "ns-1"},
		},
		"namespace wins, and the selector beside it is kept": {
			spoke:   SidecarSetSpec{Namespace: "ns-1", NamespaceSelector: byTeam},
			wantHub: byName("ns-1"),
			want:    SidecarSetSpec{Namespace: "ns-1", NamespaceSelector: byTeam},
		},
		"selector that looks like a namespace stays a selector": {
			spoke:   SidecarSetSpec{NamespaceSelector: byName("ns-1")},
			wantHub: byName("ns-1"),
			want:    SidecarSetSpec{NamespaceSelector: byName("ns-1")},
		},
		"selector changed in v1beta1 since": {
			spoke:   SidecarSetSpec{Namespace: "ns-1"},
			wantHub: byName("ns-1"),
			change:  func(hub *v1beta1.SidecarSet) { hub.Spec.NamespaceSelector = byTeam },
			want:    SidecarSetSpec{NamespaceSelector: byTeam},
		},
		"selector removed in v1beta1 since": {
			spoke:   SidecarSetSpec{Namespace: "ns-1"},
			wantHub: byName("ns-1"),
			change:  func(hub *v1beta1.SidecarSet) { hub.Spec.NamespaceSelector = nil },
			want:    SidecarSetSpec{},
		},
		"nonsense in the annotation": {
			wantHub: nil,
			change: func(hub *v1beta1.SidecarSet) {
				hub.Annotations = map[string]string{v1beta1.SidecarSetScopeAnnotation: "{"}
			},
			want: SidecarSetSpec{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hub, back := &v1beta1.SidecarSet{}, &SidecarSet{}
			if err := (&SidecarSet{Spec: test.spoke}).ConvertTo(hub); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.wantHub, hub.Spec.NamespaceSelector); diff != "" {
				t.Errorf("hub (-want +got):\n%s", diff)
			}
			if test.change != nil {
				test.change(hub)
			}
			if err := back.ConvertFrom(hub); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&SidecarSet{Spec: test.want}, back); diff != "" {
				t.Errorf("back (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConversion_normalisesShortForms(t *testing.T) {
	tests := map[string]struct{ spoke, want string }{
		"share volume policy": {
			spoke: `{"selector":null,"containers":[{"name":"a","resources":{},"shareVolumePolicy":"enabled"}]}`,
			want:  `{"selector":null,"containers":[{"name":"a","resources":{},"shareVolumePolicy":{"type":"enabled"}}]}`,
		},
		"revision name": {
			spoke: `{"selector":null,"injectionStrategy":{"revisionName":"a-1"}}`,
			want:  `{"selector":null,"injectionStrategy":{"revision":{"revisionName":"a-1"}}}`,
		},
		"custom version": {
			spoke: `{"selector":null,"injectionStrategy":{"customVersion":"v1","paused":true}}`,
			want:  `{"selector":null,"injectionStrategy":{"paused":true,"revision":{"customVersion":"v1"}}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var spoke SidecarSet
			if err := json.Unmarshal([]byte(test.spoke), &spoke.Spec); err != nil {
				t.Fatal(err)
			}
			var hub v1beta1.SidecarSet
			if err := spoke.ConvertTo(&hub); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(hub.Spec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("hub (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConversion_customVersionIsALabel(t *testing.T) {
	spoke := &SidecarSet{}
	spoke.Labels = map[string]string{v1beta1.SidecarSetCustomVersionLabel: "v2"}
	hub, back := &v1beta1.SidecarSet{}, &SidecarSet{}
	if err := spoke.ConvertTo(hub); err != nil {
		t.Fatal(err)
	}
	if hub.Spec.CustomVersion != "v2" || len(hub.Labels) != 0 {
		t.Errorf("hub has customVersion %q and labels %v, want v2 and none", hub.Spec.CustomVersion, hub.Labels)
	}
	if err := back.ConvertFrom(hub); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(spoke, back); diff != "" {
		t.Errorf("back (-want +got):\n%s", diff)
	}
}

// FuzzRoundTrip converts made-up objects there and back, in both directions.
func FuzzRoundTrip(f *testing.F) {
	for seed := range int64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed int64) {
		fill := filler(seed)

		spoke, hub, backSpoke := &SidecarSet{}, &v1beta1.SidecarSet{}, &SidecarSet{}
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

		hub, spoke = &v1beta1.SidecarSet{}, &SidecarSet{}
		fill.Fill(hub)
		backHub := &v1beta1.SidecarSet{}
		if err := spoke.ConvertFrom(hub); err != nil {
			t.Fatal(err)
		}
		if err := spoke.ConvertTo(backHub); err != nil {
			t.Fatal(err)
		}
		expectEqual(t, "v1beta1", hub, backHub)
	})
}

func expectEqual(t *testing.T, what string, want, got any) {
	t.Helper()
	if equality.Semantic.DeepEqual(want, got) {
		return
	}
	t.Errorf("%s (-want +got):\n%s", what, cmp.Diff(asJSON(t, want), asJSON(t, got)))
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// filler makes objects as they may be stored. TypeMeta is the caller's of a conversion; short forms are
// normalised; the scope annotation is conversion's own; a v1beta1 object has no custom-version label,
// since admission refuses it.
func filler(seed int64) *randfill.Filler {
	clean := func(o *metav1.ObjectMeta) {
		delete(o.Annotations, v1beta1.SidecarSetScopeAnnotation)
		delete(o.Labels, v1beta1.SidecarSetCustomVersionLabel)
		o.ManagedFields = nil
	}
	return randfill.New().RandSource(rand.NewSource(seed)).NilChance(0.4).NumElements(0, 2).MaxDepth(9).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63n(1000), resource.DecimalSI)
		},
		func(i *intstr.IntOrString, c randfill.Continue) { *i = intstr.FromInt32(c.Int31n(100)) },
		func(p *corev1.Probe, c randfill.Continue) { p.PeriodSeconds = c.Int31n(10) },
		func(v *corev1.VolumeSource, _ randfill.Continue) { v.EmptyDir = &corev1.EmptyDirVolumeSource{} },
		func(_ *metav1.TypeMeta, _ randfill.Continue) {},
		func(s *SidecarSet, c randfill.Continue) {
			c.FillNoCustom(s)
			clean(&s.ObjectMeta)
			if c.Bool() {
				s.Labels = map[string]string{v1beta1.SidecarSetCustomVersionLabel: "v1", "other": ""}
			}
			s.Spec.InjectionStrategy.RevisionName, s.Spec.InjectionStrategy.CustomVersion = "", ""
		},
		func(s *v1beta1.SidecarSet, c randfill.Continue) {
			c.FillNoCustom(s)
			clean(&s.ObjectMeta)
		},
	)
}
