package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pki is a directory with an authority and members.
type pki struct {
	t   *testing.T
	dir string
}

func newPKI(t *testing.T, cluster string, members ...string) pki {
	t.Helper()
	p := pki{t: t, dir: filepath.Join(t.TempDir(), "pki")}
	must(t, InitCA(p.dir, cluster, time.Now(), 0))
	for _, id := range members {
		must(t, IssueFiles(p.dir, cluster, id, time.Now(), 0))
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p pki) file(name string) string { return filepath.Join(p.dir, name) }

func (p pki) load(id string) (*Identity, error) {
	return Load(p.file(id+".pem"), p.file(id+"-key.pem"), p.file("ca.pem"))
}

func (p pki) copy(from, to string) {
	p.t.Helper()
	text, err := os.ReadFile(from)
	must(p.t, err)
	must(p.t, os.WriteFile(to, text, 0o600))
}

func TestIssuedCertificate(t *testing.T) {
	now := time.Now()
	ca, err := NewCA("blue", now, 0)
	must(t, err)
	identity, err := ca.Identity("n1", now, time.Hour)
	must(t, err)
	leaf := identity.Certificate().Leaf
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://rollcall/blue/n1" {
		t.Errorf("SANs %v", leaf.URIs)
	}
	if leaf.PublicKeyAlgorithm != x509.ECDSA || leaf.IsCA {
		t.Errorf("algorithm %v, CA %v", leaf.PublicKeyAlgorithm, leaf.IsCA)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	if !slices.Equal(leaf.ExtKeyUsage, usages) || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("usages %v %v", leaf.ExtKeyUsage, leaf.KeyUsage)
	}
	if got := leaf.NotAfter.Sub(now).Round(time.Minute); got != time.Hour || !leaf.NotBefore.Before(now) {
		t.Errorf("holds from %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
	if identity.Cluster() != "blue" || identity.ID() != "n1" || !identity.NotAfter().Equal(leaf.NotAfter) {
		t.Errorf("identity %s/%s until %v", identity.Cluster(), identity.ID(), identity.NotAfter())
	}
}

// TestCAIsConstrained: with its key alone nobody can make another authority, or a name outside Rollcall.
// A certificate can be for hosts too: a server's clients that trust the CA then trust it there, and a rotation keeps that.
func TestHosts(t *testing.T) {
	p := newPKI(t, "c1")
	must(t, IssueFiles(p.dir, "c1", "web", time.Now(), 0, "web.example.org", "10.0.0.9", "fd00::9", "localhost"))
	_, err := Rotate(p.dir, time.Now(), 0)
	must(t, err)
	identity, err := p.load("web")
	must(t, err)
	leaf := identity.Certificate().Leaf
	for host, want := range map[string]bool{
		"web.example.org": true, "10.0.0.9": true, "fd00::9": true, "localhost": true,
		"example.org": false, "10.0.0.8": false, "x.localhost": false,
	} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: identity.Roots(), DNSName: host}); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"", "a b", "*.example.org", "-x", "10.0.0", "x.", "http://x", "10.0.0.9:80", strings.Repeat("x", 64)} {
		if err := IssueFiles(p.dir, "c1", "other", time.Now(), 0, host); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v, want ErrName", host, err)
		}
	}
}

func TestCAIsConstrained(t *testing.T) {
	ca, err := NewCA("blue", time.Now(), 0)
	must(t, err)
	if !ca.cert.MaxPathLenZero || ca.cert.MaxPathLen != 0 || ca.cert.KeyUsage != x509.KeyUsageCertSign {
		t.Errorf("path length %d, usage %v", ca.cert.MaxPathLen, ca.cert.KeyUsage)
	}
	if !slices.Equal(ca.cert.PermittedURIDomains, []string{"rollcall"}) || !ca.cert.PermittedDNSDomainsCritical {
		t.Errorf("constraints %v", ca.cert.PermittedURIDomains)
	}
}

func TestNamesAndValidities(t *testing.T) {
	now := time.Now()
	for _, name := range []string{"", "a.b", "a/b", "ä", "a b", strings.Repeat("x", idMax+1)} {
		if _, err := NewCA(name, now, 0); !errors.Is(err, ErrName) {
			t.Errorf("cluster %q: %v", name, err)
		}
	}
	ca, err := NewCA(strings.Repeat("x", idMax), now, time.Hour)
	must(t, err)
	if _, _, err := ca.Issue("a.b", now, time.Minute); !errors.Is(err, ErrName) {
		t.Errorf("id: %v", err)
	}
	for _, validity := range []time.Duration{-1, time.Hour + time.Second, 0} {
		if _, _, err := ca.Issue("n1", now, validity); !errors.Is(err, ErrExpired) {
			t.Errorf("validity %v under a CA of an hour: %v", validity, err)
		}
	}
	p := newPKI(t, "blue", "n1")
	for _, id := range []string{"ca", "n1-key"} { // their files would be those of the CA and of n1
		if err := IssueFiles(p.dir, "blue", id, now, 0); !errors.Is(err, ErrName) {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

func TestFilesAreWrittenOnceAndKeysAreSecret(t *testing.T) {
	p := newPKI(t, "blue", "n1")
	for name, mode := range map[string]os.FileMode{"ca.pem": modeCert, "ca-key.pem": modeKey, "n1.pem": modeCert, "n1-key.pem": modeKey} {
		info, err := os.Stat(p.file(name))
		must(t, err)
		if info.Mode().Perm()&^mode != 0 {
			t.Errorf("%s has mode %v, want %v at most", name, info.Mode(), mode)
		}
	}
	before, err := os.ReadFile(p.file("ca-key.pem"))
	must(t, err)
	if err := InitCA(p.dir, "blue", time.Now(), 0); !errors.Is(err, ErrExists) {
		t.Errorf("second init: %v", err)
	}
	if err := IssueFiles(p.dir, "blue", "n1", time.Now(), 0); !errors.Is(err, ErrExists) {
		t.Errorf("second issue: %v", err)
	}
	must(t, os.Remove(p.file("ca.pem"))) // the key alone is in the way too
	if err := InitCA(p.dir, "blue", time.Now(), 0); !errors.Is(err, ErrExists) {
		t.Errorf("init over a key: %v", err)
	}
	if after, err := os.ReadFile(p.file("ca-key.pem")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the CA's key was touched: %v", err)
	}
}

func TestIssueForAnotherCluster(t *testing.T) {
	p := newPKI(t, "blue")
	if err := IssueFiles(p.dir, "green", "n1", time.Now(), 0); !errors.Is(err, ErrCluster) {
		t.Errorf("%v, want ErrCluster", err)
	}
}

// TestLoadSaysWhatIsWrong: each error names the file, is told from the others, and says what to do.
func TestLoadSaysWhatIsWrong(t *testing.T) {
	other := newPKI(t, "blue", "n1")
	for name, c := range map[string]struct {
		spoil func(p pki)
		want  error
		says  []string
	}{
		"no certificate": {func(p pki) { must(t, os.Remove(p.file("n1.pem"))) }, os.ErrNotExist, []string{"n1.pem", "issue"}},
		"no key":         {func(p pki) { must(t, os.Remove(p.file("n1-key.pem"))) }, os.ErrNotExist, []string{"n1-key.pem"}},
		"no CA":          {func(p pki) { must(t, os.Remove(p.file("ca.pem"))) }, os.ErrNotExist, []string{"ca.pem", "init"}},
		"not PEM":        {func(p pki) { must(t, os.WriteFile(p.file("n1.pem"), []byte("x"), 0o600)) }, ErrFormat, []string{"n1.pem"}},
		"key for cert":   {func(p pki) { p.copy(p.file("n1-key.pem"), p.file("n1.pem")) }, ErrFormat, []string{"n1.pem"}},
		"cert for key":   {func(p pki) { p.copy(p.file("n1.pem"), p.file("n1-key.pem")) }, ErrFormat, []string{"n1-key.pem"}},
		"other key":      {func(p pki) { p.copy(p.file("n2-key.pem"), p.file("n1-key.pem")) }, ErrMismatch, []string{"n1.pem", "n1-key.pem"}},
		"other CA":       {func(p pki) { p.copy(other.file("ca.pem"), p.file("ca.pem")) }, ErrMismatch, []string{"n1.pem", "ca.pem"}},
		"the CA itself": {func(p pki) {
			p.copy(p.file("ca.pem"), p.file("n1.pem"))
			p.copy(p.file("ca-key.pem"), p.file("n1-key.pem"))
		}, ErrIdentity, []string{"n1.pem", "SAN"}},
		"expired": {func(p pki) {
			_, err := Rotate(p.dir, time.Now().Add(-2*time.Minute), time.Minute)
			must(t, err)
		}, ErrExpired, []string{"n1.pem", "rotate"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPKI(t, "blue", "n1", "n2")
			if _, err := p.load("n1"); err != nil {
				t.Fatal(err)
			}
			c.spoil(p)
			_, err := p.load("n1")
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q does not say %q", err, text)
				}
			}
		})
	}
}

func TestRotateRenewsMembersAndKeepsTheCA(t *testing.T) {
	p := newPKI(t, "blue", "n2", "n1")
	must(t, os.WriteFile(p.file("lonely-key.pem"), []byte("no certificate beside it"), 0o600))
	must(t, os.WriteFile(p.file("n1.pem.new"), []byte("left by a crash"), 0o600))
	identity, err := p.load("n1")
	must(t, err)
	old, authority := identity.Certificate().Leaf, identity.Roots()
	ids, err := Rotate(p.dir, time.Now(), 48*time.Hour)
	if err != nil || !slices.Equal(ids, []string{"n1", "n2"}) {
		t.Fatalf("rotated %v, %v", ids, err)
	}
	must(t, identity.Reload())
	renewed := identity.Certificate().Leaf
	if renewed.SerialNumber.Cmp(old.SerialNumber) == 0 || renewed.NotAfter.Equal(old.NotAfter) {
		t.Error("the certificate is the old one")
	}
	if !identity.Roots().Equal(authority) {
		t.Error("the CA has changed")
	}
	p.copy(p.file("n1.pem"), p.file("n2.pem"))
	if ids, err := Rotate(p.dir, time.Now(), 0); !errors.Is(err, ErrIdentity) || !slices.Equal(ids, []string{"n1"}) {
		t.Errorf("a certificate under another's name: %v, %v", ids, err)
	}
}

func TestReloadKeepsTheOldOnError(t *testing.T) {
	p := newPKI(t, "blue", "n1", "n2")
	identity, err := p.load("n1")
	must(t, err)
	serial := identity.Certificate().Leaf.SerialNumber
	p.copy(p.file("n2.pem"), p.file("n1.pem"))
	p.copy(p.file("n2-key.pem"), p.file("n1-key.pem"))
	if err := identity.Reload(); !errors.Is(err, ErrIdentity) { // a running member keeps its name
		t.Errorf("another member's files: %v", err)
	}
	if identity.Certificate().Leaf.SerialNumber.Cmp(serial) != 0 || identity.ID() != "n1" {
		t.Error("the old certificate is gone")
	}
}

func TestWatchFollowsTheFiles(t *testing.T) {
	p := newPKI(t, "blue", "n1")
	identity, err := p.load("n1")
	must(t, err)
	synctest.Test(t, func(t *testing.T) {
		// The bubble's clock stands in another year than the files.
		var left atomic.Int64
		left.Store(int64(ValidityMember))
		identity.now = func() time.Time { return identity.NotAfter().Add(-time.Duration(left.Load())) }
		var log syncBuffer
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			identity.Watch(ctx, time.Minute, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		look := func() {
			<-time.After(2 * time.Minute)
			synctest.Wait()
		}
		serial := identity.Certificate().Leaf.SerialNumber
		look()
		must(t, os.WriteFile(p.file("n1.pem"), []byte("half written"), 0o600))
		look()
		look()
		if n := strings.Count(log.String(), "not reloaded"); n != 1 {
			t.Errorf("the broken file was logged %d times, want once:\n%s", n, log.String())
		}
		if identity.Certificate().Leaf.SerialNumber.Cmp(serial) != 0 {
			t.Error("the old certificate is gone")
		}
		must(t, os.Remove(p.file("n1.pem")))
		must(t, os.Remove(p.file("n1-key.pem")))
		must(t, IssueFiles(p.dir, "blue", "n1", identity.now(), time.Hour))
		look()
		if identity.Certificate().Leaf.SerialNumber.Cmp(serial) == 0 {
			t.Error("the new certificate was not taken over")
		}
		left.Store(int64(time.Minute))
		look()
		look()
		if n := strings.Count(log.String(), "ends soon"); n != 1 {
			t.Errorf("the end was announced %d times, want once:\n%s", n, log.String())
		}
		cancel()
		<-done
	})
}

type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
