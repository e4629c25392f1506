package webhook

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// One file may hold a base and its canary: the watch has not shown the base yet, and the API server is asked.
func TestValidateSidecarSets_asksForTheBase(t *testing.T) {
	canary := strings.NewReplacer(
		`"name":"a"}`, `"name":"a","annotations":{"apps.kruise.io/sidecarset-canary":"true","apps.kruise.io/sidecarset-base":"base"}}`,
		`"spec":{`, `"spec":{"updateStrategy":{"type":"NotUpdate"},`).Replace(validSet)
	base := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "base"}}
	base.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}
	base.Spec.Containers = []v1beta1.SidecarContainer{{}}
	base.Spec.Containers[0].Name = "c"
	tests := map[string]struct {
		base        *v1beta1.SidecarSet
		err         error
		wantCode    int32
		wantMessage string
	}{
		"is there":     {base: base, wantCode: http.StatusOK},
		"is not there": {err: apierrors.NewNotFound(schema.GroupResource{Resource: "sidecarsets"}, "base"), wantCode: http.StatusUnprocessableEntity, wantMessage: "there is no SidecarSet of this name"},
		"cannot read":  {err: errors.New("no route"), wantCode: http.StatusServiceUnavailable, wantMessage: "read SidecarSet base: no route"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			admitted := NewAdmitted(func(_ context.Context, name string) (*v1beta1.SidecarSet, error) {
				if name != "base" {
					t.Errorf("read SidecarSet %s", name)
				}
				return test.base, test.err
			})
			h := ValidateSidecarSets(others{}, nil, &administrator{}, &coverer{}, admitted)
			answer := ask(t, h, admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(canary)})
			if answer.Result.Code != test.wantCode || !strings.Contains(answer.Result.Message, test.wantMessage) {
				t.Errorf("answered %d %s", answer.Result.Code, answer.Result.Message)
			}
		})
	}
}

// Sets that were admitted a moment ago are held against each other, before the watch shows them.
func TestValidateSidecarSets_knowsWhatWasAdmittedAMomentAgo(t *testing.T) {
	second := strings.Replace(validSet, `"name":"a"}`, `"name":"b"}`, 1)
	first, err := decodeSidecarSet([]byte(validSet))
	if err != nil {
		t.Fatal(err)
	}
	there := true
	h := ValidateSidecarSets(others{}, nil, &administrator{}, &coverer{}, NewAdmitted(func(context.Context, string) (*v1beta1.SidecarSet, error) {
		if !there {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "sidecarsets"}, "a")
		}
		return first, nil
	}))
	for _, step := range []struct {
		manifest string
		there    bool
		want     int32
	}{{validSet, false, http.StatusOK}, {second, true, http.StatusUnprocessableEntity}, {second, false, http.StatusOK}} {
		there = step.there
		if answer := ask(t, h, admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(step.manifest)}); answer.Result.Code != step.want {
			t.Errorf("answered %d %s, want %d", answer.Result.Code, answer.Result.Message, step.want)
		}
	}
}
