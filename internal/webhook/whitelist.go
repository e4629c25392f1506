package webhook

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
)

// +kubebuilder:rbac:groups="",namespace=kruise-system,resources=configmaps,resourceNames=kruise-configuration,verbs=get

// WhitelistFrom reads the whitelist of annotations from the manager's namespace, anew each time: few SidecarSets ask for
// it, and what an administrator has just written counts. defaultsAllowed is the feature gate
// SidecarSetPatchPodMetadataDefaultsAllowed.
func WhitelistFrom(live client.Reader, namespace string, defaultsAllowed bool) Whitelister {
	return liveWhitelist{live, sidecarset.Whitelist{Namespace: namespace, DefaultsAllowed: defaultsAllowed}}
}

type liveWhitelist struct {
	live  client.Reader
	empty sidecarset.Whitelist
}

// Whitelist implements Whitelister. Without a ConfigMap there is no rule.
func (l liveWhitelist) Whitelist(ctx context.Context) (sidecarset.Whitelist, error) {
	var config corev1.ConfigMap
	key := client.ObjectKey{Namespace: l.empty.Namespace, Name: sidecarset.WhitelistConfigMap}
	if err := client.IgnoreNotFound(l.live.Get(ctx, key, &config)); err != nil {
		return l.empty, fmt.Errorf("read the whitelist of annotations: %w", err)
	}
	found := l.empty
	found.Text = config.Data[sidecarset.WhitelistKey]
	return found, nil
}
