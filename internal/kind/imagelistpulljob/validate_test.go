package imagelistpulljob

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// TestValidate_aJobThatHasEnded refuses what would do nothing.
func TestValidate_aJobThatHasEnded(t *testing.T) {
	old := &v1beta1.ImageListPullJob{Spec: v1beta1.ImageListPullJobSpec{Images: []v1beta1.ImageReference{"a:1"}}}
	old.Spec.CompletionPolicy.Type, old.Spec.ImagePullPolicy = v1beta1.CompletionAlways, v1beta1.PullIfNotPresent
	for want, change := range map[string]func(*v1beta1.ImageListPullJobSpec){
		"":                 func(s *v1beta1.ImageListPullJobSpec) { s.CompletionPolicy.TTLSecondsAfterFinished = ptr.To[int32](1) },
		"spec.images":      func(s *v1beta1.ImageListPullJobSpec) { s.Images = append(s.Images, "b:1") },
		"spec.pullSecrets": func(s *v1beta1.ImageListPullJobSpec) { s.PullSecrets = []string{"a"} },
		"spec.parallelism": func(s *v1beta1.ImageListPullJobSpec) { s.Parallelism = ptr.To(intstr.FromInt32(7)) },
	} {
		old, job := old.DeepCopy(), old.DeepCopy()
		change(&job.Spec)
		if errs := Validate(job, old); len(errs) > 0 {
			t.Errorf("%q while it runs: %v", want, errs)
		}
		old.Status.CompletionTime = &metav1.Time{Time: time.Unix(0, 0)}
		var paths []string
		for _, err := range Validate(job, old) {
			paths = append(paths, err.Field)
		}
		if strings.Join(paths, " ") != want {
			t.Errorf("%q after its end: refused are %q", want, paths)
		}
	}
}
