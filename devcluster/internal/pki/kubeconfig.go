package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// WriteKubeconfig writes a kubeconfig to path that speaks to server as the
// user of the certificate named user ("admin", "kubelet", "scheduler", …).
// Certificates are embedded, so the file can be copied.
func WriteKubeconfig(dir, user, server, path string) error {
	read := func(file string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, file)) }
	authority, err := read(ClusterCA + ".crt")
	if err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	cert, err := read(user + ".crt")
	if err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	key, err := read(user + ".key")
	if err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	c := clientcmdapi.NewConfig()
	c.Clusters["devcluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	c.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	c.Contexts["devcluster"] = &clientcmdapi.Context{Cluster: "devcluster", AuthInfo: user}
	c.CurrentContext = "devcluster"
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		return fmt.Errorf("write kubeconfig of %s: %w", user, err)
	}
	return nil
}

// ClientTLS is the configuration of a client that trusts the authority and
// shows the certificate named user.
func ClientTLS(dir, authorityName, user string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, user+".crt"), filepath.Join(dir, user+".key"))
	if err != nil {
		return nil, fmt.Errorf("load certificate %s: %w", user, err)
	}
	authority, err := readCertificate(filepath.Join(dir, authorityName+".crt"))
	if err != nil {
		return nil, fmt.Errorf("load authority %s: %w", authorityName, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: pool}, nil
}
