package predownload

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

func template(images ...string) *v1beta1.PodTemplate {
	t := &v1beta1.PodTemplate{}
	t.Labels = map[string]string{"app": "web"}
	t.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "key"}}
	for i, image := range images {
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: []string{"main", "beside"}[i], Image: image})
	}
	return t
}

// rollout is one of ten Pods from web-1 to web-2, of which the main container gets another image.
func rollout() Observed {
	return Observed{
		Owner: plan.Unit{Namespace: "shop", Name: "web", UID: "u"}, Reference: Reference("apps.kruise.io/v1beta1", "CloneSet", "web", "u"),
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		From:     Revision{"web-1", template("web:1", "beside:1")}, To: Revision{"web-2", template("web:2", "beside:1")},
		Replicas: 10, Keep: 5, MaxUnavailable: 2, Options: OptionsOf(v1beta1.InPlaceUpdateStrategy{}),
	}
}

func job(name, revision string) Job {
	return Job{Unit: plan.Unit{Namespace: "shop", Name: name, UID: "uid-" + name}, Revision: revision}
}

func TestPlan(t *testing.T) {
	tests := map[string]struct {
		change func(*Observed)
		want   []string
	}{
		"a job for each container that changes": {func(*Observed) {}, []string{"CreateObject web-2-main"}},
		"two of them": {
			func(o *Observed) { o.To.Template = template("web:2", "beside:2") },
			[]string{"CreateObject web-2-main", "CreateObject web-2-beside"},
		},
		"once":           {func(o *Observed) { o.Jobs = []Job{job("web-2-main", "web-2")} }, nil},
		"none is needed": {func(o *Observed) { o.To.Template = template("web:1", "beside:1") }, nil},
		"of a rollout before": {
			func(o *Observed) { o.Jobs = []Job{job("web-0-main", "web-0"), job("web-2-main", "web-2")} },
			[]string{"DeleteObject web-0-main"},
		},
		"the rollout is over": {
			func(o *Observed) { o.From, o.Jobs = o.To, []Job{job("web-2-main", "web-2")} },
			[]string{"DeleteObject web-2-main"},
		},
		"one that goes already, or that we have written to": {func(o *Observed) {
			leaving, unseen := job("a", "web-0"), job("b", "web-0")
			leaving.Leaving, unseen.Unseen = true, true
			o.Jobs = []Job{leaving, unseen, job("web-2-main", "web-2")}
		}, nil},
		"a few pods":                  {func(o *Observed) { o.Replicas, o.Keep = 3, 1 }, []string{"NotPreDownloaded"}},
		"all at once":                 {func(o *Observed) { o.Keep, o.MaxUnavailable = 0, 10 }, []string{"NotPreDownloaded"}},
		"all but those kept":          {func(o *Observed) { o.MaxUnavailable = 10 }, []string{"CreateObject web-2-main"}},
		"made anew":                   {func(o *Observed) { o.Anew = true }, []string{"NotPreDownloaded"}},
		"not in place":                {func(o *Observed) { o.To.Template.Spec.HostNetwork = true }, []string{"NotPreDownloaded"}},
		"the old one is unknown":      {func(o *Observed) { o.From.Template = nil }, []string{"NotPreDownloaded"}},
		"the new one is not seen yet": {func(o *Observed) { o.To.Template = nil }, []string{"NotPreDownloaded"}},
		"refused":                     {func(o *Observed) { o.Refused = "quota" }, []string{"RefusedByAPIServer"}},
		"too early":                   {func(o *Observed) { o.MinUpdatedReady, o.UpdatedReady = 2, 1 }, []string{"WaitsForUpdated"}},
		"late enough":                 {func(o *Observed) { o.MinUpdatedReady, o.UpdatedReady = 2, 2 }, []string{"CreateObject web-2-main"}},
		"what is there stays when the numbers change": {
			func(o *Observed) { o.Replicas, o.Jobs = 1, []Job{job("web-2-main", "web-2")} }, []string{"NotPreDownloaded"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := rollout()
			tt.change(&o)
			p := Plan(o)
			var got []string
			for _, s := range p.Steps {
				if s.Why == "" {
					t.Errorf("%s has no reason", s.Unit.Name)
				}
				got = append(got, string(s.Verb)+" "+s.Unit.Name)
			}
			for _, h := range p.Holds {
				if h.Why == "" {
					t.Errorf("%s has no reason", h.Reason)
				}
				got = append(got, string(h.Reason))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlan_theJob(t *testing.T) {
	o := rollout()
	o.Parallelism, o.TimeoutSeconds = 5, 60
	o.From.Template.Spec.Containers[0].ImagePullPolicy, o.To.Template.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways, corev1.PullAlways
	var got map[string]any
	if err := json.Unmarshal(Plan(o).Steps[0].Create.Object, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "apps.kruise.io/v1beta1", "kind": "ImagePullJob",
		"metadata": map[string]any{
			"namespace": "shop", "name": "web-2-main", "labels": map[string]any{"controller-revision-hash": "web-2"},
			"ownerReferences": []any{map[string]any{"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet", "name": "web", "uid": "u", "controller": true}},
		},
		"spec": map[string]any{
			"image": "web:2", "pullSecrets": []any{"key"}, "parallelism": 5.0, "imagePullPolicy": "Always",
			"podSelector": map[string]any{
				"matchLabels":      map[string]any{"app": "web"},
				"matchExpressions": []any{map[string]any{"key": "controller-revision-hash", "operator": "NotIn", "values": []any{"web-2", "2"}}},
			},
			"pullPolicy":       map[string]any{"timeoutSeconds": 60.0, "backoffLimit": 1.0},
			"completionPolicy": map[string]any{"type": "Always"},
			"sandboxConfig":    map[string]any{"labels": map[string]any{"app": "web"}},
		},
	}
	delete(got, "status")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
}
