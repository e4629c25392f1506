// Package pki answers which certificates and keys a development cluster uses.
//
// Everything lives as PEM files in one folder. Ensure creates what is missing
// and keeps what is there, so that tokens, kubeconfigs and CA bundles handed
// out before a restart stay valid after it; a leaf certificate is only made
// again when it is about to expire. It knows nothing about processes, ports or
// kubeconfigs on disk other than the ones it is asked to write.
//
// Start reading at Ensure.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour
	// renewBefore is how long before its end a leaf certificate is replaced.
	renewBefore = 30 * 24 * time.Hour
)

// Names of the authorities; each has a NAME.crt and a NAME.key.
const (
	ClusterCA    = "ca"             // API server, clients of the API server
	FrontProxyCA = "front-proxy-ca" // the aggregation layer
	EtcdCA       = "etcd-ca"        // etcd and its only client, the API server
)

// leaf is one certificate to issue.
type leaf struct {
	file, authority string
	commonName      string
	organization    []string
	server          bool
	// addresses of a server besides the loopback.
	addresses []netip.Addr
}

// Node is a real node: its kubelet is a client and a server.
type Node struct {
	Name    string
	Address netip.Addr
}

// Names are what the certificates depend on.
type Names struct {
	// APIServer is an address of the API server besides the loopback; it may be zero.
	APIServer netip.Addr
	// Nodes are the real nodes. Of each there are certificates NAME, for its
	// kubelet as a client, and NAME-serving.
	Nodes []Node
}

// leaves lists every certificate of the cluster.
func (n Names) leaves() []leaf {
	var addresses []netip.Addr
	if n.APIServer.IsValid() {
		addresses = append(addresses, n.APIServer)
	}
	all := []leaf{
		{file: "apiserver", authority: ClusterCA, commonName: "kube-apiserver", server: true, addresses: addresses},
		{file: "controller-manager-serving", authority: ClusterCA, commonName: "kube-controller-manager", server: true},
		{file: "scheduler-serving", authority: ClusterCA, commonName: "kube-scheduler", server: true},
		{file: "admin", authority: ClusterCA, commonName: "devcluster-admin", organization: []string{"system:masters"}},
		{file: "kubelet", authority: ClusterCA, commonName: "devcluster-kubelet", organization: []string{"system:masters"}},
		{file: "controller-manager", authority: ClusterCA, commonName: "system:kube-controller-manager"},
		{file: "scheduler", authority: ClusterCA, commonName: "system:kube-scheduler"},
		{file: "front-proxy-client", authority: FrontProxyCA, commonName: "front-proxy-client"},
		{file: "etcd", authority: EtcdCA, commonName: "etcd", server: true},
		{file: "apiserver-etcd-client", authority: EtcdCA, commonName: "kube-apiserver"},
		{file: "apiserver-kubelet-client", authority: ClusterCA, commonName: "kube-apiserver-kubelet-client", organization: []string{"system:masters"}},
	}
	for _, node := range n.Nodes {
		user := "system:node:" + node.Name
		all = append(all,
			leaf{file: node.Name, authority: ClusterCA, commonName: user, organization: []string{"system:nodes"}},
			leaf{file: node.Name + "-serving", authority: ClusterCA, commonName: user, server: true, addresses: []netip.Addr{node.Address}})
	}
	return all
}

// Ensure makes every key and certificate in dir that is not there yet, or whose
// certificate ends within 30 days of now or lacks an address.
func Ensure(dir string, names Names, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create PKI folder: %w", err)
	}
	authorities := map[string]*authority{}
	for _, name := range []string{ClusterCA, FrontProxyCA, EtcdCA} {
		a, err := ensureAuthority(dir, name, now)
		if err != nil {
			return fmt.Errorf("certificate authority %s: %w", name, err)
		}
		authorities[name] = a
	}
	for _, l := range names.leaves() {
		a := authorities[l.authority]
		if a.valid(filepath.Join(dir, l.file+".crt"), l, now) {
			continue
		}
		if err := a.issue(dir, l, now); err != nil {
			return fmt.Errorf("certificate %s: %w", l.file, err)
		}
	}
	if err := ensureServiceAccountKey(dir); err != nil {
		return fmt.Errorf("service account key: %w", err)
	}
	return nil
}

// authority is a CA that can sign.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func ensureAuthority(dir, name string, now time.Time) (*authority, error) {
	certPath, keyPath := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	_, err := os.Stat(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		return newAuthority(certPath, keyPath, name, now)
	}
	cert, err := readCertificate(certPath)
	if err != nil {
		return nil, err
	}
	der, err := readPEM(keyPath)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", keyPath, err)
	}
	return &authority{cert: cert, key: key}, nil
}

func newAuthority(certPath, keyPath, name string, now time.Time) (*authority, error) {
	key, err := newKey(keyPath)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "devcluster-" + name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(caLifetime),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the new certificate: %w", err)
	}
	return &authority{cert: cert, key: key}, writePEM(certPath, "CERTIFICATE", der)
}

// valid tells whether the certificate at path is ours, lasts long enough and
// has the leaf's addresses, which another network may have changed.
func (a *authority) valid(path string, l leaf, now time.Time) bool {
	cert, err := readCertificate(path)
	if err != nil {
		return false
	}
	for _, address := range l.addresses {
		if cert.VerifyHostname(address.String()) != nil {
			return false
		}
	}
	return cert.CheckSignatureFrom(a.cert) == nil && now.Add(renewBefore).Before(cert.NotAfter)
}

func (a *authority) issue(dir string, l leaf, now time.Time) error {
	key, err := newKey(filepath.Join(dir, l.file+".key"))
	if err != nil {
		return err
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: l.commonName, Organization: l.organization},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if l.server {
		// etcd dials itself, so a server certificate is a client certificate too.
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 0, 1)}
		for _, address := range l.addresses {
			template.IPAddresses = append(template.IPAddresses, address.AsSlice())
		}
		template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	return writePEM(filepath.Join(dir, l.file+".crt"), "CERTIFICATE", der)
}

// ensureServiceAccountKey makes the RSA pair that signs service account tokens.
func ensureServiceAccountKey(dir string) error {
	private, public := filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.pub")
	if _, err := os.Stat(public); err == nil {
		return nil
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("generate: %w", err)
	}
	if err := writePEM(private, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode public key: %w", err)
	}
	return writePEM(public, "PUBLIC KEY", der)
}

func newKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return key, writePEM(path, "EC PRIVATE KEY", der)
}

func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	return n, nil
}

func readPEM(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", path)
	}
	return block.Bytes, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	return cert, nil
}

func writePEM(path, kind string, der []byte) error {
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
