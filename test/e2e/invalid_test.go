package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/test/env"
	"github.com/outrigger-project/outrigger/test/invalid"
)

// TestBadInput_managerRunning sends every invalid object of the tables.
func TestBadInput_managerRunning(t *testing.T) {
	whitelist(t, `{"rules":[{"allowedAnnotationKeyExprs":[".*"]}]}`) // for the valid sets that conflicts are with
	for _, table := range invalid.Tables() {
		runPods(t, table.Pods)
		for _, c := range cases(t, table) {
			t.Run(table.Resource+"/"+c.Name, func(t *testing.T) { refuse(t, table, c) })
		}
	}
}

// TestBadInput_managerStopped sends those that the schema refuses: the answer does not change.
func TestBadInput_managerStopped(t *testing.T) {
	if err := cluster.StopManager(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.StartManager(context.Background(), false); err != nil {
			t.Fatal(err)
		}
	})
	for _, table := range invalid.Tables() {
		all := cases(t, table)
		alone := slices.DeleteFunc(slices.Clone(all), func(c invalid.Case) bool {
			return c.By != invalid.Schema || c.Old != nil || c.Others != nil // these need objects that nobody admits now
		})
		if 2*len(alone) < len(all) {
			t.Errorf("only %d of %d cases of %s are refused without the manager", len(alone), len(all), table.Resource)
		}
		for _, c := range alone {
			t.Run(table.Resource+"/"+c.Name, func(t *testing.T) { refuse(t, table, c) })
		}
		t.Logf("%d of %d cases of %s are refused with the manager stopped", len(alone), len(all), table.Resource)
	}
	t.Run("a quantity with a fraction", func(t *testing.T) {
		fraction := strings.Replace(string(invalid.SidecarSets().Valid("v1beta1")), `"image":`, `"resources":{"limits":{"cpu":0.5}},"image":`, 1)
		refuse(t, invalid.SidecarSets(), invalid.Case{Version: "v1beta1", Manifest: []byte(fraction), Want: []string{"spec.containers[0].resources.limits.cpu in body must be of type integer,string"}})
	})
}

// runPods has Pods run until the test ends.
func runPods(t *testing.T, pods []*corev1.Pod) {
	t.Helper()
	for _, pod := range pods {
		all := cluster.Client.CoreV1().Pods(pod.Namespace)
		if _, err := all.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := all.Delete(context.Background(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
				t.Error(err)
			}
		})
		eventually(t, time.Minute, func(ctx context.Context) error {
			now, err := all.Get(ctx, pod.Name, metav1.GetOptions{})
			if err == nil && now.Status.Phase != corev1.PodRunning {
				err = fmt.Errorf("pod %s does not run: its phase is %q", pod.Name, now.Status.Phase)
			}
			return err
		})
	}
}

func cases(t *testing.T, table invalid.Table) []invalid.Case {
	t.Helper()
	all, err := table.All()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// refuse sends one case and looks at the answer.
func refuse(t *testing.T, table invalid.Table, c invalid.Case) {
	client, err := dynamic.NewForConfig(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	all := client.Resource(schema.GroupVersionResource{Group: "apps.kruise.io", Version: c.Version, Resource: table.Resource})
	sets := dynamic.ResourceInterface(all)
	if table.Namespaced {
		sets = all.Namespace("default")
	}
	for _, other := range c.Others {
		store(t, sets, other)
	}
	bad := object(t, c.Manifest)
	if c.Old == nil {
		_, err = sets.Create(t.Context(), bad, metav1.CreateOptions{FieldValidation: "Strict"})
		if err == nil {
			_ = sets.Delete(t.Context(), bad.GetName(), metav1.DeleteOptions{})
		}
	} else {
		store(t, sets, c.Old)
		err = retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the controller writes the status meanwhile
			stored, err := sets.Get(t.Context(), bad.GetName(), metav1.GetOptions{})
			if err != nil {
				return err
			}
			bad.SetResourceVersion(stored.GetResourceVersion())
			_, err = sets.Update(t.Context(), bad, metav1.UpdateOptions{FieldValidation: "Strict"})
			return err
		})
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("it was not refused: %v", err)
	}
	if code := status.Status().Code; code != 422 && code != 403 && code != 400 {
		t.Errorf("it is answered with %d: %v", code, err)
	}
	for _, want := range c.Want {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the answer is\n%v\nwant it to say\n%s", err, want)
		}
	}
}

// store creates a valid object until the test ends.
func store(t *testing.T, sets dynamic.ResourceInterface, manifest []byte) {
	t.Helper()
	stored, err := sets.Create(t.Context(), object(t, manifest), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := sets.Delete(ctx, stored.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if err := env.Eventually(ctx, time.Minute, func(ctx context.Context) error { // its controller may have to let it go
			now, err := sets.Get(ctx, stored.GetName(), metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err), err == nil && now.GetUID() != stored.GetUID():
				return nil
			case err == nil:
				err = fmt.Errorf("%s is still there", stored.GetName())
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}

func object(t *testing.T, manifest []byte) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(manifest, &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}
