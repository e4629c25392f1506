package sidecarset

import (
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// The rules below are those of Kubernetes for the containers of a Pod (pkg/apis/core/validation, which cannot
// be imported): a SidecarSet that broke one would make every Pod that it matches fail.

// container is one container of a set and where it stands.
type container struct {
	*v1beta1.SidecarContainer
	at      *field.Path
	init    bool
	volumes []corev1.Volume
}

func eachContainer(check func(container) field.ErrorList) func(subject) field.ErrorList {
	return func(s subject) field.ErrorList {
		var errs field.ErrorList
		for _, c := range containersOf(s.set) {
			errs = append(errs, check(c)...)
		}
		return errs
	}
}

// containersOf lists the containers of a set, then its init containers.
func containersOf(set *v1beta1.SidecarSet) []container {
	spec, all := field.NewPath("spec"), make([]container, 0, len(set.Spec.Containers)+len(set.Spec.InitContainers))
	for i := range set.Spec.Containers {
		all = append(all, container{&set.Spec.Containers[i], spec.Child("containers").Index(i), false, set.Spec.Volumes})
	}
	for i := range set.Spec.InitContainers {
		all = append(all, container{&set.Spec.InitContainers[i], spec.Child("initContainers").Index(i), true, set.Spec.Volumes})
	}
	return all
}

func containerIsNamed(c container) field.ErrorList {
	return invalid(c.at.Child("name"), c.Name, validation.IsDNS1123Label(c.Name))
}

func imageIsGiven(c container) field.ErrorList {
	switch {
	case c.Image == "":
		return field.ErrorList{field.Required(c.at.Child("image"), "")}
	case strings.ContainsFunc(c.Image, unicode.IsSpace):
		return field.ErrorList{field.Invalid(c.at.Child("image"), c.Image, "must not contain white space")}
	}
	return nil
}

func enumsAreKnown(c container) field.ErrorList {
	errs := oneOf(c.at.Child("imagePullPolicy"), c.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	errs = append(errs, oneOf(c.at.Child("terminationMessagePolicy"), c.TerminationMessagePolicy, corev1.TerminationMessageFallbackToLogsOnError, corev1.TerminationMessageReadFile)...)
	errs = append(errs, oneOf(c.at.Child("podInjectPolicy"), c.PodInjectPolicy, v1beta1.AfterAppContainer, v1beta1.BeforeAppContainer)...)
	errs = append(errs, oneOf(c.at.Child("upgradeStrategy", "upgradeType"), c.UpgradeStrategy.UpgradeType, v1beta1.ColdUpgrade, v1beta1.HotUpgrade)...)
	if p := c.ShareVolumeDevicePolicy; p != nil {
		errs = append(errs, oneOf(c.at.Child("shareVolumeDevicePolicy", "type"), p.Type, v1beta1.ShareVolumePolicyDisabled, v1beta1.ShareVolumePolicyEnabled)...)
	}
	return append(errs, oneOf(c.at.Child("shareVolumePolicy", "type"), c.ShareVolumePolicy.Type, v1beta1.ShareVolumePolicyDisabled, v1beta1.ShareVolumePolicyEnabled)...)
}

// oneOf accepts the empty value, which means the default.
func oneOf[T ~string](at *field.Path, value T, known ...T) field.ErrorList {
	if value == "" {
		return nil
	}
	for _, k := range known {
		if value == k {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(at, value, known)}
}

func portsAreValid(c container) field.ErrorList {
	var errs field.ErrorList
	names := map[string]bool{}
	for i, p := range c.Ports {
		at := c.at.Child("ports").Index(i)
		errs = append(errs, invalid(at.Child("containerPort"), p.ContainerPort, validation.IsValidPortNum(int(p.ContainerPort)))...)
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
		if p.Name != "" {
			errs = append(errs, invalid(at.Child("name"), p.Name, validation.IsValidPortName(p.Name))...)
			if names[p.Name] {
				errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
			}
			names[p.Name] = true
		}
		if p.HostPort != 0 {
			errs = append(errs, invalid(at.Child("hostPort"), p.HostPort, validation.IsValidPortNum(int(p.HostPort)))...)
		}
	}
	return errs
}

func probesAreValid(c container) field.ErrorList {
	if c.init && !c.Native() && (c.LivenessProbe != nil || c.ReadinessProbe != nil || c.StartupProbe != nil || c.Lifecycle != nil) {
		return field.ErrorList{field.Forbidden(c.at, "an init container has neither probes nor lifecycle, unless restartPolicy is Always")}
	}
	errs := append(probeIsValid(c.at.Child("livenessProbe"), c.LivenessProbe, 1), probeIsValid(c.at.Child("startupProbe"), c.StartupProbe, 1)...)
	if c.ReadinessProbe != nil && c.ReadinessProbe.TerminationGracePeriodSeconds != nil {
		errs = append(errs, field.Invalid(c.at.Child("readinessProbe", "terminationGracePeriodSeconds"), *c.ReadinessProbe.TerminationGracePeriodSeconds, "must not be set for readinessProbes"))
	}
	return append(errs, probeIsValid(c.at.Child("readinessProbe"), c.ReadinessProbe, 1<<30)...)
}

func probeIsValid(at *field.Path, p *corev1.Probe, maxSuccess int32) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := exactlyOne(at, "handler", p.Exec != nil, p.GRPC != nil, p.HTTPGet != nil, p.TCPSocket != nil)
	errs = append(errs, handlerIsValid(at, p.Exec, p.HTTPGet, p.TCPSocket)...)
	if t := p.TerminationGracePeriodSeconds; t != nil && *t <= 0 {
		errs = append(errs, field.Invalid(at.Child("terminationGracePeriodSeconds"), *t, "must be greater than 0"))
	}
	if p.GRPC != nil {
		errs = append(errs, invalid(at.Child("grpc", "port"), p.GRPC.Port, validation.IsValidPortNum(int(p.GRPC.Port)))...)
	}
	if p.SuccessThreshold > maxSuccess {
		errs = append(errs, field.Invalid(at.Child("successThreshold"), p.SuccessThreshold, "must be 1"))
	}
	for _, n := range []struct {
		name  string
		value int32
	}{
		{"failureThreshold", p.FailureThreshold}, {"initialDelaySeconds", p.InitialDelaySeconds}, {"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold}, {"timeoutSeconds", p.TimeoutSeconds},
	} {
		if n.value < 0 {
			errs = append(errs, field.Invalid(at.Child(n.name), n.value, "must be greater than or equal to 0"))
		}
	}
	return errs
}

// hostPortsAreUnique: the containers of a Pod share the host's ports; init containers end before the others begin.
func hostPortsAreUnique(s subject) field.ErrorList {
	taken := map[string]bool{}
	return eachContainer(func(c container) field.ErrorList {
		var errs field.ErrorList
		for i, p := range c.Ports {
			at := c.at.Child("ports").Index(i).Child("hostPort")
			switch {
			case p.HostPort == 0 || !c.runsAlong():
				continue
			case taken[hostPort(p)]:
				errs = append(errs, field.Duplicate(at, p.HostPort))
			case c.UpgradeStrategy.UpgradeType == v1beta1.HotUpgrade:
				errs = append(errs, field.Invalid(at, p.HostPort, "must not be set with HotUpgrade: both of its containers would take it"))
			}
			taken[hostPort(p)] = true
		}
		return errs
	})(s)
}

// restartPolicyIsAlways: what Kubernetes allows of an init container, and the only one that has a meaning here.
func restartPolicyIsAlways(c container) field.ErrorList {
	at := c.at.Child("restartPolicy")
	switch {
	case c.RestartPolicy == nil:
		return nil
	case !c.init:
		return field.ErrorList{field.Forbidden(at, "only initContainers have one here; lifecycle.type Sidecar makes a native sidecar")}
	}
	return oneOf(at, *c.RestartPolicy, corev1.ContainerRestartPolicyAlways)
}

// hotUpgradeIsPossible: the two containers of a hot upgrade are told apart by their images and by -1 and -2.
func hotUpgradeIsPossible(c container) field.ErrorList {
	at, empty := c.at.Child("upgradeStrategy", "hotUpgradeEmptyImage"), c.UpgradeStrategy.HotUpgradeEmptyImage
	var errs field.ErrorList
	if upgradeType(c.SidecarContainer) != v1beta1.HotUpgrade {
		if empty != "" {
			errs = append(errs, field.Invalid(at, empty, "upgradeStrategy.hotUpgradeEmptyImage is only for upgradeType HotUpgrade"))
		}
		return errs
	}
	switch {
	case empty == "" || empty == c.Image:
		errs = append(errs, field.Invalid(at, empty, "upgradeType HotUpgrade needs hotUpgradeEmptyImage, another one than image"))
	case strings.ContainsFunc(empty, unicode.IsSpace):
		errs = append(errs, field.Invalid(at, empty, "must not contain white space"))
	}
	if c.init && !c.Native() {
		errs = append(errs, field.Invalid(c.at.Child("upgradeStrategy", "upgradeType"), v1beta1.HotUpgrade,
			"an init container ends before the others begin, and is never upgraded: only those with restartPolicy Always can have HotUpgrade"))
	}
	if len(c.Name) > 61 {
		errs = append(errs, field.Invalid(c.at.Child("name"), c.Name, "must be at most 61 characters with upgradeType HotUpgrade, which appends -1 and -2"))
	}
	return errs
}

func lifecycleIsValid(c container) field.ErrorList {
	if c.Lifecycle == nil {
		return nil
	}
	errs := oneOf(c.at.Child("lifecycle", "type"), c.Lifecycle.Type, v1beta1.SidecarLifecycleType, v1beta1.StandardLifecycleType)
	errs = append(errs, hookIsValid(c.at.Child("lifecycle", "postStart"), c.Lifecycle.PostStart)...)
	return append(errs, hookIsValid(c.at.Child("lifecycle", "preStop"), c.Lifecycle.PreStop)...)
}

func hookIsValid(at *field.Path, h *corev1.LifecycleHandler) field.ErrorList {
	if h == nil {
		return nil
	}
	errs := exactlyOne(at, "handler", h.Exec != nil, h.HTTPGet != nil, h.Sleep != nil, h.TCPSocket != nil)
	if h.Sleep != nil && h.Sleep.Seconds < 0 {
		errs = append(errs, field.Invalid(at.Child("sleep", "seconds"), h.Sleep.Seconds, "must be greater than or equal to 0"))
	}
	return append(errs, handlerIsValid(at, h.Exec, h.HTTPGet, h.TCPSocket)...)
}

func handlerIsValid(at *field.Path, exec *corev1.ExecAction, get *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction) field.ErrorList {
	var errs field.ErrorList
	if exec != nil && len(exec.Command) == 0 {
		errs = append(errs, field.Required(at.Child("exec", "command"), ""))
	}
	if get != nil {
		errs = append(errs, portIsValid(at.Child("httpGet", "port"), get.Port)...)
		errs = append(errs, oneOf(at.Child("httpGet", "scheme"), get.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
		for i, h := range get.HTTPHeaders {
			errs = append(errs, invalid(at.Child("httpGet", "httpHeaders").Index(i).Child("name"), h.Name, validation.IsHTTPHeaderName(h.Name))...)
		}
	}
	if tcp != nil {
		errs = append(errs, portIsValid(at.Child("tcpSocket", "port"), tcp.Port)...)
	}
	return errs
}

func portIsValid(at *field.Path, port intstr.IntOrString) field.ErrorList {
	if port.Type == intstr.Int {
		return invalid(at, port.IntVal, validation.IsValidPortNum(port.IntValue()))
	}
	return invalid(at, port.StrVal, validation.IsValidPortName(port.StrVal))
}

func transferEnvIsWellFormed(c container) field.ErrorList {
	var errs field.ErrorList
	for i := range c.TransferEnv {
		t, at := &c.TransferEnv[i], c.at.Child("transferEnv").Index(i)
		errs = append(errs, exactlyOne(at, "of sourceContainerName and sourceContainerNameFrom", t.SourceContainerName != "", t.SourceContainerNameFrom != nil)...)
		if t.EnvName == "" && len(t.EnvNames) == 0 {
			errs = append(errs, field.Required(at.Child("envName"), "at least one of envName and envNames is required"))
		}
	}
	return errs
}

func invalid(at *field.Path, value any, why []string) field.ErrorList {
	var errs field.ErrorList
	for _, w := range why {
		errs = append(errs, field.Invalid(at, value, w))
	}
	return errs
}

func exactlyOne(at *field.Path, noun string, set ...bool) field.ErrorList {
	n := 0
	for _, is := range set {
		if is {
			n++
		}
	}
	if n == 1 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, n, "exactly one "+noun+" is required")}
}
