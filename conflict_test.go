package rollcall_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/swim"
	"rollcall/swim/agent"
	"rollcall/swim/quicnet"
)

// A second process with a running member's id is refused with an error that names the first one's address, the conflict is
// on record, and the first one goes on as before: there is no fight over incarnations.
func TestSecondProcessWithOneID(t *testing.T) {
	t.Parallel()
	for _, knownBy := range []string{"the log", "a seed"} {
		t.Run(knownBy, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(h *house) {
				seed := h.join(h.options("n2"))
				first := h.join(h.options("n1", seed.Addr()))
				<-first.Joined()
				h.drained(first)
				sees(h.t, seed, "n1", swim.Alive)
				if knownBy == "a seed" {
					h.log.SetAvailable(false)
				}
				second, err := rollcall.Join(h.t.Context(), h.options("n1", seed.Addr()))
				if err == nil {
					second.Close()
				}
				if !errors.Is(err, rollcall.ErrIDInUse) || !strings.Contains(err.Error(), first.Addr().String()) {
					h.t.Fatalf("%v; want ErrIDInUse with %v", err, first.Addr())
				}
				if m := first.Status().Self; m.Incarnation != 1 || m.State != swim.Alive {
					h.t.Errorf("the first is %v at %d, want alive at 1", m.State, m.Incarnation)
				}
				if knownBy == "the log" {
					wantConflict(h.t, h.log, first.Addr().String())
				}
			})
		})
	}
}

// So it is where the log holds the first one failed: that may be a mistake.
func TestSecondProcessWhereTheFirstIsHeldFailed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		first := h.options("n1")
		first.Bind, first.Log = netip.MustParseAddrPort("127.0.0.1:7946"), memlog.New(cluster) // another log: it cannot refute
		h.join(first)
		s := &scribe{t: h.t, log: h.log, last: make(map[string]uint64)}
		s.say(events.Joined, "n1", "n1", 1)
		s.say(events.Joined, "n2", "n2", 1)
		s.say(events.Suspected, "n1", "n2", 1)
		s.say(events.Failed, "n1", "n2", 1)
		second, err := rollcall.Join(h.t.Context(), h.options("n1"))
		if err == nil {
			second.Close()
		}
		if !errors.Is(err, rollcall.ErrIDInUse) {
			h.t.Errorf("%v; want ErrIDInUse", err)
		}
	})
}

// A log that does not hold the first one is not the last word: nothing of its life may have got there. The seeds know it.
func TestSecondProcessWhereTheLogDoesNotHoldTheFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		logged string
		lived  bool // an earlier life of n1 is in the log
		end    func(*rollcall.Member) error
	}{
		{logged: "nothing"},
		{"that it left", true, func(m *rollcall.Member) error { return m.Leave(context.Background()) }},
		{"an earlier life elsewhere", true, (*rollcall.Member).Kill},
	} {
		t.Run(c.logged, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(h *house) {
				seed := h.join(h.options("n2"))
				h.drained(seed)
				if c.lived {
					earlier := h.join(h.options("n1", seed.Addr()))
					h.drained(earlier)
					if err := c.end(earlier); err != nil {
						h.t.Fatal(err)
					}
				}
				way := newLine(h.log)
				way.cut()
				opt := h.options("n1", seed.Addr())
				opt.Log = way
				first := h.join(opt)
				<-first.Joined()
				eventually(h.t, "n2 sees the first", func() error {
					if m, _ := seed.Registry().Get("n1"); m.State != swim.Alive || m.Addr != first.Addr() {
						return fmt.Errorf("it sees %v at %v", m.State, m.Addr)
					}
					return nil
				})
				// By way of n2, of a seed list in which the first one itself is, and without seeds, of whom the log knows.
				for _, seed := range [][]netip.AddrPort{{seed.Addr()}, {first.Addr()}, nil} {
					second, err := rollcall.Join(h.t.Context(), h.options("n1", seed...))
					if err == nil {
						second.Close()
					}
					if !errors.Is(err, rollcall.ErrIDInUse) || !strings.Contains(err.Error(), first.Addr().String()) {
						h.t.Errorf("by %v: %v; want ErrIDInUse with %v", seed, err, first.Addr())
					}
				}
				if err := first.Err(); err != nil {
					h.t.Error(err)
				}
			})
		})
	}
}

// The conflict is on record once, though the transport that meets the first process says so, and so does the call that
// looked for it.
func TestSecondProcessIsRecordedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.join(h.options("n1"))
	h.drained(first)
	opt := h.options("n1")
	second, err := rollcall.Join(t.Context(), opt)
	if err == nil {
		second.Close()
	}
	if !errors.Is(err, rollcall.ErrIDInUse) {
		t.Fatalf("%v; want ErrIDInUse", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	h.drained(h.join(opt))                                        // and with it what the second may have had to leave behind
	h.wantStory("n1 joined 1", "n1 id_conflict 1", "n1 joined 3") // the second had set 2 aside
}

// Whoever gives up joining while others are asked about the id gets no member: what they would have said is not known.
func TestSecondProcessGivenUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		seed := h.join(h.options("n2"))
		h.drained(seed)
		first := h.join(h.options("n1", seed.Addr()))
		<-first.Joined()
		h.drained(first)
		ctx, cancel := context.WithCancel(h.t.Context())
		opt := h.options("n1", seed.Addr())
		opt.Transport = func(id swim.ID, addr netip.AddrPort) (agent.Transport, error) {
			cancel() // the log has answered, and nobody was asked yet
			return h.ether.listen(id, addr)
		}
		second, err := rollcall.Join(ctx, opt)
		if !errors.Is(err, context.Canceled) {
			h.t.Errorf("%v; want context.Canceled", err)
		}
		if second != nil {
			second.Close()
		}
		h.wantStory("n2 joined 1", "n1 joined 1")
	})
}

// wantConflict looks for the record of a conflict by n1, which names one of these addresses: that of the other process, and
// either may have come to record it.
func wantConflict(t *testing.T, log events.Log, addresses ...string) {
	t.Helper()
	eventually(t, "the conflict is on record", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for rec, err := range log.Subscribe(ctx, events.Filter{Kind: events.IDConflict}, events.From{}) {
			if err != nil {
				return err
			}
			if rec.Node != "n1" || rec.Author != "n1" || !slices.Contains(addresses, rec.Address) {
				return fmt.Errorf("recorded %s by %s at %s, want n1 by n1 at one of %s", rec.Node, rec.Author, rec.Address, addresses)
			}
			return nil
		}
		return errors.New("not there")
	})
}

// Two that start at the same moment find nobody at the id's address. They meet in the views of the others, and one of them
// ends, with the reason; the other goes on, after a few incarnations and not thousands.
func TestTwoProcessesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	seed := h.join(h.options("n2"))
	var both [2]*rollcall.Member
	var starting sync.WaitGroup
	for i := range both {
		opt := h.options("n1", seed.Addr())
		starting.Go(func() {
			m, err := rollcall.Join(t.Context(), opt)
			if err != nil && !errors.Is(err, rollcall.ErrIDInUse) {
				t.Error(err)
			}
			both[i] = m
		})
	}
	starting.Wait()
	running := slices.DeleteFunc(both[:], func(m *rollcall.Member) bool { return m == nil })
	for _, m := range running {
		defer m.Close()
	}
	eventually(t, "one is left", func() error {
		running = slices.DeleteFunc(running, func(m *rollcall.Member) bool {
			select {
			case <-m.Done():
				if !errors.Is(m.Err(), rollcall.ErrIDInUse) {
					t.Errorf("ended for %v, want ErrIDInUse", m.Err())
				}
				return true
			default:
				return false
			}
		})
		if len(running) != 1 {
			return fmt.Errorf("%d run", len(running))
		}
		return nil
	})
	left := running[0]
	eventually(t, "n2 holds the one that is left alive", func() error {
		m, _ := seed.Registry().Get("n1")
		if m.State != swim.Alive || m.Addr != left.Addr() {
			return fmt.Errorf("n1 is %v at %v, want alive at %v", m.State, m.Addr, left.Addr())
		}
		return nil
	})
	if got := left.Status().Self.Incarnation; got > 50 {
		t.Errorf("incarnation %d: they fought", got)
	}
}

// lateAnswer is a way on which the answer of one process comes when nobody waits for it any more.
type lateAnswer struct {
	agent.Transport
	from  netip.AddrPort
	slow  atomic.Bool   // before that, nobody answers there
	asked chan struct{} // has room for one
}

func (l *lateAnswer) Exchange(ctx context.Context, to swim.Peer, request []byte) (swim.ID, []byte, error) {
	switch {
	case to.Addr != l.from:
		return l.Transport.Exchange(ctx, to, request)
	case !l.slow.Load():
		return "", nil, errNobody
	}
	select {
	case l.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	time.Sleep(time.Second) // sleep: it is the bubble's time
	return "", nil, quicnet.ErrIDConflict
}

// A member that is closed while it looks for another process with its id waits for that: what comes of it is recorded, not
// lost to an outbox that is closed.
func TestClosedWhileLookingForAnother(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		seed := h.join(h.options("n2"))
		first := h.join(h.options("n1", seed.Addr()))
		<-first.Joined()
		way := &lateAnswer{from: first.Addr(), asked: make(chan struct{}, 1)}
		opt := h.options("n1", seed.Addr())
		opt.Log = memlog.New(cluster) // which does not show them to each other
		opt.Transport = func(id swim.ID, addr netip.AddrPort) (agent.Transport, error) {
			inner, err := h.ether.listen(id, addr)
			way.Transport = inner
			return way, err
		}
		var logged bytes.Buffer
		opt.Logger = slog.New(slog.NewTextHandler(&logged, nil)) // read when the member has ended
		second := h.join(opt)
		way.slow.Store(true)
		<-way.asked
		if err := second.Close(); err != nil {
			h.t.Fatal(err)
		}
		time.Sleep(time.Minute) // of the bubble's time
		if text := logged.String(); strings.Contains(text, "could not record") {
			h.t.Error(text)
		}
		if err := second.Err(); err != nil {
			h.t.Errorf("it ended for %v, and was told to", err)
		}
		if err := first.Close(); err != nil {
			h.t.Fatal(err)
		}
		opt.Transport, opt.Logger = h.ether.listen, nil
		h.join(opt) // which has to say what the second left in the directory
		wantConflict(h.t, opt.Log, first.Addr().String())
	})
}

// Two that cannot reach each other, and both reach the others, would rise above each other for ever: the log shows it to both,
// one ends with the reason, and nothing flaps any more.
func TestTwoProcessesThatDoNotReachEachOther(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		n2 := h.join(h.options("n2"))
		n3 := h.join(h.options("n3", n2.Addr()))
		h.ether.divide(func(one, other swim.ID) bool { return one == other })
		first := h.join(h.options("n1", n2.Addr()))
		second := h.join(h.options("n1", n3.Addr()))
		select {
		case <-second.Done(): // its address is the higher one
		case <-time.After(time.Minute):
			h.t.Fatalf("both run; the log says %q", h.story())
		}
		if err := second.Err(); !errors.Is(err, rollcall.ErrIDInUse) || !strings.Contains(err.Error(), first.Addr().String()) {
			h.t.Errorf("ended for %v, want ErrIDInUse with %v", err, first.Addr())
		}
		wantConflict(h.t, h.log, first.Addr().String(), second.Addr().String())
		time.Sleep(30 * time.Second) // of the bubble's time, here and below
		before := h.story()
		time.Sleep(2 * time.Minute)
		if after := h.story(); len(after) != len(before) || first.Err() != nil {
			h.t.Errorf("the first: %v; the log said %q, and two minutes later %q", first.Err(), before, after)
		}
		sees(h.t, n3, "n1", swim.Alive)
	})
}

// Earlier lives at other addresses are no conflict, in whatever order the log has them, not even for a member that began
// without the log and without its directory.
func TestEarlierLivesElsewhereAreNoConflict(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		opt := h.options("n1")
		elsewhere := h.options("n1")
		for _, o := range []rollcall.Options{opt, elsewhere, opt, elsewhere, opt, elsewhere} {
			m := h.join(o)
			h.drained(m)
			if err := m.Close(); err != nil {
				h.t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		opt.Dir = h.t.TempDir()
		h.log.SetAvailable(false)
		m := h.join(opt)
		h.log.SetAvailable(true)
		time.Sleep(time.Minute)
		h.drained(m)
		if m.Err() != nil {
			h.t.Error(m.Err())
		}
		if story := h.story(); slices.ContainsFunc(story, func(s string) bool { return strings.Contains(s, string(events.IDConflict)) }) {
			h.t.Errorf("the log says %q", story)
		}
	})
}

// An earlier life at another address that answers no more holds nobody up.
func TestReturnsAtAnotherAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	opt := h.options("n1")
	m := h.join(opt)
	h.drained(m)
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	m = h.join(opt) // port 0: another one
	if got := m.Status().Self.Incarnation; got != 2 {
		t.Errorf("incarnation %d, want 2", got)
	}
}
