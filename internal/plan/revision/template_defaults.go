package revision

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// normalSpec returns a copy of a template in which what makes the same Pods is the same: what the API server writes
// into a Pod that says nothing is written out (SetDefaults_PodSpec, SetDefaults_Pod and their neighbours in
// k8s.io/kubernetes/pkg/apis/core/v1/defaults.go), numbers are in one notation, and of the metadata only what Pods get
// from it is left.
func normalSpec(of *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	t := of.DeepCopy()
	t.ObjectMeta = metav1.ObjectMeta{Labels: t.Labels, Annotations: t.Annotations, Finalizers: t.Finalizers}
	spec := &t.Spec
	defaultPodSpec(spec)
	for i := range spec.Volumes {
		defaultVolume(&spec.Volumes[i].VolumeSource)
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			normalContainer(&list[i], spec.HostNetwork)
		}
	}
	normalQuantities(spec.Overhead)
	if spec.Resources != nil {
		normalQuantities(spec.Resources.Limits)
		normalQuantities(spec.Resources.Requests)
	}
	return t
}

func defaultPodSpec(spec *corev1.PodSpec) {
	orElse(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	orElse(&spec.DNSPolicy, corev1.DNSClusterFirst)
	orElse(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	orElse(&spec.SchedulerName, corev1.DefaultSchedulerName)
	orPoint(&spec.SecurityContext, corev1.PodSecurityContext{})
	orPoint(&spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	orPoint(&spec.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	emptyIsAbsent(&spec.Affinity)
}

func normalContainer(c *corev1.Container, hostNetwork bool) {
	defaultContainer(c)
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				normalHTTPGet(h.HTTPGet)
			}
		}
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil {
			normalHTTPGet(p.HTTPGet)
		}
	}
	if hostNetwork {
		for i := range c.Ports {
			orElse(&c.Ports[i].HostPort, c.Ports[i].ContainerPort)
		}
	}
	emptyIsAbsent(&c.Lifecycle)
	emptyIsAbsent(&c.SecurityContext)
	normalQuantities(c.Resources.Limits)
	normalQuantities(c.Resources.Requests)
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil {
			normalResourceRef(from.ResourceFieldRef)
		}
	}
}

// normalHTTPGet leaves the default protocol out, which API servers before Kubernetes 1.37 do not know.
func normalHTTPGet(h *corev1.HTTPGetAction) {
	defaultHTTPGet(h)
	if h != nil && h.Protocol != nil && *h.Protocol == corev1.HTTPProtocolHTTP1 {
		h.Protocol = nil
	}
}

// normalResourceRef writes the divisor out that kubelet takes for none.
func normalResourceRef(r *corev1.ResourceFieldSelector) {
	if r == nil {
		return
	}
	if r.Divisor.IsZero() {
		r.Divisor = *resource.NewQuantity(1, resource.DecimalSI)
	}
	r.Divisor = normalQuantity(r.Divisor)
}

// normalQuantities writes numbers as short as possible: 1Gi, 1024Mi and 1073741824 are 1Gi.
func normalQuantities(list corev1.ResourceList) {
	for name, quantity := range list {
		list[name] = normalQuantity(quantity)
	}
}

func normalQuantity(q resource.Quantity) resource.Quantity {
	q.RoundUp(resource.Milli)
	q.Add(resource.Quantity{}) // forgets how it was written
	decimal, binary := q.DeepCopy(), q.DeepCopy()
	decimal.Format, binary.Format = resource.DecimalSI, resource.BinarySI
	if len(binary.String()) >= len(decimal.String()) {
		return decimal
	}
	if read, err := resource.ParseQuantity(binary.String()); err != nil || read.Cmp(q) != 0 { // binary notation has no fractions
		return decimal
	}
	return binary
}

// orPoint sets a pointer that is nil.
func orPoint[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// emptyIsAbsent drops what says nothing.
func emptyIsAbsent[T comparable](field **T) {
	var zero T
	if *field != nil && **field == zero {
		*field = nil
	}
}
