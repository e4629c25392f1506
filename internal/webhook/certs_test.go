package webhook

import (
	"crypto/x509"
	"maps"
	"testing"
	"time"
)

// TestRenewed_servesWhatWasDistributed lives through ten years of rotations: what is served always verifies against
// the bundle of now and of an hour ago, and nothing lives longer than 90 days.
func TestRenewed_servesWhatWasDistributed(t *testing.T) {
	hosts := []string{"kruise-webhook-service.kruise-system.svc", "127.0.0.1"}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := now.AddDate(10, 0, 0)
	data, due, err := renewed(nil, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	checkServed(t, data, data, hosts, now.Add(-time.Minute)) // as a clock that is behind sees it
	type distributed struct {
		at   time.Time
		data map[string][]byte
	}
	history := []distributed{{now, data}}
	authorities, servers := 0, 0
	for now.Before(end) {
		if !due.After(now) {
			t.Fatalf("at %s the next change is %s: that would spin", now, due)
		}
		now = due
		checkServed(t, data, data, hosts, now.Add(-time.Second))
		next, nextDue, err := renewed(data, hosts, now)
		if err != nil {
			t.Fatal(err)
		}
		if string(next[authorityKeyKey]) != string(data[authorityKeyKey]) {
			authorities++
		}
		if string(next[serverCertKey]) != string(data[serverCertKey]) {
			servers++
		}
		data, due = next, nextDue
		history = append(history, distributed{now, data})
		for len(history) > 1 && !history[1].at.After(now.Add(-settleTime)) {
			history = history[1:] // the first is what everybody had an hour ago
		}
		checkServed(t, data, data, hosts, now)
		checkServed(t, data, history[0].data, hosts, now)
		if again, _, err := renewed(data, hosts, now); err != nil || !maps.EqualFunc(again, data, func(a, b []byte) bool { return string(a) == string(b) }) {
			t.Fatalf("at %s a second look changes something again (%v)", now, err)
		}
	}
	if authorities < 55 || servers < 150 {
		t.Errorf("%d authorities and %d server certificates in ten years: they are not rotated at two thirds", authorities, servers)
	}
}

func checkServed(t *testing.T, served, distributed map[string][]byte, hosts []string, now time.Time) {
	t.Helper()
	c, err := parseCertificates(served)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(distributed[authorityCertKey]) {
		t.Fatal("the bundle is empty")
	}
	for _, h := range hosts {
		if _, err := c.server.Verify(x509.VerifyOptions{DNSName: h, Roots: roots, CurrentTime: now}); err != nil {
			t.Fatalf("at %s: %v", now, err)
		}
	}
	for _, cert := range append(c.authorities, c.server) {
		if life := cert.NotAfter.Sub(cert.NotBefore); life > 90*24*time.Hour {
			t.Fatalf("%s lives %s", cert.Subject, life)
		}
	}
}

func TestRenewed_mendsWhatIsBroken(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	hosts := []string{"a.example"}
	good, _, err := renewed(nil, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(map[string][]byte) (map[string][]byte, []string){
		"no key of the authority": func(d map[string][]byte) (map[string][]byte, []string) { delete(d, authorityKeyKey); return d, hosts },
		"junk": func(d map[string][]byte) (map[string][]byte, []string) {
			d[serverCertKey] = []byte("x")
			return d, hosts
		},
		"another host": func(d map[string][]byte) (map[string][]byte, []string) { return d, []string{"b.example", "10.1.2.3"} },
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			data, wanted := tt(maps.Clone(good))
			mended, _, err := renewed(data, wanted, now.Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			checkServed(t, mended, mended, wanted, now.Add(time.Minute))
		})
	}
}
