package quicnet

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"rollcall/swim"
)

// notified waits until m has been told that about the peer.
func (m *member) notified(from swim.ID, how swim.Down) {
	m.t.Helper()
	eventually(m.t, string(m.id)+" is told that "+string(from)+": "+how.String(), func() bool {
		return slices.ContainsFunc(m.notices(), func(n downNotice) bool { return n.from == from && n.how == how })
	})
}

func TestPeerThatLeavesIsNoticedAtOnce(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b")
	a.ask(b.peer(), "hello")
	addr := b.LocalAddr()
	begin := time.Now()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.notified("b", swim.DownClosed)
	if took := time.Since(begin); took > soon {
		t.Errorf("noticed after %v", took)
	}
	if n := a.notices(); n[len(n)-1].addr != addr {
		t.Errorf("told %v, want it about %v", n, addr)
	}
	if len(b.notices()) != 0 {
		t.Errorf("b was told %v about its own closing", b.notices())
	}
}

// TestProcessThatIsGoneIsNoticedWithTheNextPacket: nobody says goodbye, and the others go on undisturbed.
func TestProcessThatIsGoneIsNoticedWithTheNextPacket(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("this system does not tell; the test shows that nothing else breaks")
	}
	c := newCluster(t, "test")
	a, b, d := c.member("a"), c.member("b", ownPort(t)), c.member("d")
	a.ask(b.peer(), "hello")
	d.ask(a.peer(), "hello")
	gone := b.peer()
	b.Kill()
	begin := time.Now()
	a.Send(gone, []byte("ping"))
	if runtime.GOOS == "linux" {
		a.notified("b", swim.DownUnreachable)
		if took := time.Since(begin); took > soon {
			t.Errorf("noticed after %v", took)
		}
	}
	for range 50 { // each brings an error to the socket; none may hit d
		a.Send(gone, []byte("ping"))
		a.ask(d.peer(), "still there")
	}
	if by, dials := a.dialledBy("d"), d.Stats().Dials; by != "d" || dials != 1 {
		t.Errorf("a has the connection that %q dialled, after %d dials of d; the first should have stood", by, dials)
	}
	n := a.notices()
	if len(n) > 52 { // QUIC may have had something to acknowledge before the first of ours
		t.Errorf("told %d times, want one hint a packet at most", len(n))
	}
	for _, said := range n {
		if said.from != "b" || said.how != swim.DownUnreachable {
			t.Errorf("told %v: the peer said nothing", said)
		}
	}
	// A new dial to the closed port is told from a slow one.
	if runtime.GOOS == "linux" {
		begin = time.Now()
		d.Send(gone, []byte("ping"))
		d.notified("b", swim.DownUnreachable)
		if took := time.Since(begin); took > soon {
			t.Errorf("dial given up after %v", took)
		}
	}
}

// TestRestartWithTheSameResetKeyIsNoticed: with the first packet, and by the smallest ping there is.
func TestRestartWithTheSameResetKeyIsNoticed(t *testing.T) {
	const smallest = "0123456789abcdef" // version, type, number, flags, incarnation, digest
	c := newCluster(t, "test")
	key := func(config *Config) { config.ResetKey = [32]byte{1, 2, 3} }
	bind := ownPort(t)
	a, b := c.member("a"), c.member("b", key, bind)
	b.ask(a.peer(), "hello")
	b.Kill()
	again := c.member("b", key, bind)
	a.Send(again.peer(), []byte(smallest))
	a.notified("b", swim.DownReset)
	a.Send(again.peer(), []byte("welcome back"))
	again.hears("a", "welcome back")
}

// TestRestartIsLetInAtOnce: without the key, the new connection is what tells; whoever dialled the old one.
func TestRestartIsLetInAtOnce(t *testing.T) {
	for name, dialled := range map[string]func(a, b *member){
		"old one dialled by the one that restarts": func(a, b *member) { b.ask(a.peer(), "hello") },
		"old one dialled by the other":             func(a, b *member) { a.ask(b.peer(), "hello") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wire, c *cluster) {
				a, b := w.member(c, "a", 1), w.member(c, "b", 2)
				dialled(a, b)
				pass(5 * time.Second)
				b.Kill()
				again := w.member(c, "b", 2)
				again.ask(a.peer(), "hello")
				a.Send(again.peer(), []byte("welcome back"))
				pass(100 * time.Millisecond)
				again.hears("a", "welcome back")
				if n := a.notices(); len(n) != 0 {
					t.Errorf("told %v", n)
				}
			})
		})
	}
}

// TestExchangeAsksAgainAfterARestart: the old connection does not know yet that it is over.
func TestExchangeAsksAgainAfterARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		key := func(config *Config) { config.ResetKey = [32]byte{1, 2, 3} }
		a, b := w.member(c, "a", 1), w.member(c, "b", 2, key)
		a.ask(b.peer(), "hello")
		b.Kill()
		w.member(c, "b", 2, key)
		a.ask(b.peer(), "asked on a connection that is gone")
		if dials := a.Stats().Dials; dials != 2 {
			t.Errorf("%d dials, want one a process", dials)
		}
	})
}

// TestLeavingIsToldOnce: also while two connections of a simultaneous dial are open.
func TestLeavingIsToldOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		a.Send(b.peer(), []byte("ping"))
		b.Send(a.peer(), []byte("ping"))
		pass(200 * time.Millisecond)
		if s := a.Stats(); s.Connections != 2 {
			t.Fatalf("%d connections, the test wants them both", s.Connections)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if n := a.notices(); len(n) != 1 || n[0].how != swim.DownClosed {
			t.Errorf("told %v, want once that b closed", n)
		}
	})
}
