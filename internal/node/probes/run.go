package probes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/outrigger-project/outrigger/internal/node/cri"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// mostRedirects that a probe follows, within the Pod.
const mostRedirects = 10

// run runs one probe.
func (a *Actor) run(ctx context.Context, task *probe.Task) probe.Outcome {
	p := &task.Probe.Probe
	switch {
	case p.Exec != nil:
		return a.exec(ctx, task)
	case p.TCPSocket != nil && p.TCPSocket.Host == "":
		return connect(ctx, task)
	case p.HTTPGet != nil && p.HTTPGet.Host == "":
		return get(ctx, task)
	}
	return probe.Outcome{Nothing: true} // the API server admits none of these
}

// exec: stdout is the message of a success, stderr that of a failure. One that does not end in time has failed; that the
// runtime cannot run it says nothing.
func (a *Actor) exec(ctx context.Context, task *probe.Task) probe.Outcome {
	result, err := a.runtime.Exec(ctx, task.ContainerID, task.Probe.Probe.Exec.Command, task.Timeout)
	switch {
	case cri.IsTimeout(err):
		return probe.Outcome{Message: fmt.Sprintf("command did not end within %s", task.Timeout)}
	case err != nil:
		return probe.Outcome{Nothing: true}
	case result.Code == 0:
		return probe.Outcome{Succeeded: true, Message: beginning(result.Stdout)}
	case len(result.Stderr) == 0:
		return probe.Outcome{Message: fmt.Sprintf("command ended with exit code %d", result.Code)}
	}
	return probe.Outcome{Message: beginning(result.Stderr)}
}

// mostSaid is how much of what a command says is looked at; a message has less.
const mostSaid = 8 << 10

func beginning(said []byte) string { return string(said[:min(len(said), mostSaid)]) }

// address is the Pod's own, which was looked at when its container was seen.
func address(task *probe.Task) string {
	return net.JoinHostPort(task.Pod.IP, strconv.Itoa(probe.PortOf(&task.Probe.Probe).IntValue()))
}

func connect(ctx context.Context, task *probe.Task) probe.Outcome {
	dialer := net.Dialer{Timeout: task.Timeout, KeepAlive: -1} // it is closed at once
	connection, err := dialer.DialContext(ctx, "tcp", address(task))
	if err != nil {
		return failure(ctx, err)
	}
	_ = connection.Close()
	return probe.Outcome{Succeeded: true}
}

// get: 200 to 399 is a success. A redirect to another address is one, too, and not followed.
func get(ctx context.Context, task *probe.Task) probe.Outcome {
	want := task.Probe.Probe.HTTPGet
	ctx, cancel := context.WithTimeout(ctx, task.Timeout)
	defer cancel()
	target, err := url.Parse(want.Path)
	if err != nil {
		return probe.Outcome{Nothing: true}
	}
	target.Scheme, target.Host, target.User = "http", address(task), nil
	if want.Scheme == "HTTPS" {
		target.Scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return probe.Outcome{Nothing: true}
	}
	request.Header.Set("User-Agent", "kube-probe")
	request.Header.Set("Accept", "*/*")
	for _, h := range want.HTTPHeaders {
		if http.CanonicalHeaderKey(h.Name) == "Host" {
			request.Host = h.Value
		} else {
			request.Header.Set(h.Name, h.Value)
		}
	}
	response, err := clientOf(target.Host, task.Timeout).Do(request)
	if err != nil {
		return failure(ctx, err)
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 10<<10)
	message := fmt.Sprintf("HTTP status %d", response.StatusCode)
	return probe.Outcome{Succeeded: response.StatusCode >= 200 && response.StatusCode < 400, Message: message}
}

// clientOf returns one that talks to one address only, whatever it is told there, and believes every certificate, as kubelet does: Pods have
// none for their addresses.
func clientOf(host string, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: timeout}).DialContext(ctx, network, host)
			},
		},
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if to.URL.Host != host || len(via) > mostRedirects {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

// failure says what went wrong in words that are the same each time. A probe that we end ourselves says nothing.
func failure(ctx context.Context, err error) probe.Outcome {
	var timeout net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return probe.Outcome{Nothing: true}
	case errors.Is(err, syscall.ECONNREFUSED):
		return probe.Outcome{Message: "connection refused"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return probe.Outcome{Message: "no answer in time"}
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner // the outer ones name our own port
	}
	return probe.Outcome{Message: err.Error()}
}
