package quicnet

import (
	"testing"

	"rollcall/swim"
)

func TestBothWaysOverOneConnection(t *testing.T) {
	c := newCluster(t, "test")
	a, b := c.member("a"), c.member("b")
	if from := a.ask(swim.Peer{Addr: b.LocalAddr()}, "who are you"); from != "b" {
		t.Errorf("the answer is from %q, want b", from)
	}
	a.Send(b.peer(), []byte("ping"))
	b.hears("a", "ping")
	b.Send(a.peer(), []byte("ack"))
	a.hears("b", "ack")
	b.ask(a.peer(), "state")
	if got := b.received()[0].addr; got != a.LocalAddr() {
		t.Errorf("the ping came from %v, want the one socket of a, %v", got, a.LocalAddr())
	}
	for _, m := range []*member{a, b} {
		if s := m.Stats(); s.Connections != 1 || s.Peers != 1 {
			t.Errorf("%s has %d connections to %d peers, want one", m.id, s.Connections, s.Peers)
		}
	}
	if d := a.Stats().Dials + b.Stats().Dials; d != 1 {
		t.Errorf("%d dials, want one", d)
	}
}
