package quicnet

import (
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestDroppedPackets: a packet that arrives twice, one of a stranger, one that is no QUIC and one that is too long reach nobody, and
// each is counted once; what peers say to each other is not.
func TestDroppedPackets(t *testing.T) { testDrops(t, nil, 0) }

// TestDroppedPacketsTraced: with a logger that takes debug records, a packet that was changed on the way and a copy too late for the
// screen are counted as well, which are dropped in any case.
func TestDroppedPacketsTraced(t *testing.T) {
	testDrops(t, slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})), 1)
}

// testDrops expects what only a tracer of the connection tells to be counted traced times.
func testDrops(t *testing.T, logger *slog.Logger, traced uint64) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a := w.member(c, "a", 1)
		b := w.member(c, "b", 2, func(config *Config) { config.Logger = logger })
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
		want := func(what string, replayed, foreign, malformed uint64) {
			t.Helper()
			s := b.Stats()
			if s.DroppedReplayed != replayed || s.DroppedForeign != foreign || s.DroppedMalformed != malformed || len(b.received()) != 1 {
				t.Errorf("%s: replayed %d, foreign %d, malformed %d, delivered %d; want %d, %d, %d and 1", what, s.DroppedReplayed,
					s.DroppedForeign, s.DroppedMalformed, len(b.received()), replayed, foreign, malformed)
			}
		}
		want("a ping", 0, 0, 0)
		mu.Lock()
		packet := last
		mu.Unlock()
		end := func(addr netip.AddrPort) *end {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.ends[addr]
		}
		say := func(from netip.AddrPort, data []byte) {
			t.Helper()
			w.arrive(end(from), b.LocalAddr(), data)
			pass(time.Second)
		}
		say(a.LocalAddr(), packet)
		want("the same packet again", 1, 0, 0)
		say(stranger.addr, packet)
		want("and from another address", 2, 0, 0)
		unknown := slices.Clone(packet)[:24]
		unknown[1] ^= 1 // of the connection ID; too short to be answered
		say(stranger.addr, unknown)
		want("a packet of no connection", 2, 1, 0)
		say(stranger.addr, []byte("\x00\x01no QUIC"))
		want("a packet of another protocol", 2, 2, 0)
		say(stranger.addr, nil)
		want("a packet of nothing", 2, 3, 0)
		say(a.LocalAddr(), append(slices.Clone(packet), make([]byte, 1500)...))
		want("a packet that is too long", 2, 3, 1)

		forged := slices.Clone(packet)
		forged[len(forged)-1] ^= 1
		say(a.LocalAddr(), forged)
		want("a packet that was changed", 2, 3+traced, 1)
		clear(end(b.LocalAddr()).screen.seen[:])
		say(a.LocalAddr(), packet)
		want("a copy too late for the screen", 2+traced, 3+traced, 1)
	})
}

// TestScreenRemembers: of the copies that come among as many other packets as the screen promises, it knows nearly all, and takes
// nothing else for a copy.
func TestScreenRemembers(t *testing.T) {
	s := newScreen(&counters{})
	packet := func(i int) []byte { return []byte{0x40, byte(i), byte(i >> 8), byte(i >> 16)} }
	const others, copies, rare = 512, 2000, 64 // most copies that it misses it would remember a second time
	missed := 0
	for i := range others + copies*rare {
		if !s.passes(packet(i), 1452) {
			t.Fatalf("packet %d is taken for a copy", i)
		}
		if i >= others && i%rare == 0 && s.passes(packet(i-others), 1452) {
			missed++
		}
	}
	if missed > copies/100 {
		t.Errorf("%d of %d copies were taken for new", missed, copies)
	}
}
