package quicnet

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"rollcall/swim"
)

// tethered makes a hold on to b, and waits until that stands at both ends.
func tethered(t *testing.T, a, b *member) {
	t.Helper()
	before := b.Stats().Tethers
	a.Tether(b.peer())
	eventually(t, "the tether stands", func() bool { return a.Stats().Tethers > 0 && b.Stats().Tethers > before })
}

// TestTetherTellsBothEndsWithoutAPacket: whoever held on and whoever was held on to.
func TestTetherTellsBothEndsWithoutAPacket(t *testing.T) {
	c := newCluster(t, "test")
	for name, dies := range map[string]int{"held on to": 1, "held on": 0} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{t: t, ca: c.ca}
			pair := []*member{c.member("a"), c.member("b")}
			tethered(t, pair[0], pair[1])
			dead, other := pair[dies], pair[1-dies]
			begin := time.Now()
			dead.Kill()
			other.notified(dead.id, swim.DownCut)
			if took := time.Since(begin); took > soon {
				t.Errorf("told after %v", took)
			}
			if s := other.Stats(); s.TethersCut != 1 || s.Sent != 0 || s.Dials != 0 {
				t.Errorf("%+v: want one tether cut, and not a packet for it", s)
			}
			if len(dead.notices()) != 0 {
				t.Errorf("the dead one was told %v", dead.notices())
			}
		})
	}
}

// TestTetherThatIsLetGoTellsNothing: neither when another peer is chosen, nor when one of the two leaves.
func TestTetherThatIsLetGoTellsNothing(t *testing.T) {
	c := newCluster(t, "test")
	a, b, d := c.member("a"), c.member("b"), c.member("d")
	tethered(t, a, b)
	tethered(t, b, d)
	a.Tether(d.peer())
	eventually(t, "d is held on to by both", func() bool { return d.Stats().Tethers == 2 && b.Stats().Tethers == 1 })
	a.Tether(swim.Peer{})
	eventually(t, "a holds on to nobody", func() bool { return d.Stats().Tethers == 1 && a.Stats().Tethers == 0 })
	a.Tether(a.peer()) // nobody
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "b has let go", func() bool { return d.Stats().Tethers == 0 })
	for _, m := range []*member{a, b, d} {
		if n := m.notices(); len(n) != 0 {
			t.Errorf("%s was told %v", m.id, n)
		}
	}
	b.Tether(d.peer()) // closed: does nothing, leaks nothing
}

// TestTetherLetGoAsItIsMade: at whatever step, and by either side, the other is told nothing.
func TestTetherLetGoAsItIsMade(t *testing.T) {
	c := newCluster(t, "test")
	a := c.member("a")
	for i := range 60 {
		b := c.member("b")
		a.Tether(b.peer())
		connected := func() bool { return a.Stats().Tethers > 0 || b.Stats().Tethers > 0 }
		for deadline := time.Now().Add(patience); !connected() && time.Now().Before(deadline); {
			runtime.Gosched() // a poll at intervals would come too late
		}
		if i%2 == 0 {
			a.Tether(swim.Peer{})
		} else if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		eventually(t, "they are apart", func() bool { return a.Stats().Tethers+b.Stats().Tethers == 0 })
		a.Tether(swim.Peer{})
		if n := append(a.notices(), b.notices()...); len(n) != 0 {
			t.Fatalf("told %v", n)
		}
	}
}

// TestTetherIsMadeAgain: after an end in the middle, and after its peer's restart.
func TestTetherIsMadeAgain(t *testing.T) {
	c := newCluster(t, "test")
	bind := ownPort(t)
	a, b := c.member("a"), c.member("b", bind)
	tethered(t, a, b)
	b.cutTethers()
	a.notified("b", swim.DownCut)
	eventually(t, "the tether stands again", func() bool { return a.Stats().Tethers == 1 && b.Stats().Tethers == 1 })
	b.Kill()
	again := c.member("b", bind)
	eventually(t, "the tether stands at the next process", func() bool { return again.Stats().Tethers == 1 })
}

// cutTethers resets what others hold on to m with.
func (m *member) cutTethers() {
	m.Transport.mu.Lock()
	defer m.Transport.mu.Unlock()
	for _, r := range m.tethers {
		raw := r.conn.NetConn().(*net.TCPConn)
		_ = raw.SetLinger(0)
		_ = raw.Close()
	}
}

// TestTethersAreBounded: I15. A member has one, whatever it opens, and the oldest of too many makes room.
func TestTethersAreBounded(t *testing.T) {
	c := newCluster(t, "test")
	b := c.member("b")
	hold := func(id string) *tls.Conn {
		t.Helper()
		m := &Transport{config: c.config(id)}
		conn, err := tls.Dial("tcp", b.LocalAddr().String(), m.dialTLS(tetherProtocol, "", b.peer(), nil))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := shake(t.Context(), conn, hear, say); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		eventually(t, id+"'s tether stands", func() bool {
			b.Transport.mu.Lock()
			defer b.Transport.mu.Unlock()
			r := b.tethers[swim.ID(id)]
			return r != nil && r.addr == addrPort(conn.LocalAddr())
		})
		return conn
	}
	letGo := func(conn *tls.Conn) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if n, err := conn.Read(make([]byte, 1)); n != 1 {
			t.Errorf("ended with %v instead of a word", err)
		}
	}
	first := hold("a")
	oldest := hold("a")
	letGo(first)
	for i := range tethersMax {
		hold(fmt.Sprintf("m%d", i))
	}
	letGo(oldest)
	eventually(t, "they are at the bound", func() bool { return b.Stats().Tethers == tethersMax })
	if n := b.notices(); len(n) != 0 {
		t.Errorf("b was told %v", n)
	}
}

// TestStrangersGetNoTether: each costs a handshake for a moment, and so many at a time.
func TestStrangersGetNoTether(t *testing.T) {
	c, other := newCluster(t, "test"), newCluster(t, "test")
	b := c.member("b", func(config *Config) { config.handshakeLimit = time.Second })
	stranger := &Transport{config: other.config("a")}
	own := &Transport{config: c.config("b")}
	for what, m := range map[string]*Transport{"another CA's": stranger, "its own id": own} {
		config := m.dialTLS(tetherProtocol, "", b.peer(), nil)
		config.VerifyConnection = nil // it would let anybody in
		if conn, err := tls.Dial("tcp", b.LocalAddr().String(), config); err == nil {
			if _, err = conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s certificate holds on", what)
			}
			_ = conn.Close()
		}
	}
	eventually(t, "both are counted", func() bool { return b.Stats().TethersRefused == 2 })
	if s := b.Stats(); s.Conflicts != 0 {
		t.Error("a conflict is reported, with an address that is not the other's")
	}

	var silent []net.Conn
	for range greetingMax + 4 {
		conn, err := net.Dial("tcp", b.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	eventually(t, "those beyond the bound are closed", func() bool { return b.Stats().TethersRefused >= 2+4 })
	for _, conn := range silent { // the others within the handshake's limit
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			t.Fatal("one that says nothing is still open")
		}
	}
	tethered(t, c.member("a"), b)
	if n := b.notices(); len(n) != 0 {
		t.Errorf("b was told %v", n)
	}
}

// TestTetherThatIsRefusedTellsNothing: the peer lives, and would not have it.
func TestTetherThatIsRefusedTellsNothing(t *testing.T) {
	c, other := newCluster(t, "test"), newCluster(t, "test")
	a, b := c.member("a"), other.member("b")
	a.Tether(b.peer())
	eventually(t, "the attempt is counted", func() bool { return a.Stats().TethersFailed == 1 })
	if n := append(a.notices(), b.notices()...); len(n) != 0 {
		t.Errorf("told %v", n)
	}
}

// TestPortTakenForTCP: the member says so once and does without.
func TestPortTakenForTCP(t *testing.T) {
	taken, err := net.Listen("tcp4", anyPort.String())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var text bytes.Buffer
	c := newCluster(t, "test")
	b := c.member("b", func(config *Config) {
		config.Bind = taken.Addr().(*net.TCPAddr).AddrPort()
		config.Logger = slog.New(slog.NewTextHandler(&text, nil))
	})
	if n := strings.Count(text.String(), "no TCP at this member's port"); n != 1 {
		t.Errorf("said %d times: %q", n, text.String())
	}
	a := c.member("a")
	a.ask(b.peer(), "hello")
	tethered(t, b, a) // the other way it still works
}

// TestPortIsFreeForBoth: a port that the system chooses is the same for UDP and TCP.
func TestPortIsFreeForBoth(t *testing.T) {
	for _, text := range []string{"127.0.0.1:0", "[::]:0"} {
		s, err := bind(netip.MustParseAddrPort(text))
		if err != nil {
			t.Fatal(err)
		}
		if s.noTCP != nil || addrPort(s.tcp.Addr()).Port() != addrPort(s.udp.LocalAddr()).Port() {
			t.Errorf("%s: UDP %v, TCP %v, %v", text, s.udp.LocalAddr(), s.tcp, s.noTCP)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}
