package webhook

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const (
	// PodCondition is the name of the one match condition of the Pod webhook.
	PodCondition = "selected-by-a-sidecarset"
	// podWebhookName is OpenKruise's.
	podWebhookName = "mpod.kb.io"
)

// podWebhook is the Pod webhook's entry in the mutating configuration. It is not installed with config/: an entry
// that the manifests own would be put back by every installation, for a moment without the condition that the
// SidecarSets need or, worse, with one that lets Pods pass without their sidecars. Nobody but us writes it, so
// before the first manager ran no Pod is blocked, and an upgrade changes nothing.
func podWebhook(namespace string, condition string) admissionregistrationv1.MutatingWebhook {
	return admissionregistrationv1.MutatingWebhook{
		Name:                    podWebhookName,
		AdmissionReviewVersions: []string{"v1"},
		ClientConfig: admissionregistrationv1.WebhookClientConfig{
			Service: &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: Service, Path: ptr.To(PodPath)},
		},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"},
				Scope: ptr.To(admissionregistrationv1.NamespacedScope),
			},
		}},
		// The system's own Pods and ours must start when we are down.
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{metav1.NamespaceSystem, namespace},
		}}},
		MatchConditions: []admissionregistrationv1.MatchCondition{{Name: PodCondition, Expression: condition}},
		FailurePolicy:   ptr.To(admissionregistrationv1.Fail),
		// Never: a second call would take back what other webhooks have changed in the injected containers.
		ReinvocationPolicy: ptr.To(admissionregistrationv1.NeverReinvocationPolicy),
		MatchPolicy:        ptr.To(admissionregistrationv1.Equivalent),
		SideEffects:        ptr.To(admissionregistrationv1.SideEffectClassNone),
		TimeoutSeconds:     ptr.To[int32](5),
	}
}

// podCondition returns the Pod webhook's condition; empty when it is not what we would have written.
func podCondition(config *admissionregistrationv1.MutatingWebhookConfiguration) string {
	w := findPodWebhook(config)
	if w == nil || len(w.MatchConditions) != 1 || w.MatchConditions[0].Name != PodCondition {
		return ""
	}
	return w.MatchConditions[0].Expression
}

// setPodCondition writes the Pod webhook's condition, and the webhook if it is not there.
func (r *Registration) setPodCondition(config *admissionregistrationv1.MutatingWebhookConfiguration, condition string) {
	if w := findPodWebhook(config); w != nil {
		w.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: PodCondition, Expression: condition}}
		return
	}
	w := podWebhook(r.options.Namespace, condition)
	r.address(&w.ClientConfig)
	config.Webhooks = append(config.Webhooks, w)
}

func findPodWebhook(config *admissionregistrationv1.MutatingWebhookConfiguration) *admissionregistrationv1.MutatingWebhook {
	for i := range config.Webhooks {
		if pathOf(&config.Webhooks[i].ClientConfig) == PodPath {
			return &config.Webhooks[i]
		}
	}
	return nil
}
