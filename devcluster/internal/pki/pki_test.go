package pki

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v (%v), want 0600", e.Name(), info.Mode(), err)
		}
	}
	return all
}

func TestEnsure_keepsEverythingUntilItIsAboutToExpire(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "pki"), time.Now()
	ensure := func(at time.Time) map[string]string {
		t.Helper()
		if err := Ensure(dir, Names{}, at); err != nil {
			t.Fatal(err)
		}
		return files(t, dir)
	}
	first := ensure(now)
	if want := 2 * (3 + len(Names{}.leaves()) + 1); len(first) != want {
		t.Errorf("%d files, want %d", len(first), want)
	}
	changed := func(after map[string]string) []string {
		var names []string
		for name := range first {
			if first[name] != after[name] {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	if got := changed(ensure(now.Add(300 * 24 * time.Hour))); len(got) != 0 {
		t.Errorf("after 300 days these changed: %q", got)
	}
	got := changed(ensure(now.Add(340 * 24 * time.Hour)))
	if len(got) != 2*len(Names{}.leaves()) || slices.Contains(got, "ca.crt") || slices.Contains(got, "sa.key") {
		t.Errorf("after 340 days these changed: %q, want the leaves and only them", got)
	}
}

func TestEnsure_replacesWhatAnotherAuthoritySigned(t *testing.T) {
	dir, other := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	for _, d := range []string{dir, other} {
		if err := Ensure(d, Names{}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	stranger := files(t, other)["admin.crt"]
	if err := os.WriteFile(filepath.Join(dir, "admin.crt"), []byte(stranger), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(dir, Names{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if files(t, dir)["admin.crt"] == stranger {
		t.Error("a certificate of another authority was kept")
	}
}

func TestCertificates_areForWhatTheyAre(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := Ensure(dir, Names{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, l := range (Names{}).leaves() {
		cert, err := readCertificate(filepath.Join(dir, l.file+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		root, err := readCertificate(filepath.Join(dir, l.authority+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(root)
		options := x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if l.server {
			options.DNSName = "127.0.0.1"
			options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		if _, err := cert.Verify(options); err != nil {
			t.Errorf("%s: %v", l.file, err)
		}
		if !l.server && slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
			t.Errorf("%s, a client, may serve", l.file)
		}
	}
}

func TestWriteKubeconfig(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := Ensure(dir, Names{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := WriteKubeconfig(dir, "admin", "https://127.0.0.1:6443", path); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:6443" || len(config.CAData) == 0 || len(config.KeyData) == 0 || config.Insecure {
		t.Errorf("host %s, CA %d bytes, key %d bytes, insecure %v", config.Host, len(config.CAData), len(config.KeyData), config.Insecure)
	}
	if err := WriteKubeconfig(dir, "nobody", "https://127.0.0.1", path); err == nil {
		t.Error("a kubeconfig for nobody was written")
	}
}
