package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall"
	"rollcall/events"
	"rollcall/swim"
)

// A second process with a running member's id is refused with an error that names the first one's address, the conflict is
// on record, and the first one goes on as before: there is no fight over incarnations.
func TestSecondProcessWithOneID(t *testing.T) {
	t.Parallel()
	for _, knownBy := range []string{"the log", "a seed"} {
		t.Run(knownBy, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			seed := h.join(h.options("n2"))
			first := h.join(h.options("n1", seed.Addr()))
			<-first.Joined()
			h.drained(first)
			eventually(t, "n2 knows n1", func() error {
				if _, ok := seed.Registry().Get("n1"); !ok {
					return errors.New("not yet")
				}
				return nil
			})
			opt := h.options("n1", seed.Addr())
			if knownBy == "a seed" {
				h.log.SetAvailable(false)
			}
			before := first.Status().Self.Incarnation
			second, err := rollcall.Join(t.Context(), opt)
			if err == nil {
				second.Close()
			}
			if !errors.Is(err, rollcall.ErrIDInUse) || !strings.Contains(err.Error(), first.Addr().String()) {
				t.Fatalf("%v; want ErrIDInUse with %v", err, first.Addr())
			}
			// On a machine under load n2 may suspect the first, conflict or not, and be refuted: that is one more. A member
			// that fights a second process rises several times.
			if m := first.Status().Self; m.Incarnation > before+1 || m.State != swim.Alive {
				t.Errorf("the first is %v at %d, want alive at %d, or one more", m.State, m.Incarnation, before)
			}
			if knownBy == "the log" {
				wantConflict(t, h.log, first.Addr().String())
			}
		})
	}
}

// wantConflict looks for the record of a conflict at another address than the first process's own joined.
func wantConflict(t *testing.T, log events.Log, address string) {
	t.Helper()
	eventually(t, "the conflict is on record", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for rec, err := range log.Subscribe(ctx, events.Filter{Kind: events.IDConflict}, events.From{}) {
			if err != nil {
				return err
			}
			if rec.Node != "n1" || rec.Author != "n1" || rec.Address != address {
				return fmt.Errorf("recorded %s by %s at %s, want n1 by n1 at %s", rec.Node, rec.Author, rec.Address, address)
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
