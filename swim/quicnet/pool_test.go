package quicnet

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"rollcall/swim"
)

func TestSimultaneousDialKeepsTheLowerIDs(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		a.Send(b.peer(), []byte("from a"))
		b.Send(a.peer(), []byte("from b"))
		pass(200 * time.Millisecond)
		if dials := a.Stats().Dials + b.Stats().Dials; dials != 2 {
			t.Fatalf("%d dials, the test wants them to cross", dials)
		}
		a.hears("b", "from b")
		b.hears("a", "from a")

		// What is sent while the loser drains comes too, and an exchange may run on either.
		a.Send(b.peer(), []byte("again from a"))
		b.Send(a.peer(), []byte("again from b"))
		a.ask(b.peer(), "state")
		b.ask(a.peer(), "state")
		a.hears("b", "again from b")
		b.hears("a", "again from a")

		pass(3 * time.Second)
		for _, m := range []*member{a, b} {
			if s := m.Stats(); s.Connections != 1 {
				t.Errorf("%s has %d connections, want one", m.id, s.Connections)
			}
			if len(m.notices()) != 0 {
				t.Errorf("%s was told %v: a superseded connection says nothing about the peer", m.id, m.notices())
			}
		}
		if by := a.dialledBy("b"); by != "a" || by != b.dialledBy("a") {
			t.Errorf("a keeps the one that %s dialled, b the one that %s dialled; want a", by, b.dialledBy("a"))
		}
		a.ask(b.peer(), "still there")
	})
}

func TestOneDialForManySends(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		for i := range 10 {
			a.Send(b.peer(), fmt.Appendf(nil, "%d", i))
		}
		var asked sync.WaitGroup
		for range 10 {
			asked.Go(func() { a.ask(b.peer(), "state") })
		}
		asked.Wait()
		for i := range 10 {
			b.hears("a", fmt.Sprint(i))
		}
		if s := a.Stats(); s.Dials != 1 || s.Sent != 10 {
			t.Errorf("%d dials and %d sent, want 1 and 10", s.Dials, s.Sent)
		}
	})
}

// TestDialsInFlightAreBounded: I15. What is over the bound is dropped and counted, and a later datagram gets its turn; a state
// exchange does not wait for the others.
func TestDialsInFlightAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, last := w.member(c, "a", 1), w.member(c, "last", 2)
		w.lose(func(_, to netip.AddrPort, _ []byte) bool { return to.Addr().As4()[3] >= 100 })
		for i := range byte(dialsMax) {
			m := w.member(c, fmt.Sprintf("m%d", i), 100+i)
			a.Send(m.peer(), []byte("ping"))
		}
		a.Send(last.peer(), []byte("too many"))
		if s := a.Stats(); s.Dials != dialsMax || s.DroppedBackoff != 1 {
			t.Errorf("%d dials, %d datagrams dropped; want %d and one", s.Dials, s.DroppedBackoff, dialsMax)
		}
		a.ask(last.peer(), "state")
		a.Send(last.peer(), []byte("on the exchange's connection"))
		pass(time.Second)
		last.hears("a", "on the exchange's connection")
		pass(handshakeMax)
		other := w.member(c, "other", 3)
		a.Send(other.peer(), []byte("after the others"))
		pass(time.Second)
		other.hears("a", "after the others")
	})
}

func TestIdleConnectionsCloseQuietly(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		hub := w.member(c, "hub", 1, func(c *Config) { c.Limits.IdleConnections = 3 })
		var others []*member
		for i := range byte(6) {
			m := w.member(c, fmt.Sprintf("m%d", i), 2+i)
			hub.ask(m.peer(), "hello")
			others = append(others, m)
			pass(10 * time.Millisecond)
		}
		// One stays in use, the five others idle; the allowance is three, and the oldest of them go.
		for range 13 {
			hub.Send(others[0].peer(), []byte("ping"))
			pass(time.Second)
		}
		if s := hub.Stats(); s.Connections != 4 || s.IdleCloses != 2 {
			t.Errorf("after 13 s: %d connections, %d closed idle; want 4 and 2", s.Connections, s.IdleCloses)
		}
		for i, want := range []bool{true, false, false, true, true, true} {
			if got := hub.dialledBy(others[i].id) != ""; got != want {
				t.Errorf("connection to m%d open: %v, want %v", i, got, want)
			}
		}
		for range 16 {
			hub.Send(others[0].peer(), []byte("ping"))
			pass(time.Second)
		}
		if s := hub.Stats(); s.Connections != 1 {
			t.Errorf("after 29 s: %d connections, want the one in use", s.Connections)
		}
		for _, m := range append(others, hub) {
			if len(m.notices()) != 0 {
				t.Errorf("%s was told %v: an idle close says nothing about the peer", m.id, m.notices())
			}
		}
		hub.ask(others[1].peer(), "again")
	})
}

func TestSilentPeerEndsWithoutANotice(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		a.ask(b.peer(), "hello")
		w.lose(func(_, _ netip.AddrPort, _ []byte) bool { return true })
		for range 40 {
			a.Send(b.peer(), []byte("ping"))
			pass(time.Second)
		}
		if n := a.notices(); len(n) != 0 {
			t.Errorf("a was told %v: silence is for the probes to judge", n)
		}
		if s := a.Stats(); s.Connections != 0 || s.DroppedBackoff+s.DroppedLost == 0 {
			t.Errorf("%+v: the connection should have ended, and the pings should be counted", s)
		}
		w.lose(nil)
		pass(5 * time.Second)
		a.ask(b.peer(), "back")
	})
}

func TestForgedUnreachableIsOnlyAHint(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		a.ask(b.peer(), "hello")
		for range 3 {
			a.unreachable(b.LocalAddr())
		}
		if n := a.notices(); len(n) != 1 || n[0] != (downNotice{"b", b.LocalAddr(), swim.DownUnreachable}) {
			t.Fatalf("a was told %v, want one hint", n)
		}
		pass(time.Millisecond)
		a.Send(b.peer(), []byte("are you there, for another who asks"))
		pass(time.Millisecond)
		for range 3 {
			a.unreachable(b.LocalAddr())
		}
		if n := a.notices(); len(n) != 2 {
			t.Fatalf("a was told %v, want one hint more for one packet more", n)
		}
		b.Send(a.peer(), []byte("I live")) // it comes on the same connection
		pass(5 * time.Second)
		a.hears("b", "I live")
		if s := a.Stats(); s.Connections != 1 || s.Dials != 1 {
			t.Errorf("%d connections after %d dials: a message should have cleared the doubt", s.Connections, s.Dials)
		}
		a.unreachable(b.LocalAddr())
		pass(5 * time.Second)
		if s := a.Stats(); s.Connections != 0 {
			t.Errorf("%d connections: silence should have ended the doubtful one", s.Connections)
		}
		if n := b.notices(); len(n) != 0 {
			t.Errorf("b was told %v", n)
		}
	})
}

func TestDeadAddressIsSpared(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a := w.member(c, "a", 1)
		gone := swim.Peer{ID: "b", Addr: netip.MustParseAddrPort("10.0.0.2:7946")}
		for range 1000 { // 10 s, a ping every 10 ms
			a.Send(gone, []byte("ping"))
			pass(10 * time.Millisecond)
		}
		s := a.Stats()
		if s.Dials < 5 || s.Dials > 12 {
			t.Errorf("%d dials in 10 s, want 0.1, 0.2, 0.4, … 2 s between them", s.Dials)
		}
		if n := a.notices(); len(n) != 1 || n[0].how != swim.DownUnreachable {
			t.Errorf("a was told %v, want one hint an episode", n)
		}
		if sum := s.DroppedBackoff + s.DroppedLost; sum != 1000 {
			t.Errorf("%d datagrams counted as dropped, want all 1000: %+v", sum, s)
		}
		if s.Peers != 0 || s.Connections != 0 {
			t.Errorf("%d peers and %d connections are left behind", s.Peers, s.Connections)
		}
		b := w.member(c, "b", 2)
		pass(backoffMax)
		a.Send(gone, []byte("I found you"))
		b.hears("a", "I found you")
		a.Transport.mu.Lock()
		defer a.Transport.mu.Unlock()
		if n := len(a.backoffs); n != 0 {
			t.Errorf("%d addresses are still being spared", n)
		}
	})
}

func TestMovedPeerIsFoundAtItsNewAddress(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		a.ask(b.peer(), "hello")
		old := b.LocalAddr()
		w.lose(func(_, to netip.AddrPort, _ []byte) bool { return to == old }) // its machine is gone, and says nothing
		moved := w.member(c, "b", 3)
		for range 6 {
			a.Send(moved.peer(), []byte("ping"))
			pass(time.Second)
		}
		moved.hears("a", "ping")
	})
}

// TestMembersThatAdvertiseOtherAddressesKeepTheirConnection: each sends from one address and is named by another, as behind
// a wildcard bind or a translating router. Silence between their datagrams is no reason to connect anew each time.
func TestMembersThatAdvertiseOtherAddressesKeepTheirConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		named := func(m *member, n byte) swim.Peer {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, n}), 7946)
			w.alias(addr, m.LocalAddr())
			return swim.Peer{ID: m.id, Addr: addr}
		}
		toA, toB := named(a, 1), named(b, 2)
		for i := range 20 {
			a.Send(toB, fmt.Appendf(nil, "to b %d", i))
			pass(staleAfter + 500*time.Millisecond)
			b.Send(toA, fmt.Appendf(nil, "to a %d", i))
			b.ask(toA, "state")
			pass(staleAfter + 500*time.Millisecond)
		}
		if n, m := len(b.received()), len(a.received()); n != 20 || m != 20 {
			t.Errorf("%d and %d datagrams came, want all", n, m)
		}
		if dials := a.Stats().Dials + b.Stats().Dials; dials > 3 {
			t.Errorf("%d dials, want one and a look at each other's address", dials)
		}

		// One that has moved is still looked for.
		w.lose(func(_, to netip.AddrPort, _ []byte) bool { return to == toB.Addr || to == b.LocalAddr() })
		moved := w.member(c, "b", 3)
		for range 6 {
			a.Send(moved.peer(), []byte("where are you"))
			pass(time.Second)
		}
		moved.hears("a", "where are you")
	})
}

func TestPeersCertificateEndsItsConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		short := func(config *Config) { config.Credentials = c.identity("b", time.Minute) }
		a, b := w.member(c, "a", 1), w.member(c, "b", 2, short)
		for range 58 {
			a.Send(b.peer(), []byte("ping"))
			pass(time.Second)
		}
		if s := a.Stats(); s.Connections != 1 || s.Sent != 58 {
			t.Fatalf("%d connections, %d sent before the end", s.Connections, s.Sent)
		}
		for range 5 {
			a.Send(b.peer(), []byte("ping"))
			pass(time.Second)
		}
		if s := a.Stats(); s.Connections != 0 {
			t.Errorf("%d connections with a certificate that has ended", s.Connections)
		}
	})
}

// TestBlockedPeerBlocksNobody: I15, and Send's promise.
func TestBlockedPeerBlocksNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b, d := w.member(c, "a", 1), w.member(c, "b", 2), w.member(c, "d", 4)
		a.ask(b.peer(), "hello")
		a.ask(d.peer(), "hello")
		w.lose(func(_, to netip.AddrPort, _ []byte) bool { return to == b.LocalAddr() })
		begin := time.Now()
		for range 1000 {
			a.Send(b.peer(), make([]byte, swim.DatagramMax))
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("Send waited for %v", took)
		}
		a.Send(d.peer(), []byte("to another"))
		pass(100 * time.Millisecond)
		d.hears("a", "to another")
		if s := a.Stats(); s.DroppedQueueFull < 800 {
			t.Errorf("%d dropped of 1000, the queues hold fewer than 200", s.DroppedQueueFull)
		}
	})
}

// TestSmallPoolServesManyPeers: bounded, no deadlock, no slot lost; on real sockets.
func TestSmallPoolServesManyPeers(t *testing.T) {
	const peers, bound = 100, 8
	c := newCluster(t, "test")
	hub := c.member("hub", func(c *Config) { c.Limits.Connections = bound })
	others := make([]*member, peers)
	for i := range others {
		others[i] = c.member(fmt.Sprintf("m%d", i))
	}
	for range 2 {
		var work sync.WaitGroup
		next := make(chan *member)
		for range 6 {
			work.Go(func() {
				for m := range next {
					if _, _, err := hub.Exchange(t.Context(), m.peer(), []byte("out")); err != nil {
						t.Errorf("hub asks %s: %v", m.id, err)
					}
					m.Send(hub.peer(), []byte("in"))
				}
			})
		}
		for _, m := range others {
			next <- m
			if n := hub.Stats().Connections; n > bound {
				t.Errorf("%d connections, bound is %d", n, bound)
			}
		}
		close(next)
		work.Wait()
	}
	if s := hub.Stats(); s.Evictions < peers || s.Connections > bound {
		t.Errorf("%d evictions, %d connections", s.Evictions, s.Connections)
	}
	for _, m := range others[:5] {
		hub.ask(m.peer(), "still serving")
	}
}
