package quicnet

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestReplayedAndForeignPackets: a packet that arrives twice, one that was changed on the way and one of a stranger reach nobody,
// and each is counted; what peers say to each other is not.
func TestReplayedAndForeignPackets(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		stranger := w.plug(netip.MustParseAddrPort("10.0.0.9:7946"))
		a.ask(b.peer(), "hello")
		pass(time.Second) // the handshake is over on both sides
		var mu sync.Mutex
		var last []byte // from a to b
		w.lose(func(from, _ netip.AddrPort, data []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			if from == a.LocalAddr() {
				last = slices.Clone(data)
			}
			return false
		})
		a.Send(b.peer(), []byte("ping"))
		pass(time.Second)
		want := func(what string, replayed, foreign uint64) {
			t.Helper()
			s := b.Stats()
			if s.DroppedReplayed != replayed || s.DroppedForeign != foreign || len(b.received()) != 1 {
				t.Errorf("%s: replayed %d, foreign %d, delivered %d; want %d, %d and 1", what, s.DroppedReplayed, s.DroppedForeign,
					len(b.received()), replayed, foreign)
			}
		}
		want("a ping", 0, 0)
		mu.Lock()
		packet := last
		mu.Unlock()
		say := func(from netip.AddrPort, data []byte) {
			t.Helper()
			w.mu.Lock()
			end := w.ends[from]
			w.mu.Unlock()
			w.arrive(end, b.LocalAddr(), data)
			pass(time.Second)
		}
		say(a.LocalAddr(), packet)
		want("the same packet again", 1, 0)
		forged := slices.Clone(packet)
		forged[len(forged)-1] ^= 1
		say(a.LocalAddr(), forged)
		want("a packet that was changed", 1, 1)
		foreign := slices.Clone(packet)[:24]
		foreign[1] ^= 1 // of the connection ID; too short to be answered
		say(stranger.addr, foreign)
		want("a packet of no connection", 1, 2)
	})
}
