package revision

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Default writes out, in one of spec.containers or a native sidecar, what is meant when nothing is said: our own fields'
// defaults, and those that the API server gives a container of a Pod (SetDefaults_Container and its
// neighbours in k8s.io/kubernetes/pkg/apis/core/v1/defaults.go; requests default to limits).
func Default(c *v1beta1.SidecarContainer) {
	if c.Native() {
		orElse(&c.PodInjectPolicy, v1beta1.AfterAppContainer)
	}
	orElse(&c.PodInjectPolicy, v1beta1.BeforeAppContainer)
	orElse(&c.UpgradeStrategy.UpgradeType, v1beta1.ColdUpgrade)
	orElse(&c.ShareVolumePolicy.Type, v1beta1.ShareVolumePolicyDisabled)
	if c.ResourcesPolicy != nil {
		orElse(&c.ResourcesPolicy.TargetContainersNameRegex, v1beta1.EveryContainer)
	}
	for i := range c.TransferEnv {
		if from := c.TransferEnv[i].SourceContainerNameFrom; from != nil {
			defaultFieldRef(from.FieldRef)
		}
	}
	defaultContainer(&c.Container)
	if c.Lifecycle != nil {
		orElse(&c.Lifecycle.Type, v1beta1.StandardLifecycleType)
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				defaultHTTPGet(h.HTTPGet)
			}
		}
	}
}

func defaultContainer(c *corev1.Container) {
	orElse(&c.ImagePullPolicy, PullPolicy(c.Image))
	orElse(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	orElse(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		orElse(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		defaultEnvSource(c.Env[i].ValueFrom)
	}
	defaultResources(&c.Resources)
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		defaultProbe(p)
	}
}

// PullPolicy is the default for an image: Always for the tag latest, which is also meant when there is
// neither a tag nor a digest.
func PullPolicy(image string) corev1.PullPolicy {
	name, _, digested := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if tag == "latest" || !tagged && !digested {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func defaultEnvSource(s *corev1.EnvVarSource) {
	if s == nil {
		return
	}
	defaultFieldRef(s.FieldRef)
	if s.FileKeyRef != nil && s.FileKeyRef.Optional == nil {
		s.FileKeyRef.Optional = new(bool)
	}
}

func defaultFieldRef(f *corev1.ObjectFieldSelector) {
	if f != nil {
		orElse(&f.APIVersion, "v1")
	}
}

func defaultResources(r *corev1.ResourceRequirements) {
	for name, limit := range r.Limits {
		if r.Requests == nil {
			r.Requests = corev1.ResourceList{}
		}
		if _, set := r.Requests[name]; !set {
			r.Requests[name] = limit.DeepCopy()
		}
	}
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		for name, quantity := range list {
			quantity.RoundUp(resource.Milli)
			list[name] = quantity
		}
	}
}

func defaultProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	orElse(&p.TimeoutSeconds, 1)
	orElse(&p.PeriodSeconds, 10)
	orElse(&p.SuccessThreshold, 1)
	orElse(&p.FailureThreshold, 3)
	defaultHTTPGet(p.HTTPGet)
	if p.GRPC != nil && p.GRPC.Service == nil {
		p.GRPC.Service = new(string)
	}
}

func defaultHTTPGet(h *corev1.HTTPGetAction) {
	if h != nil {
		orElse(&h.Path, "/")
		orElse(&h.Scheme, corev1.URISchemeHTTP)
	}
}

// orElse sets a field that is not set.
func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
