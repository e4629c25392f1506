package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Client speaks to the registry at an address, from the machine.
type Client struct {
	// Address is without port.
	Address string
}

// Push puts an image into the registry under a reference as a pod would name
// it: app:1, registry.devcluster/team/app:1 or private.devcluster/app:1.
func (c Client) Push(ctx context.Context, reference string, image v1.Image) error {
	return push(ctx, c.Address, http.DefaultTransport, reference, image)
}

// Push puts an image into the registry of this process.
func (r *Registry) Push(ctx context.Context, reference string, image v1.Image) error {
	return push(ctx, inProcessAddress, inProcess{r}, reference, image)
}

func push(ctx context.Context, address string, transport http.RoundTripper, reference string, image v1.Image) error {
	host, repository, err := Split(reference)
	if err != nil {
		return err
	}
	to, err := name.ParseReference(fmt.Sprintf("%s:%d/%s", address, ports()[host], repository), name.Insecure)
	if err != nil {
		return fmt.Errorf("image name %q: %w", reference, err)
	}
	auth := authn.Anonymous
	if host == PrivateHost {
		auth = &authn.Basic{Username: User, Password: Password}
	}
	if err := remote.Write(to, image, remote.WithContext(ctx), remote.WithAuth(auth), remote.WithTransport(transport)); err != nil {
		return fmt.Errorf("push %s: %w", reference, err)
	}
	return nil
}

// inProcessAddress stands for this process.
const inProcessAddress = "registry.invalid"

// inProcess is the way to the registry without a network.
type inProcess struct{ registry *Registry }

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	for host, port := range ports() {
		if req.URL.Port() != strconv.Itoa(port) {
			continue
		}
		answer := httptest.NewRecorder()
		if req.Body == nil {
			req.Body = http.NoBody
		}
		p.registry.Handler(host).ServeHTTP(answer, req)
		response := answer.Result()
		response.Request = req
		return response, nil
	}
	return nil, fmt.Errorf("no registry at %s", req.URL.Host)
}

// Split divides a reference into the host whose part of the registry has it and
// the rest, with the tag. As in a pod, a name without a host is Docker Hub's, and
// one without a slash is in "library" there.
func Split(reference string) (host, rest string, err error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return "", "", fmt.Errorf("image name %q: %w", reference, err)
	}
	separator := ":"
	if strings.Contains(parsed.Identifier(), ":") { // a digest
		separator = "@"
	}
	host, repository := part(parsed.Context())
	return host, repository + separator + parsed.Identifier(), nil
}

// Repository does the same with a name without a tag.
func Repository(named string) (host, repository string, err error) {
	parsed, err := name.NewRepository(named)
	if err != nil {
		return "", "", fmt.Errorf("repository %q: %w", named, err)
	}
	host, repository = part(parsed)
	return host, repository, nil
}

func part(r name.Repository) (host, repository string) {
	if r.RegistryStr() == PrivateHost {
		return PrivateHost, r.RepositoryStr()
	}
	return Host, r.RepositoryStr()
}

// SetFault sets a fault, or with nothing in it removes one.
func (c Client) SetFault(ctx context.Context, f Fault) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode the fault: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("http://%s:%d%s", c.Address, Port, faultsPath), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("set the fault: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("set the fault: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("set the fault: %s", strings.TrimSpace(string(text)))
	}
	return nil
}
