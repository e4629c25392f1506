package podprobemarker

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// The largest numbers, as in the schema. A result that is older than a day tells nobody anything.
const (
	mostProbes    = 32
	mostSeconds   = 24 * 60 * 60
	mostTimeout   = 60 * 60
	mostThreshold = 1000
)

const onlyItself = "must not be set: only the Pod's own address is probed"

func name(at *field.Path, name string) field.ErrorList {
	switch {
	case name == "":
		return field.ErrorList{field.Required(at, "")}
	case strings.Contains(name, "#"):
		return field.ErrorList{field.Invalid(at, name, "must not contain #")}
	case len(name) > 253:
		return field.ErrorList{field.TooLong(at, name, 253)}
	case slices.Contains(probe.Reserved(), name):
		return field.ErrorList{field.Invalid(at, name, "must not be a condition type of Kubernetes or OpenKruise")}
	}
	return nil
}

func probesAreValid(s subject) (errs field.ErrorList) {
	for i := range s.marker.Spec.Probes {
		p, at := s.probe(i)
		at = at.Child("probe")
		errs = append(errs, handlers(at, &p.Probe.Probe)...)
		errs = append(errs, timing(at, &p.Probe.Probe)...)
	}
	return errs
}

func handlers(at *field.Path, p *corev1.Probe) (errs field.ErrorList) {
	n := 0
	if p.Exec != nil {
		n++
		errs = append(errs, exec(at.Child("exec", "command"), p.Exec.Command)...)
	}
	if p.TCPSocket != nil {
		n++
		errs = append(errs, address(at.Child("tcpSocket"), p.TCPSocket.Host, p.TCPSocket.Port)...)
	}
	if p.HTTPGet != nil {
		n++
		errs = append(errs, httpGet(at.Child("httpGet"), p.HTTPGet)...)
	}
	if p.GRPC != nil {
		return append(errs, field.Invalid(at.Child("grpc"), p.GRPC.Port, "not supported: use exec, httpGet or tcpSocket"))
	}
	if n != 1 {
		errs = append(errs, field.Invalid(at, n, "exactly one of exec, httpGet and tcpSocket is required"))
	}
	return errs
}

func exec(at *field.Path, command []string) field.ErrorList {
	switch {
	case len(command) == 0:
		return field.ErrorList{field.Required(at, "")}
	case len(command) > 256:
		return field.ErrorList{field.TooMany(at, len(command), 256)}
	case command[0] == "":
		return field.ErrorList{field.Invalid(at, command[0], "must begin with a program")}
	}
	for i, word := range command {
		if len(word) > 16384 {
			return field.ErrorList{field.TooLong(at.Index(i), "", 16384)}
		}
	}
	return nil
}

func address(at *field.Path, host string, port intstr.IntOrString) (errs field.ErrorList) {
	if host != "" {
		errs = append(errs, field.Invalid(at.Child("host"), host, onlyItself))
	}
	wrong := validation.IsValidPortNum(port.IntValue())
	if port.Type == intstr.String {
		wrong = validation.IsValidPortName(port.StrVal)
	}
	if len(wrong) > 0 {
		errs = append(errs, field.Invalid(at.Child("port"), port.String(), "must be a number from 1 to 65535 or the name of a port of the container"))
	}
	return errs
}

func httpGet(at *field.Path, get *corev1.HTTPGetAction) field.ErrorList {
	errs := address(at, get.Host, get.Port)
	switch {
	case get.Path == "":
		errs = append(errs, field.Required(at.Child("path"), ""))
	case !isPath(get.Path):
		errs = append(errs, field.Invalid(at.Child("path"), get.Path, "must be an absolute path, without // at its beginning, .. and blanks"))
	}
	switch get.Scheme {
	case "", corev1.URISchemeHTTP, corev1.URISchemeHTTPS:
	default:
		errs = append(errs, field.NotSupported(at.Child("scheme"), get.Scheme, []corev1.URIScheme{corev1.URISchemeHTTP, corev1.URISchemeHTTPS}))
	}
	for i, h := range get.HTTPHeaders {
		at := at.Child("httpHeaders").Index(i)
		for _, wrong := range validation.IsHTTPHeaderName(h.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), h.Name, wrong))
		}
		if strings.ContainsAny(h.Value, "\r\n\x00") {
			errs = append(errs, field.Invalid(at.Child("value"), h.Value, "must be one line"))
		}
	}
	return errs
}

func isPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || len(path) > 2048 || strings.ContainsAny(path, "# \t\r\n\f\v") {
		return false
	}
	return !regexp.MustCompile(`(^|/)[.][.](/|[?]|$)`).MatchString(path)
}

func timing(at *field.Path, p *corev1.Probe) (errs field.ErrorList) {
	for _, n := range []struct {
		name     string
		is, most int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds, mostSeconds},
		{"timeoutSeconds", p.TimeoutSeconds, mostTimeout},
		{"periodSeconds", p.PeriodSeconds, mostSeconds},
		{"successThreshold", p.SuccessThreshold, mostThreshold},
		{"failureThreshold", p.FailureThreshold, mostThreshold},
	} {
		if n.is < 0 || n.is > n.most {
			errs = append(errs, field.Invalid(at.Child(n.name), n.is, fmt.Sprintf("must be from 0 to %d", n.most)))
		}
	}
	if p.TerminationGracePeriodSeconds != nil {
		errs = append(errs, field.Invalid(at.Child("terminationGracePeriodSeconds"), *p.TerminationGracePeriodSeconds, "must not be set: this probe stops no container"))
	}
	return errs
}
