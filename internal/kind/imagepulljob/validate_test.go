package imagepulljob

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// TestValidate_aJobThatHasEnded refuses what would do nothing, and says of each field that it would; before the end all of it is
// accepted.
func TestValidate_aJobThatHasEnded(t *testing.T) {
	labels := metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	for path, change := range map[string]func(*v1beta1.ImagePullJobSpec){
		"":  func(*v1beta1.ImagePullJobSpec) {},
		" ": func(s *v1beta1.ImagePullJobSpec) { s.CompletionPolicy.TTLSecondsAfterFinished = ptr.To[int32](1) },
		"spec.selector": func(s *v1beta1.ImagePullJobSpec) {
			s.Selector = &v1beta1.ImagePullJobNodeSelector{LabelSelector: labels}
		},
		"spec.podSelector": func(s *v1beta1.ImagePullJobSpec) {
			s.PodSelector = &v1beta1.ImagePullJobPodSelector{LabelSelector: labels}
		},
		"spec.parallelism": func(s *v1beta1.ImagePullJobSpec) { s.Parallelism = ptr.To(intstr.FromInt32(7)) },
		"spec.pullPolicy": func(s *v1beta1.ImagePullJobSpec) {
			s.PullPolicy = &v1beta1.PullPolicy{TimeoutSeconds: ptr.To[int32](7)}
		},
		"spec.completionPolicy.type":                  func(s *v1beta1.ImagePullJobSpec) { s.CompletionPolicy.Type = v1beta1.CompletionNever },
		"spec.completionPolicy.activeDeadlineSeconds": func(s *v1beta1.ImagePullJobSpec) { s.CompletionPolicy.ActiveDeadlineSeconds = ptr.To[int64](7000) },
		"spec.sandboxConfig": func(s *v1beta1.ImagePullJobSpec) {
			s.SandboxConfig = &v1beta1.SandboxConfig{Labels: map[string]string{"a": "b"}}
		},
		"spec.imagePullPolicy": func(s *v1beta1.ImagePullJobSpec) { s.ImagePullPolicy = v1beta1.PullAlways },
	} {
		old := job(func(j *v1beta1.ImagePullJob) {
			j.Spec.CompletionPolicy.Type, j.Spec.ImagePullPolicy = v1beta1.CompletionAlways, v1beta1.PullIfNotPresent
		})
		changed := old.DeepCopy()
		change(&changed.Spec)
		if errs := Validate(changed, old); len(errs) > 0 {
			t.Errorf("%q while it runs: %v", path, errs)
		}
		old.Status.CompletionTime = &metav1.Time{Time: now()}
		errs := Validate(changed, old)
		if refused := path > " "; refused != (len(errs) == 1) || refused && errs[0].Field != path {
			t.Errorf("%q after its end: %v", path, errs)
		}
	}
}
