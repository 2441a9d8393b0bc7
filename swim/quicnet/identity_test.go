package quicnet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"rollcall/infra/certs"
	"rollcall/swim"
)

// strangers are certificates that nobody of cluster c should accept where member b is expected.
func strangers(t *testing.T, c *cluster) map[string][]tls.Certificate {
	t.Helper()
	expired, err := c.ca.Identity("b", time.Now().Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]tls.Certificate{
		"wrong CA":       {*newCluster(t, "test").identity("b", 0).Certificate()},
		"wrong cluster":  {*newCluster(t, "other").identity("b", 0).Certificate()},
		"expired":        {*expired.Certificate()},
		"no certificate": nil,
	}
}

// foreignTLS speaks the protocol and believes everybody.
func foreignTLS(certificates []tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: certificates, NextProtos: []string{protocolName}, ClientAuth: tls.RequestClientCert,
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
	}
}

// foreignSocket is a QUIC stack that is none of ours.
func foreignSocket(t *testing.T) *quic.Transport {
	t.Helper()
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	stack := &quic.Transport{Conn: udp}
	t.Cleanup(func() {
		if err := errors.Join(stack.Close(), udp.Close()); err != nil {
			t.Error(err)
		}
	})
	return stack
}

func TestStrangersAreNotLetIn(t *testing.T) {
	c := newCluster(t, "test")
	for name, certificates := range strangers(t, c) {
		t.Run(name, func(t *testing.T) {
			a := c.member("a", trusting(t, c, certificates))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, err := foreignSocket(t).Dial(ctx, net.UDPAddrFromAddrPort(a.LocalAddr()), foreignTLS(certificates),
				&quic.Config{EnableDatagrams: true})
			if err == nil { // the client's side is through before the server has judged
				if stream, err := conn.OpenStream(); err == nil {
					_ = writeFrame(stream, []byte("let me in"))
				}
				_ = conn.SendDatagram([]byte("let me in"))
				select {
				case <-conn.Context().Done():
				case <-ctx.Done():
					t.Fatal("the connection is still open")
				}
			}
			eventually(t, "the refusal is counted", func() bool { return a.Stats().HandshakesRefused == 1 })
			if s := a.Stats(); len(a.received()) != 0 || s.Exchanges != 0 || s.Connections != 0 {
				t.Errorf("something came through: %v, %+v", a.received(), s)
			}
		})
	}
}

func TestStrangersAreNotTalkedTo(t *testing.T) {
	c := newCluster(t, "test")
	impostors := strangers(t, c)
	delete(impostors, "no certificate") // a TLS server always has one
	impostors["another member's"] = []tls.Certificate{*c.identity("z", 0).Certificate()}
	for name, certificates := range impostors {
		t.Run(name, func(t *testing.T) {
			a := c.member("a", trusting(t, c, certificates))
			stack := foreignSocket(t)
			listener, err := stack.Listen(foreignTLS(certificates), &quic.Config{EnableDatagrams: true})
			if err != nil {
				t.Fatal(err)
			}
			to := swim.Peer{ID: "b", Addr: addrPort(listener.Addr())}
			if _, _, err := a.Exchange(t.Context(), to, []byte("secret")); !errors.Is(err, ErrIdentity) {
				t.Errorf("exchange: %v, want ErrIdentity", err)
			}
			eventually(t, "the address is spared", func() bool { // for longer after each dial
				a.Send(to, []byte("secret"))
				return a.Stats().DroppedBackoff > 0
			})
			if s := a.Stats(); s.Sent != 0 || s.Connections != 0 || s.HandshakesRefused == 0 {
				t.Errorf("%+v: want nothing sent, and the refusal counted", s)
			}
		})
	}
}

// trusting adds the other cluster's authority to the roots, where there is one: then only the SAN tells them apart.
func trusting(t *testing.T, c *cluster, certificates []tls.Certificate) func(*Config) {
	t.Helper()
	return func(config *Config) {
		if len(certificates) == 0 || certificates[0].Leaf.URIs[0].Path != "/other/b" {
			return
		}
		own := c.identity("a", 0)
		roots := own.Roots().Clone()
		roots.AddCert(authorityOf(t, certificates[0].Leaf))
		config.Credentials = credentials{own.Certificate(), roots}
	}
}

// authorityOf makes a certificate trusted as such: Go takes a leaf among the roots for its own authority.
func authorityOf(t *testing.T, leaf *x509.Certificate) *x509.Certificate {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Fatal(err)
	}
	return leaf
}

type credentials struct {
	certificate *tls.Certificate
	roots       *x509.CertPool
}

func (c credentials) Certificate() *tls.Certificate { return c.certificate }
func (c credentials) Roots() *x509.CertPool         { return c.roots }

// TestRefusedMemberLearnsWhy: a handshake with a certificate that the server refuses looks complete to the client.
func TestRefusedMemberLearnsWhy(t *testing.T) {
	c := newCluster(t, "test")
	a := c.member("a")
	foreign := newCluster(t, "test").identity("b", 0) // trusts a's authority, but is not of it
	b := c.member("b", func(config *Config) { config.Credentials = credentials{foreign.Certificate(), a.identity.Roots()} })
	if _, _, err := b.Exchange(t.Context(), a.peer(), []byte("hello")); !errors.Is(err, ErrRejected) {
		t.Errorf("exchange: %v, want ErrRejected", err)
	}
	for range 20 {
		b.Send(a.peer(), []byte("ping"))
	}
	eventually(t, "the pings are given up", func() bool { s := b.Stats(); return s.Connections == 0 && s.Peers == 0 })
	if len(a.received()) != 0 || len(b.notices()) != 0 {
		t.Errorf("a received %v, b was told %v", a.received(), b.notices())
	}
	if s := b.Stats(); s.Dials > 3 {
		t.Errorf("%d dials to an address that refuses us", s.Dials)
	}
}

func TestSecondProcessWithTheSameID(t *testing.T) {
	c := newCluster(t, "test")
	seen := make(chan netip.AddrPort, 8)
	watch := func(config *Config) { config.OnConflict = func(addr netip.AddrPort) { seen <- addr } }
	first := c.member("a", watch)
	second := c.member("a")
	_, _, err := second.Exchange(t.Context(), swim.Peer{Addr: first.LocalAddr()}, []byte("join"))
	if !errors.Is(err, ErrIDConflict) || !strings.Contains(err.Error(), first.LocalAddr().String()) {
		t.Errorf("exchange: %v, want ErrIDConflict with the address of the first", err)
	}
	if second.Stats().Conflicts != 1 {
		t.Error("the second did not count the conflict")
	}
	// The first learns of it where the second's certificate gets that far: when it is dialled by one that believes it.
	stack := foreignSocket(t)
	conn, err := stack.Dial(t.Context(), net.UDPAddrFromAddrPort(first.LocalAddr()),
		foreignTLS([]tls.Certificate{*second.identity.Certificate()}), &quic.Config{EnableDatagrams: true})
	if err == nil {
		<-conn.Context().Done()
	}
	select {
	case addr := <-seen:
		if addr != addrPort(stack.Conn.LocalAddr()) {
			t.Errorf("conflict seen at %v, want %v", addr, stack.Conn.LocalAddr())
		}
	case <-time.After(patience):
		t.Error("the first was not told of the conflict")
	}
	if _, _, err := first.Exchange(t.Context(), swim.Peer{Addr: first.LocalAddr()}, nil); !errors.Is(err, ErrSelf) {
		t.Errorf("exchange with itself: %v, want ErrSelf", err)
	}
}

// TestItselfByAnotherAddress: an address that stands for this very transport, such as a virtual one in front of all members or a
// published port, is no other process with its id. One that stands for another process is.
func TestItselfByAnotherAddress(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		var conflicts atomic.Int64
		a := w.member(c, "a", 1, func(config *Config) { config.OnConflict = func(netip.AddrPort) { conflicts.Add(1) } })
		front := netip.MustParseAddrPort("10.0.0.100:7946")
		w.alias(front, a.LocalAddr())
		for range 2 {
			if _, _, err := a.Exchange(t.Context(), swim.Peer{Addr: front}, nil); !errors.Is(err, ErrSelf) {
				t.Errorf("exchange: %v, want ErrSelf", err)
			}
		}
		b := w.member(c, "b", 2)
		w.alias(front, b.LocalAddr())
		if from := a.ask(swim.Peer{Addr: front}, "who is there"); from != "b" {
			t.Errorf("%s answered, want b", from)
		}
		if s := a.Stats(); conflicts.Load() != 0 || s.Conflicts != 0 {
			t.Errorf("%d conflicts reported, %d counted, and there was none", conflicts.Load(), s.Conflicts)
		}
		other := netip.MustParseAddrPort("10.0.0.101:7946")
		w.alias(other, w.member(c, "a", 3).LocalAddr())
		if _, _, err := a.Exchange(t.Context(), swim.Peer{Addr: other}, nil); !errors.Is(err, ErrIDConflict) {
			t.Errorf("exchange: %v, want ErrIDConflict", err)
		}
		if conflicts.Load() != 1 {
			t.Errorf("%d conflicts reported, want the one there is", conflicts.Load())
		}
	})
}

func TestCertificateRotationWithoutRestart(t *testing.T) {
	dir := t.TempDir()
	if err := certs.InitCA(dir, "test", time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	load := func(id string) *certs.Identity {
		if err := certs.IssueFiles(dir, "test", id, time.Now(), 0); err != nil {
			t.Fatal(err)
		}
		name := func(suffix string) string { return filepath.Join(dir, id+suffix) }
		identity, err := certs.Load(name(".pem"), name("-key.pem"), filepath.Join(dir, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return identity
	}
	c := newCluster(t, "test")
	identity := load("a")
	a := c.member("a", func(config *Config) { config.Credentials = identity })
	b := c.member("b", func(config *Config) { config.Credentials = load("b") })
	d := c.member("d", func(config *Config) { config.Credentials = load("d") })
	a.ask(b.peer(), "before")

	before := identity.Certificate().Leaf.SerialNumber
	if _, err := certs.Rotate(dir, time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	if err := identity.Reload(); err != nil {
		t.Fatal(err)
	}
	a.ask(b.peer(), "open connections survive")
	d.ask(a.peer(), "new ones show the new certificate")
	if dials := a.Stats().Dials; dials != 1 {
		t.Errorf("%d dials, the connection to b should have survived", dials)
	}
	d.Transport.mu.Lock()
	shown := d.peers["a"].link.conn.ConnectionState().TLS.PeerCertificates[0].SerialNumber
	d.Transport.mu.Unlock()
	if shown.Cmp(before) == 0 || shown.Cmp(identity.Certificate().Leaf.SerialNumber) != 0 {
		t.Errorf("shown %v, want the new one", shown)
	}

	// A broken file keeps the old one in use.
	if err := os.WriteFile(filepath.Join(dir, "a.pem"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := identity.Reload(); !errors.Is(err, certs.ErrFormat) {
		t.Errorf("reload: %v, want ErrFormat", err)
	}
	a.ask(d.peer(), "still")
}

func TestConfigIsRefusedNotClipped(t *testing.T) {
	c := newCluster(t, "test")
	for field, edit := range map[string]func(*Config){
		"Cluster":                func(c *Config) { c.Cluster = "no dots." },
		"ID":                     func(c *Config) { c.ID = "" },
		"Bind":                   func(c *Config) { c.Bind = netip.AddrPort{} },
		"Credentials":            func(c *Config) { c.Credentials = nil },
		"names z":                func(config *Config) { config.Credentials = c.identity("z", 0) },
		"other":                  func(config *Config) { config.Cluster = "other" },
		"Limits.Connections":     func(c *Config) { c.Limits.Connections = 3 },
		"Limits.IdleConnections": func(c *Config) { c.Limits.IdleConnections = -1 },
		"Limits.Idle":            func(c *Config) { c.Limits.Idle = time.Minute },
		"Limits.Exchange":        func(c *Config) { c.Limits.Exchange = -1 },
		"Limits.Exchanges":       func(c *Config) { c.Limits.Exchanges = -1 },
		"Limits.HalfOpen":        func(c *Config) { c.Limits.HalfOpen = -1 },
	} {
		config := c.config("a")
		edit(&config)
		transport, err := Listen(config)
		if err == nil {
			transport.Kill()
		}
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("bad %s: error %v does not name it", field, err)
		}
	}
}
