package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDependencies_stayLight: the launcher builds in seconds because it does
// not import what takes minutes to compile; that belongs into cmd/kube.
func TestDependencies_stayLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "k8s.io/client-go/kubernetes\n") {
		t.Fatal("client-go is not among the dependencies: this check does not see")
	}
	for pkg := range strings.Lines(string(out)) {
		for _, heavy := range []string{"k8s.io/kubernetes/", "k8s.io/apiserver/", "go.etcd.io/"} {
			if strings.HasPrefix(pkg, heavy) {
				t.Errorf("cmd/devcluster imports %s", strings.TrimSpace(pkg))
			}
		}
	}
}
