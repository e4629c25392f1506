package containers

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/internal/kind/containerrecreaterequest"
	"github.com/outrigger-project/outrigger/internal/node/cri"
)

// mostRead is how much of an answer is read.
const mostRead = 10 << 10

// hookClient calls the Pod itself: through no proxy, and nowhere else if it answers with a redirection. As with kubelet, a
// certificate is not checked: it is not made for an address.
func hookClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, //nolint:gosec // see above
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// exec runs a command in the container.
func (a *Actor) exec(ctx context.Context, s *containerrecreaterequest.Stop, command []string) (trouble string, err error) {
	result, err := a.runtime.Exec(ctx, s.ID, command, s.Grace)
	switch {
	case err == nil && result.Code == 0:
		return "", nil
	case err == nil:
		return fmt.Sprintf("its command ended with exit code %d: %s", result.Code, strings.TrimSpace(string(result.Stderr[:min(len(result.Stderr), mostRead)]))), nil
	case cri.IsTimeout(err), ctx.Err() != nil:
		return "its command did not end within the grace period", nil
	case status.Code(err) == codes.Unavailable:
		return "", err
	}
	return err.Error(), nil
}

// get calls the Pod's own address.
func (a *Actor) get(ctx context.Context, s *containerrecreaterequest.Stop, sandbox string) (trouble string, err error) {
	to := s.Hook.HTTPGet
	if to.Host != "" {
		return fmt.Sprintf("it calls host %q: nothing but the Pod's own address is called", to.Host), nil
	}
	port, ok := portOf(to.Port, s.Ports)
	if !ok {
		return fmt.Sprintf("the container has no port %q", to.Port.String()), nil
	}
	addresses, err := a.runtime.Addresses(ctx, sandbox)
	if err != nil {
		return "", err
	}
	if len(addresses) == 0 {
		return "the Pod has no address of its own", nil
	}
	request, err := requestTo(ctx, to, net.JoinHostPort(addresses[0], strconv.Itoa(port)))
	if err != nil {
		return err.Error(), nil //nolint:nilerr // of the hook
	}
	response, err := a.hooks.Do(request)
	if err != nil {
		return err.Error(), nil //nolint:nilerr // of the hook
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, mostRead))
	if response.StatusCode >= http.StatusBadRequest {
		return "it was answered with " + response.Status, nil
	}
	return "", nil
}

func requestTo(ctx context.Context, to *corev1.HTTPGetAction, address string) (*http.Request, error) {
	path, err := url.Parse(to.Path)
	if err != nil {
		return nil, fmt.Errorf("its path %q is none: %w", to.Path, err)
	}
	u := url.URL{Scheme: "http", Host: address, Path: "/" + strings.TrimPrefix(path.Path, "/"), RawQuery: path.RawQuery}
	if to.Scheme == corev1.URISchemeHTTPS {
		u.Scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("call the hook: %w", err)
	}
	for _, h := range to.HTTPHeaders {
		if strings.EqualFold(h.Name, "host") {
			request.Host = h.Value
		}
		request.Header.Add(h.Name, h.Value)
	}
	return request, nil
}

func portOf(port intstr.IntOrString, ports []corev1.ContainerPort) (int, bool) {
	n := port.IntValue()
	if i := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool { return port.Type == intstr.String && p.Name == port.StrVal }); i >= 0 {
		n = int(ports[i].ContainerPort)
	}
	return n, n > 0 && n <= 65535
}
