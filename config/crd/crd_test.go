// Package crd tests the generated CustomResourceDefinitions against the API server's own rules for them.
package crd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"sigs.k8s.io/yaml"
)

// The API server's own validation includes that schemas are structural, that CEL compiles and that its
// estimated cost stays within the budget.
func TestCRD_isAcceptedByTheAPIServer(t *testing.T) {
	for file, v1 := range definitions(t) {
		apiextensionsv1.SetDefaults_CustomResourceDefinition(v1)
		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
		if webhook := v1.Spec.Conversion.Webhook; webhook != nil {
			apiextensionsv1.SetDefaults_ServiceReference(webhook.ClientConfig.Service)
		}
		var crd apiextensions.CustomResourceDefinition
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(v1, &crd, nil); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		crd.Status.StoredVersions = []string{"v1beta1"}
		for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), &crd) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// kubectl apply keeps the whole object in an annotation, and annotations may hold 256 KiB. etcd takes 1.5 MB.
func TestCRD_fitsIntoOneClientSideApply(t *testing.T) {
	for file, crd := range definitions(t) {
		data, err := json.Marshal(crd)
		if err != nil {
			t.Fatal(err)
		}
		if limit := 250_000; len(data) > limit {
			t.Errorf("%s: %d bytes, more than %d", file, len(data), limit)
		}
	}
}

func definitions(t *testing.T) map[string]*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob("apps.*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions found: %v", err)
	}
	all := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(data, crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[file] = crd
	}
	return all
}
