// Package kubectl is the root of the kubectl plugin: it gives package cli what only the root may know, the
// served versions of our kinds. It is apart from the manager's root so that the plugin stays small.
package kubectl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/outrigger-project/outrigger/api/apps/v1alpha1"
	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/cli"
)

// Run runs the plugin and returns its exit code.
func Run(args []string, in io.Reader, out, errs io.Writer) int {
	cmd := cli.New(cli.Streams{In: in, Out: out, Err: errs}, Decode)
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		_, _ = fmt.Fprintf(errs, "error: %v\n", err)
		return 1
	}
	return 0
}

// Decode reads a SidecarSet of either served version as v1beta1. A field that is not known is an error, as
// it is for kubectl apply.
func Decode(data []byte) (*v1beta1.SidecarSet, error) {
	var meta metav1.TypeMeta
	if err := json.Unmarshal(data, &meta); err != nil {
		return nil, fmt.Errorf("read SidecarSet: %w", err)
	}
	hub := &v1beta1.SidecarSet{}
	switch meta.APIVersion {
	case v1beta1.GroupVersion().String():
		if err := strict(data, hub); err != nil {
			return nil, err
		}
	case v1alpha1.GroupVersion().String():
		spoke := &v1alpha1.SidecarSet{}
		if err := strict(data, spoke); err != nil {
			return nil, err
		}
		if err := spoke.ConvertTo(hub); err != nil {
			return nil, fmt.Errorf("convert SidecarSet %s: %w", spoke.Name, err)
		}
	default:
		return nil, fmt.Errorf("apiVersion: %q: must be %s or %s", meta.APIVersion, v1beta1.GroupVersion(), v1alpha1.GroupVersion())
	}
	if hub.Name == "" {
		return nil, errors.New("metadata.name: required")
	}
	return hub, nil
}

func strict(data []byte, into any) error {
	unknown, err := kjson.UnmarshalStrict(data, into)
	if err != nil {
		return fmt.Errorf("read SidecarSet: %w", err)
	}
	return errors.Join(unknown...)
}
