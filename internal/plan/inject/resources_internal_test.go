package inject

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// TODO(native sidecars are admitted): this becomes a golden. Until then Prepare refuses them, and their parts are put
// together here.
func TestPod_computesResourcesOfNativeSidecars(t *testing.T) {
	native, err := prepareContainer(&v1beta1.SidecarContainer{
		Container: corev1.Container{Name: "native", Image: "n:1", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)},
		ResourcesPolicy: &v1beta1.ResourcesPolicy{
			TargetContainersMode: v1beta1.TargetContainersModeSum,
			ResourcesExpr:        v1beta1.ResourcesExpr{Limits: &v1beta1.ResourceExprLimits{CPU: "cpu/2"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	set := &Set{Name: "one", initContainers: []container{native}, hash: []byte("{}"), hashWithoutImage: []byte("{}")}
	pod := `{"spec":{"containers":[{"name":"app","resources":{"limits":{"cpu":"3"}}}],"initContainers":[
		{"name":"of-the-pod","restartPolicy":"Always","resources":{"limits":{"cpu":1}}},{"name":"ends","resources":{"limits":{"cpu":9}}}]}}`
	result, err := Pod([]byte(pod), Facts{Sets: []*Set{set}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `"restartPolicy":"Always","resources":{"limits":{"cpu":"2"}}`; !strings.Contains(string(result.Patch), want) {
		t.Errorf("the patch is\n%s\nwant %s in it", result.Patch, want)
	}
}
