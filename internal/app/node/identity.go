package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/oauth2"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/internal/kind/nodeagent"
)

const (
	// tokenLife is how long a token is asked to be valid; config/node/policy.yaml allows no more.
	tokenLife = time.Hour
	// tokenCall is how long the API server has to answer with one.
	tokenCall = 10 * time.Second
	// renewEvery is the pause between two attempts to get the next one, while the one that there is works.
	renewEvery = 30 * time.Second
)

// patience is how long the agent pauses between two attempts to get the first token: those of many nodes wait for one manager.
func patience() wait.Backoff {
	return wait.Backoff{Duration: time.Second, Factor: 1.5, Jitter: 0.5, Steps: 8, Cap: 15 * time.Second}
}

// identify returns a configuration with the rights of the node's own account, given that of the account that all agents
// share, which may do nothing but get tokens for their node's. It waits until the manager has made the node's account.
func identify(ctx context.Context, shared *rest.Config, node string, log logr.Logger) (*rest.Config, error) {
	accounts, err := corev1client.NewForConfig(shared)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	source := transport.NewCachedTokenSource(&identity{accounts: accounts.ServiceAccounts(nodeagent.Namespace), node: node, now: time.Now, log: log})
	err = patience().DelayFunc().Until(ctx, true, true, func(context.Context) (bool, error) {
		_, err := source.Token()
		return err == nil, nil //nolint:nilerr // the source has told of it
	})
	if err != nil {
		return nil, fmt.Errorf("get a token of the node's own account: %w", err)
	}
	own := rest.AnonymousClientConfig(shared)
	own.UserAgent = shared.UserAgent
	own.Wrap(transport.ResettableTokenSourceWrapTransport(source))
	return own, nil
}

// identity is where tokens of the node's own account come from: the API server makes them for the node's agent only.
type identity struct {
	accounts corev1client.ServiceAccountInterface
	node     string
	now      func() time.Time
	log      logr.Logger

	// told is the last trouble that was told of, notBefore when the next token may be asked for. The cache of tokens calls
	// one Token at a time.
	told      string
	notBefore time.Time
	granted   bool
}

// Token implements oauth2.TokenSource. A token counts as expired early, so that there is time to get the next; requests go
// on with the old one meanwhile.
func (i *identity) Token() (*oauth2.Token, error) {
	if i.now().Before(i.notBefore) {
		return nil, errors.New(i.told)
	}
	token, err := i.ask()
	switch {
	case err == nil:
		i.granted, i.told = true, ""
		return token, nil
	case i.granted:
		i.notBefore = i.now().Add(renewEvery)
	}
	if err.Error() != i.told {
		i.told = err.Error()
		i.log.Error(err, "no token; will go on trying")
	}
	return nil, err
}

func (i *identity) ask() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), tokenCall)
	defer cancel()
	asked := i.now()
	granted, err := i.accounts.CreateToken(ctx, nodeagent.AccountOf(i.node), &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: ptr.To(int64(tokenLife / time.Second)),
			BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: i.node},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("get a token of account %s: %w", nodeagent.AccountOf(i.node), err)
	}
	life := granted.Status.ExpirationTimestamp.Sub(asked)
	return &oauth2.Token{AccessToken: granted.Status.Token, Expiry: asked.Add(life * 4 / 5)}, nil
}
