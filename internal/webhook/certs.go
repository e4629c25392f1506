package webhook

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// How long certificates live. Each is replaced when two thirds of its life are over. A new authority is
// distributed for settleTime before a certificate that it signed is served, and the old one stays in the bundle
// until it ends, so that at every instant what is served verifies against what was distributed an hour ago:
//
//	day 0        60          80         90
//	authority 1  |-----------|..........|        in the bundle until day 90
//	authority 2              |---------------    in the bundle from day 60, signs an hour later
//	server       |----|----|----|----|           30 days each, replaced every 20
const (
	authorityLife = 90 * 24 * time.Hour
	serverLife    = 30 * 24 * time.Hour
	settleTime    = time.Hour
	// backdate lets an API server whose clock is a little behind trust a new certificate.
	backdate = 5 * time.Minute
)

// Keys of the certificates' Secret.
const (
	authorityCertKey = "ca.crt" // all authorities that are trusted, the newest first
	authorityKeyKey  = "ca.key" // of the newest
	serverCertKey    = "tls.crt"
	serverKeyKey     = "tls.key"
)

// certificates is the content of the Secret, parsed.
type certificates struct {
	authorities  []*x509.Certificate // newest first
	authorityKey *ecdsa.PrivateKey   // of the newest
	server       *x509.Certificate
	serverTLS    tls.Certificate
}

// renewed answers what the Secret should hold now, and when that will change next. What is there and good is
// kept; what cannot be read is made anew. The answer is the same data when there is nothing to do.
func renewed(data map[string][]byte, hosts []string, now time.Time) (map[string][]byte, time.Time, error) {
	c, _ := parseCertificates(data) // what it could not read is missing in c, and made anew
	next := map[string][]byte{}
	for key, value := range data {
		next[key] = value
	}
	c.authorities = slices.DeleteFunc(c.authorities, func(a *x509.Certificate) bool { return !now.Before(a.NotAfter) })
	var err error
	if len(c.authorities) == 0 || c.authorityKey == nil || !now.Before(renewAt(c.authorities[0])) {
		if err = c.addAuthority(now); err != nil {
			return nil, time.Time{}, err
		}
		if next[authorityKeyKey], err = keyPEM(c.authorityKey); err != nil {
			return nil, time.Time{}, err
		}
	}
	next[authorityCertKey] = bundlePEM(c.authorities)
	if c.needsServer(hosts, now) {
		if next[serverCertKey], next[serverKeyKey], err = c.issue(hosts, now); err != nil {
			return nil, time.Time{}, err
		}
		if c, err = parseCertificates(next); err != nil {
			return nil, time.Time{}, fmt.Errorf("read back new certificates: %w", err)
		}
	}
	return next, c.nextChange(now), nil
}

// renewAt is when two thirds of a certificate's life are over.
func renewAt(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2)
}

// settledAt is when an authority has been distributed long enough to be used.
func settledAt(authority *x509.Certificate) time.Time {
	return authority.NotBefore.Add(backdate + settleTime)
}

// needsServer tells whether a new server certificate is due. It is signed by the newest authority, so while that
// one is still being distributed, a renewal that is merely due waits; one that cannot be served does not.
func (c certificates) needsServer(hosts []string, now time.Time) bool {
	if c.server == nil || !now.Before(c.server.NotAfter) || !covers(c.server, hosts) || !c.trusted() {
		return true
	}
	due := !now.Before(renewAt(c.server)) || c.server.CheckSignatureFrom(c.authorities[0]) != nil
	return due && !now.Before(settledAt(c.authorities[0]))
}

// nextChange is when renewed would answer something else.
func (c certificates) nextChange(now time.Time) time.Time {
	times := []time.Time{renewAt(c.authorities[0]), renewAt(c.server)}
	if c.server.CheckSignatureFrom(c.authorities[0]) != nil {
		times = append(times, settledAt(c.authorities[0]))
	}
	for _, a := range c.authorities {
		times = append(times, a.NotAfter)
	}
	soonest := slices.MinFunc(times, time.Time.Compare)
	if !soonest.After(now) { // a renewal that waits for its authority to settle
		soonest = settledAt(c.authorities[0])
	}
	return soonest
}

// trusted tells whether an authority of the bundle signed the server certificate.
func (c certificates) trusted() bool {
	return slices.ContainsFunc(c.authorities, func(a *x509.Certificate) bool { return c.server.CheckSignatureFrom(a) == nil })
}

func covers(c *x509.Certificate, hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(h string) bool { return c.VerifyHostname(h) != nil })
}

func (c *certificates) addAuthority(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make an authority's key: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	begin := now.Truncate(time.Second).Add(-backdate)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "kruise-webhook-ca-" + serial.Text(36)},
		NotBefore: begin, NotAfter: begin.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make an authority: %w", err)
	}
	authority, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("read back an authority: %w", err)
	}
	c.authorities = append([]*x509.Certificate{authority}, c.authorities...)
	c.authorityKey = key
	return nil
}

// issue makes a server certificate signed by the newest authority.
func (c certificates) issue(hosts []string, now time.Time) (cert, key []byte, err error) {
	authority := c.authorities[0]
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a server key: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, nil, err
	}
	begin := now.Truncate(time.Second).Add(-backdate)
	end := begin.Add(serverLife)
	if authority.NotAfter.Before(end) {
		end = authority.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: begin, NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, private.Public(), c.authorityKey)
	if err != nil {
		return nil, nil, fmt.Errorf("make a server certificate: %w", err)
	}
	if key, err = keyPEM(private); err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, nil
}

func parseCertificates(data map[string][]byte) (certificates, error) {
	var c certificates
	for rest := data[authorityCertKey]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		authority, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return c, fmt.Errorf("%s: %w", authorityCertKey, err)
		}
		c.authorities = append(c.authorities, authority)
	}
	block, _ := pem.Decode(data[authorityKeyKey])
	if len(c.authorities) == 0 || block == nil {
		return c, errors.New("no authority")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return c, fmt.Errorf("%s: %w", authorityKeyKey, err)
	}
	if !key.PublicKey.Equal(c.authorities[0].PublicKey) {
		return c, fmt.Errorf("%s is not the key of the first certificate in %s", authorityKeyKey, authorityCertKey)
	}
	c.authorityKey = key
	if c.serverTLS, err = tls.X509KeyPair(data[serverCertKey], data[serverKeyKey]); err != nil {
		return c, fmt.Errorf("%s and %s: %w", serverCertKey, serverKeyKey, err)
	}
	c.server = c.serverTLS.Leaf
	return c, nil
}

func bundlePEM(authorities []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, a := range authorities {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Raw}))
	}
	return b.Bytes()
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return n, nil
}
