package e2e

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// cloneSet is one that has no Pods.
const cloneSet = `
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {name: admission, namespace: default}
spec:
  replicas: 0
  selector: {matchLabels: {app: admission}}
  updateStrategy: {type: InPlaceIfPossible, partition: 1}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
  template:
    metadata: {labels: {app: admission}}
    spec:
      containers:
      - name: main
        image: nginx:1.14.2
        volumeMounts: [{name: data, mountPath: /data}]
`

func applyCloneSet(t *testing.T) {
	t.Helper()
	kubectl(t, cloneSet, "apply", "-f", "-")
	t.Cleanup(func() {
		if out, err := cluster.Kubectl(context.Background(), "delete", "clone", "admission", "--ignore-not-found"); err != nil {
			t.Errorf("delete CloneSet admission: %v %s", err, out)
		}
	})
}

func field(t *testing.T, resource, path string) string {
	t.Helper()
	return kubectl(t, "", "get", resource, "admission", "-o", "jsonpath={"+path+"}")
}

func TestCloneSet_templateHasTheDefaultsOfPods(t *testing.T) {
	applyCloneSet(t)
	for path, want := range map[string]string{
		".spec.template.spec.restartPolicy":                 "Always",
		".spec.template.spec.terminationGracePeriodSeconds": "30",
		".spec.template.spec.containers[0].imagePullPolicy": "IfNotPresent",
		".spec.template.spec.volumes":                       "",
		".spec.template.metadata":                           `{"labels":{"app":"admission"}}`,
		".spec.updateStrategy.maxUnavailable":               "20%",
	} {
		if got := field(t, "clonesets.v1alpha1.apps.kruise.io", path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	kubectl(t, cloneSet, "apply", "-f", "-")
	if got := field(t, "clone", ".metadata.generation"); got != "1" {
		t.Errorf("applied a second time it is generation %s, want 1: nothing changed", got)
	}
}

func TestCloneSet_isTheSameInBothVersions(t *testing.T) {
	applyCloneSet(t)
	for path, want := range map[string]string{
		".spec.updateStrategy.type":                          "RollingUpdate",
		".spec.updateStrategy.rollingUpdate.podUpdatePolicy": "InPlaceIfPossible",
		".spec.updateStrategy.rollingUpdate.partition":       "1",
		".spec.scaleStrategy.enablePVCReuse":                 "true",
	} {
		if got := field(t, "clonesets.v1beta1.apps.kruise.io", path); got != want {
			t.Errorf("in v1beta1 %s is %q, want %q", path, got, want)
		}
	}
	kubectl(t, "", "label", "clonesets.v1alpha1.apps.kruise.io", "admission", "apps.kruise.io/cloneset-scaling-exclude-preparing-delete=true")
	if got := field(t, "clonesets.v1beta1.apps.kruise.io", ".spec.scaleStrategy.excludePreparingDelete"); got != "true" {
		t.Errorf("excludePreparingDelete is %q, want true", got)
	}
	kubectl(t, "", "patch", "clonesets.v1beta1.apps.kruise.io", "admission", "--type=merge", "-p", `{"spec":{"scaleStrategy":{"excludePreparingDelete":false}}}`)
	if got := field(t, "clonesets.v1alpha1.apps.kruise.io", ".metadata.labels"); got != "" {
		t.Errorf("labels are %s, want none", got)
	}
}

// What is wrong with the template the API server says, with the paths of the CloneSet.
func TestCloneSet_templateIsCheckedByTheAPIServer(t *testing.T) {
	applyCloneSet(t)
	for change, want := range map[string]string{
		`volumeMounts: [{name: nope, mountPath: /x}]`:                         `spec.template.spec.containers[0].volumeMounts[0].name: Not found: "nope"`,
		`resources: {limits: {cpu: 1}, requests: {cpu: 2}}`:                   `spec.template.spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`,
		`livenessProbe: {exec: {command: [a]}, httpGet: {port: 80, path: /}}`: `spec.template.spec.containers[0].livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type`,
		`envs: []`: `unknown field "spec.template.spec.containers[0].envs"`,
	} {
		for _, version := range []string{"v1alpha1", "v1beta1"} {
			manifest := strings.NewReplacer("volumeMounts: [{name: data, mountPath: /data}]", change, "v1alpha1", version,
				"updateStrategy: {type: InPlaceIfPossible, partition: 1}", "minReadySeconds: 1").Replace(cloneSet)
			out, err := cluster.KubectlIn(t.Context(), manifest, "apply", "-f", "-")
			if err == nil || !strings.Contains(out+err.Error(), want) {
				t.Errorf("%s in %s is answered with\n%s %v\nwant\n%s", change, version, out, err, want)
			}
		}
	}
	// Who does not ask for strictness gets a warning, and the template without the field, as with a Deployment.
	kubectl(t, "", "patch", "clone", "admission", "--type=json", "-p", `[{"op":"add","path":"/spec/template/spec/newer","value":1}]`)
	if got := field(t, "clone", ".spec.template.spec.newer"); got != "" {
		t.Errorf("the unknown field is stored: %s", got)
	}
}

func TestCloneSet_podsToDeleteMustBeItsOwn(t *testing.T) {
	applyCloneSet(t)
	yes := true
	pod := func(name string, uid types.UID) {
		_, err := cluster.Client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "admission"}, OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: "admission", UID: uid, Controller: &yes,
			}}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "nginx"}}, NodeName: "nowhere"},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // it may be gone: a CloneSet of no replicas deletes it
			_, _ = cluster.Kubectl(context.Background(), "delete", "pod", name, "--ignore-not-found", "--force", "--grace-period=0")
		})
	}
	pod("admission-foreign", "11111111-2222-3333-4444-555555555555")
	for name, want := range map[string]string{
		"admission-missing": `spec.scaleStrategy.podsToDelete[0]: Invalid value: "admission-missing": there is no Pod of this name`,
		"admission-foreign": `spec.scaleStrategy.podsToDelete[0]: Invalid value: "admission-foreign": is not a Pod of this CloneSet`,
	} {
		for _, version := range []string{"v1alpha1", "v1beta1"} {
			out, err := cluster.Kubectl(t.Context(), "patch", "clonesets."+version+".apps.kruise.io", "admission", "--type=merge", "-p", `{"spec":{"scaleStrategy":{"podsToDelete":["`+name+`"]}}}`)
			if err == nil || !strings.Contains(out+err.Error(), want) {
				t.Errorf("%s in %s is answered with\n%s %v\nwant\n%s", name, version, out, err, want)
			}
		}
	}
}

func TestCloneSet_hasColumnsAndScale(t *testing.T) {
	applyCloneSet(t)
	lines := strings.Split(kubectl(t, "", "get", "clone", "admission", "-o", "wide"), "\n")
	if got, want := strings.Fields(lines[0]), "NAME DESIRED UPDATED UPDATED_READY UPDATED_AVAILABLE READY TOTAL AGE CONTAINERS IMAGES SELECTOR"; strings.Join(got, " ") != want {
		t.Errorf("columns are %q, want %s", got, want)
	}
	if lines = strings.Split(kubectl(t, "", "get", "clone", "admission"), "\n"); strings.Contains(lines[0], "IMAGES") {
		t.Errorf("columns are %s, want the wide ones left out", lines[0])
	}
	kubectl(t, "", "patch", "clone", "admission", "--subresource=scale", "--type=merge", "-p", `{"spec":{"replicas":0}}`)
}
