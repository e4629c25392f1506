// Package webhook answers the API server: what a Pod is given at its creation, whether a SidecarSet may be
// stored, and what an object is in another version. It also keeps the API server able to ask: certificates
// and the webhook configurations.
//
// It decides nothing itself: injection is internal/plan/inject, validation internal/kind, which Pods concern
// anybody internal/plan/scope. It never reaches into controllers.
//
// Start at pod.go for Pods, generic.go for every other kind, registration.go for the configurations,
// convert.go for versions, template.go for Pod templates, certs.go for certificates.
package webhook

// Paths that the webhooks are served at. The manifests in config/ name them.
const (
	PodPath                = "/mutate-pod"
	MutateSidecarSetPath   = "/mutate-apps-kruise-io-sidecarset"
	ValidateSidecarSetPath = "/validate-apps-kruise-io-sidecarset"
	DefaultCloneSetPath    = "/mutate-apps-kruise-io-cloneset"

	ValidatePodProbeMarkerPath = "/validate-apps-kruise-io-podprobemarker"
	ValidateCloneSetPath       = "/validate-apps-kruise-io-cloneset"
	ConvertPath                = "/convert"

	FillContainerRecreateRequestPath     = "/mutate-apps-kruise-io-containerrecreaterequest"
	ValidateContainerRecreateRequestPath = "/validate-apps-kruise-io-containerrecreaterequest"
)
