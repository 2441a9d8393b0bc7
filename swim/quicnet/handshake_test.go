package quicnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/swim"
)

// TestStrangersProveTheirAddressWhenManyHandshakesHang: the Retry costs one round trip, and only then.
func TestStrangersProveTheirAddressWhenManyHandshakesHang(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		hub := w.member(c, "hub", 1, func(config *Config) { config.Limits.HalfOpen = 2 })
		first := func(id string, n byte) time.Duration {
			m := w.member(c, id, n)
			begin := time.Now()
			m.ask(hub.peer(), "hello")
			return time.Since(begin)
		}
		calm := first("calm", 2)
		// Three whose answers from the hub get lost: their handshakes stay open.
		w.lose(func(from, to netip.AddrPort, _ []byte) bool {
			return from == hub.LocalAddr() && to.Addr().As4()[3] >= 100
		})
		for i := range byte(3) {
			w.member(c, fmt.Sprintf("stuck%d", i), 100+i).Warm(hub.peer())
		}
		pass(50 * time.Millisecond)
		if n := hub.halfOpen.Load(); n != 3 {
			t.Fatalf("%d handshakes hang, want 3", n)
		}
		if busy := first("busy", 3); busy != calm+2*w.latency {
			t.Errorf("first exchange took %v, and %v before: want one round trip more", busy, calm)
		}
		pass(10 * time.Second)
		if n := hub.halfOpen.Load(); n != 0 {
			t.Errorf("%d handshakes are still counted", n)
		}
		if s := hub.Stats(); s.HandshakesRefused != 3 {
			t.Errorf("%d refused, want the 3 that hung", s.HandshakesRefused)
		}
		if later := first("later", 4); later != calm {
			t.Errorf("first exchange took %v, and %v when all was calm", later, calm)
		}
	})
}

// TestHandshakesInFlightAreBounded: I15, against strangers that have proved their address.
func TestHandshakesInFlightAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		hub := w.member(c, "hub", 1, func(config *Config) { config.Limits.HalfOpen = 1 })
		// Of the hub's answers only the Retry comes; its kind is in the first byte of the packet.
		w.lose(func(from, _ netip.AddrPort, data []byte) bool { return from == hub.LocalAddr() && data[0]&0xf0 != 0xf0 })
		for i := range byte(halfOpenFactor + 4) {
			w.member(c, fmt.Sprintf("stuck%d", i), 100+i).Warm(hub.peer())
			pass(50 * time.Millisecond)
		}
		if n := hub.halfOpen.Load(); n != halfOpenFactor {
			t.Errorf("%d handshakes in flight, want %d", n, halfOpenFactor)
		}
		w.lose(nil)
		pass(10 * time.Second)
		w.member(c, "late", 2).ask(hub.peer(), "hello")
	})
}

func TestWarmDialsAheadOfTheFirstDatagram(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		a.Warm(b.peer())
		a.Warm(b.peer())
		a.Warm(swim.Peer{ID: "b"}) // nowhere
		a.Warm(a.peer())           // nobody
		pass(time.Second)
		a.Send(b.peer(), []byte("ping"))
		pass(w.latency)
		if got := b.received(); len(got) != 1 {
			t.Errorf("%d datagrams after half a round trip, want the ping", len(got))
		}
		if s := a.Stats(); s.Dials != 1 || s.Connections != 1 {
			t.Errorf("%d dials, %d connections", s.Dials, s.Connections)
		}
	})
}

// TestDarkHostsKeepNobodyOut: whoever is there is reached within a second, with a datagram every 100 ms, however many others
// are dialled all the time and answer nothing.
func TestDarkHostsKeepNobodyOut(t *testing.T) {
	for _, dark := range []int{24, 100} {
		t.Run(fmt.Sprint(dark), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *wire, c *cluster) {
				a := w.member(c, "a", 1)
				w.lose(func(_, to netip.AddrPort, _ []byte) bool { return to.Addr().As4()[2] == 1 })
				ping := func() {
					for i := range dark {
						addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 7946)
						a.Send(swim.Peer{ID: swim.ID(fmt.Sprintf("dark%d", i)), Addr: addr}, []byte("ping"))
					}
				}
				for range 100 { // 10 s: each was dialled in vain before
					ping()
					pass(100 * time.Millisecond)
					if n := len(a.dialling()); n > dialsMax+silentMax {
						t.Fatalf("%d dials in flight (I15)", n)
					}
				}
				var strangers []*member
				for i := range byte(8) {
					strangers = append(strangers, w.member(c, fmt.Sprintf("m%d", i), 100+i))
				}
				for range 10 {
					ping()
					for _, m := range strangers {
						a.Send(m.peer(), []byte("hello"))
					}
					pass(100 * time.Millisecond)
				}
				for _, m := range strangers {
					if len(m.received()) == 0 {
						t.Errorf("%s was not reached within a second", m.id)
					}
				}
			})
		})
	}
}

// TestReplayedPacketsAreDropped: whoever records packets of a connection, its handshake among them, and sends them again brings
// nothing to anybody a second time, while it stands and after its end.
func TestReplayedPacketsAreDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		a, b := w.member(c, "a", 1), w.member(c, "b", 2)
		var mu sync.Mutex
		var recorded [][]byte
		w.lose(func(from, _ netip.AddrPort, data []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			if from == a.LocalAddr() {
				recorded = append(recorded, data)
			}
			return false
		})
		a.Send(b.peer(), []byte("ping"))
		a.ask(b.peer(), "state")
		pass(time.Second)
		w.lose(nil)
		mu.Lock()
		defer mu.Unlock()
		replay := func() {
			for range 3 {
				for _, data := range recorded {
					w.mu.Lock()
					sender := w.ends[a.LocalAddr()]
					w.mu.Unlock()
					w.arrive(sender, b.LocalAddr(), bytes.Clone(data))
				}
				pass(time.Second)
			}
		}
		if len(recorded) < 4 {
			t.Fatalf("only %d packets recorded", len(recorded))
		}
		replay()
		a.Send(b.peer(), []byte("more")) // the connection took no harm
		pass(time.Second)
		b.Transport.mu.Lock()
		for l := range b.links {
			b.closeLocked(l, codeIdle)
		}
		b.Transport.mu.Unlock()
		pass(time.Second)
		replay()
		pass(10 * time.Second)
		want := []message{{"a", a.LocalAddr(), "ping"}, {"a", a.LocalAddr(), "more"}}
		if got := b.received(); !slices.Equal(got, want) {
			t.Errorf("b received %v, want %v", got, want)
		}
		if s := b.Stats(); s.Received != 2 || s.Exchanges != 1 || s.Connections != 0 || b.halfOpen.Load() != 0 {
			t.Errorf("%d handshakes hang, %+v: want 2 datagrams, one exchange and nothing left", b.halfOpen.Load(), s)
		}
	})
}

// TestFullPoolRefusesAndRecovers: connections that all carry an exchange are not closed for a newcomer, and the slots come
// back when the exchanges end by their own limit.
func TestFullPoolRefusesAndRecovers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wire, c *cluster) {
		const bound = 4
		hub := w.member(c, "hub", 1, func(config *Config) { config.Limits.Connections = bound })
		results := make(chan error, bound)
		for i := range byte(bound) {
			m := w.member(c, fmt.Sprintf("m%d", i), 100+i)
			if i%2 == 0 {
				hub.ask(m.peer(), "some connections are there before")
			}
			m.answer(func(ctx context.Context, _ swim.ID, _ []byte) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			go func() {
				_, _, err := hub.Exchange(t.Context(), m.peer(), []byte("no answer"))
				results <- err
			}()
		}
		pass(time.Second)
		newcomer := w.member(c, "newcomer", 2)
		if _, _, err := hub.Exchange(t.Context(), newcomer.peer(), nil); !errors.Is(err, ErrFull) {
			t.Errorf("dialling out: %v, want ErrFull", err)
		}
		hub.Send(newcomer.peer(), []byte("ping"))
		if _, _, err := newcomer.Exchange(t.Context(), hub.peer(), nil); !errors.Is(err, ErrLost) {
			t.Errorf("dialling in: %v, want ErrLost", err)
		}
		for range bound {
			if err := <-results; !errors.Is(err, ErrTimeout) {
				t.Errorf("%v, want ErrTimeout", err)
			}
		}
		newcomer.ask(hub.peer(), "hello")
		if s := hub.Stats(); s.Connections > bound || s.Evictions == 0 {
			t.Errorf("%d connections, %d evictions", s.Connections, s.Evictions)
		}
	})
}

// TestDualStackSocketTellsToo: a socket for both families reports IPv4 addresses as members know them.
func TestDualStackSocketTellsToo(t *testing.T) {
	c := newCluster(t, "test")
	wildcard := func(config *Config) { config.Bind = netip.MustParseAddrPort("[::]:0") }
	a, b := c.member("a", wildcard), c.member("b", ownPort(t))
	a.ask(b.peer(), "hello")
	b.ask(swim.Peer{ID: "a", Addr: netip.AddrPortFrom(anyPort.Addr(), a.LocalAddr().Port())}, "hello")
	if _, _, err := a.Exchange(t.Context(), swim.Peer{Addr: netip.AddrPortFrom(anyPort.Addr(), a.LocalAddr().Port())}, nil); !errors.Is(err, ErrSelf) {
		t.Errorf("its own address: %v, want ErrSelf", err)
	}
	gone := b.peer()
	b.Kill()
	a.Send(gone, []byte("ping"))
	if runtime.GOOS == "linux" {
		a.notified("b", swim.DownUnreachable)
		if n := a.notices(); n[0].addr != gone.Addr {
			t.Errorf("told about %v, want %v", n[0].addr, gone.Addr)
		}
	}
}
