package app

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// writes counts what the manager asks the API server to change, of whatever part of it: who promises one write per Pod
// must be able to count them.
type writes struct{ *prometheus.CounterVec }

func newWrites() writes {
	return writes{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "outrigger_api_writes_total",
		Help: "Writes that were sent to the API server, by what they were to change and how it answered.",
	}, []string{"resource", "subresource", "verb", "code"})}
}

// wrap returns a transport that counts what goes through next.
func (w writes) wrap(next http.RoundTripper) http.RoundTripper { return countedWrites{w, next} }

type countedWrites struct {
	writes

	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (c countedWrites) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if verb := verbOf(r.Method); verb != "" {
		code := "none"
		if err == nil {
			code = strconv.Itoa(response.StatusCode)
		}
		resource, subresource := written(r.URL.Path)
		c.WithLabelValues(resource, subresource, verb, code).Inc()
	}
	return response, err
}

// WrappedRoundTripper lets client-go find the transport below.
func (c countedWrites) WrappedRoundTripper() http.RoundTripper { return c.next }

// verbOf is the verb, as in RBAC, of a request that writes; empty for the others.
func verbOf(method string) string {
	switch method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	return ""
}

// written reads a path: [PREFIX]/api/VERSION/… or [PREFIX]/apis/GROUP/VERSION/…, then [namespaces/NAMESPACE/]RESOURCE
// [/NAME[/SUBRESOURCE]]. (Namespaces themselves, which have this form too, are never written to.) Names do not come into
// it, so there are few answers.
func written(path string) (resource, subresource string) {
	at := strings.Split(strings.Trim(path, "/"), "/")
	for len(at) > 0 && at[0] != "api" && at[0] != "apis" {
		at = at[1:]
	}
	group := 2
	if len(at) > 0 && at[0] == "apis" {
		group = 3
	}
	if at = at[min(group, len(at)):]; len(at) > 2 && at[0] == "namespaces" {
		at = at[2:]
	}
	if len(at) > 0 {
		resource = at[0]
	}
	if len(at) > 2 {
		subresource = at[2]
	}
	return resource, subresource
}
