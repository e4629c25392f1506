package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/typed/core/v1"
)

// CertificatesSecret holds the webhooks' certificates, in the product's own namespace.
const CertificatesSecret = "kruise-webhook-certs"

// lookInterval is how often the Secret is read, so that one replica's renewal reaches the others well within
// settleTime.
const lookInterval = time.Minute

// +kubebuilder:rbac:groups="",namespace=kruise-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=kruise-system,resources=secrets,resourceNames=kruise-webhook-certs,verbs=get;update

// CertKeeper keeps the webhooks' certificates: in the Secret, in this process, and, through Bundle, in the
// configurations that make the API server trust them. Several replicas may run; who writes second reads again.
type CertKeeper struct {
	secrets v1.SecretInterface
	hosts   []string
	now     func() time.Time
	log     logr.Logger
	// bundle is told of each new bundle, before what it vouches for is served.
	bundle func([]byte)

	serving atomic.Pointer[tls.Certificate]
}

// NewCertKeeper returns a keeper for certificates that are valid for the hosts (names or addresses).
func NewCertKeeper(secrets v1.SecretInterface, hosts []string, bundle func([]byte), log logr.Logger) *CertKeeper {
	return &CertKeeper{secrets: secrets, hosts: hosts, now: time.Now, bundle: bundle, log: log}
}

// GetCertificate is for tls.Config: the newest certificate, without a restart.
func (k *CertKeeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := k.serving.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("the webhooks' certificate is not made yet")
}

// Ready is a readiness check.
func (k *CertKeeper) Ready() error {
	_, err := k.GetCertificate(nil)
	return err
}

// NeedLeaderElection lets every replica keep its certificate fresh.
func (k *CertKeeper) NeedLeaderElection() bool { return false }

// Start keeps the certificates until ctx ends.
func (k *CertKeeper) Start(ctx context.Context) error {
	for {
		wait := lookInterval
		due, err := k.look(ctx)
		if err != nil {
			k.log.Error(err, "keep the webhooks' certificates")
			wait = time.Second
		} else if until := due.Sub(k.now()); until > 0 {
			wait = min(wait, until)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// look brings the Secret up to date and serves what it holds. It returns when something is due next.
func (k *CertKeeper) look(ctx context.Context) (time.Time, error) {
	secret, err := k.secrets.Get(ctx, CertificatesSecret, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if missing {
		secret, err = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: CertificatesSecret}, Type: corev1.SecretTypeTLS}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read Secret %s: %w", CertificatesSecret, err)
	}
	data, due, err := renewed(secret.Data, k.hosts, k.now())
	if err != nil {
		return time.Time{}, fmt.Errorf("renew certificates: %w", err)
	}
	if !maps.EqualFunc(data, secret.Data, func(a, b []byte) bool { return string(a) == string(b) }) {
		secret.Data = data
		if err := k.write(ctx, secret, missing); err != nil {
			return time.Time{}, err
		}
		k.log.Info("renewed the webhooks' certificates", "next", due)
	}
	c, err := parseCertificates(data)
	if err != nil {
		return time.Time{}, fmt.Errorf("read Secret %s: %w", CertificatesSecret, err)
	}
	k.bundle(data[authorityCertKey])
	k.serving.Store(&c.serverTLS)
	return due, nil
}

// write stores the Secret; when another replica was faster this is an error, and the next look reads its work.
func (k *CertKeeper) write(ctx context.Context, secret *corev1.Secret, missing bool) error {
	var err error
	if missing {
		_, err = k.secrets.Create(ctx, secret, metav1.CreateOptions{})
	} else {
		_, err = k.secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write Secret %s: %w", CertificatesSecret, err)
	}
	return nil
}
