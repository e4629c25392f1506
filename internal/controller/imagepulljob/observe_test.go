package imagepulljob

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kept"
)

// lookedAt is a cache with one job and one NodeImage; after is called when the NodeImages have been listed.
type lookedAt struct {
	job    *v1beta1.ImagePullJob
	listed *v1beta1.NodeImage
	newest *v1beta1.NodeImage
	after  func()
}

func (c *lookedAt) Job(types.NamespacedName) *v1beta1.ImagePullJob { return c.job }
func (c *lookedAt) Jobs() []*v1beta1.ImagePullJob                  { return nil }
func (c *lookedAt) Image(string) *v1beta1.NodeImage                { return c.newest }
func (c *lookedAt) Nodes() []*corev1.Node                          { return nil }
func (c *lookedAt) Owned(types.UID) []*kept.Pod                    { return nil }
func (c *lookedAt) Pods(string) []*kept.Pod                        { return nil }
func (c *lookedAt) Pod(string) *kept.Pod                           { return nil }
func (c *lookedAt) Images() []*v1beta1.NodeImage {
	listed := []*v1beta1.NodeImage{c.listed}
	c.after()
	return listed
}

// counting is an API server that takes everything, and counts the patches of NodeImages.
type counting struct{ patches int }

func (s *counting) Create(context.Context, schema.GroupVersionResource, string, []byte) (metav1.ObjectMeta, error) {
	return metav1.ObjectMeta{}, nil
}

func (s *counting) Patch(_ context.Context, r schema.GroupVersionResource, _, _, _ string, _ []byte) (string, error) {
	if r.Resource == "nodeimages" {
		s.patches++
	}
	return "7", nil
}

func (s *counting) Delete(context.Context, schema.GroupVersionResource, string, string, metav1.Preconditions) error {
	return nil
}

func (s *counting) Look(context.Context, schema.GroupVersionResource, string, string) (metav1.ObjectMeta, error) {
	return metav1.ObjectMeta{}, nil
}

// TestReconcile_aWriteThatIsSeenMeanwhile: our write comes back while the job is being looked at, after the NodeImages were
// listed. The look knows of it all the same.
func TestReconcile_aWriteThatIsSeenMeanwhile(t *testing.T) {
	before := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{
		Name: "n", UID: "u", ResourceVersion: "5", Labels: map[string]string{v1beta1.FakeNodeImageLabel: "true"},
	}}
	written := before.DeepCopy()
	written.ResourceVersion = "7"
	job := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "j", UID: "j", ResourceVersion: "1"}}
	job.Spec.Image = "r.example/a:1"
	c, s := &lookedAt{job: job, listed: before, newest: before, after: func() {}}, &counting{}
	r := newReconciler(c, s, nil, Options{}, time.Now)
	look := func() {
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "j"}}); err != nil {
			t.Fatal(err)
		}
	}
	look()
	c.after = func() { c.newest = written }
	look()
	if s.patches != 1 {
		t.Errorf("the NodeImage was written to %d times", s.patches)
	}
}
