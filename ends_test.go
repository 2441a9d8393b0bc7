package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"rollcall"
	"rollcall/events"
	"rollcall/swim"
	"rollcall/swim/agent"
)

// A second end changes nothing and fails nothing, whichever was first.
func TestEndsAreIdempotent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, first := range []func(*rollcall.Member) error{
		(*rollcall.Member).Close,
		(*rollcall.Member).Kill,
		func(m *rollcall.Member) error { return m.Leave(h.bounded()) },
	} {
		m := h.join(h.options("n1"))
		subscription := m.Subscribe(1)
		if err := first(m); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := m.Close(); err != nil {
				t.Errorf("close again: %v", err)
			}
		}
		if err := m.Leave(h.bounded()); !errors.Is(err, agent.ErrClosed) {
			t.Errorf("leave after the end: %v, want agent.ErrClosed", err)
		}
		if err := m.SetTags(h.bounded(), nil); !errors.Is(err, agent.ErrClosed) {
			t.Errorf("tags after the end: %v, want agent.ErrClosed", err)
		}
		if !m.Registry().Empty() {
			t.Errorf("the view is %v after the end, want it empty", m.Registry().All())
		}
		eventually(t, "the subscription ends", func() error {
			select {
			case _, open := <-subscription.C:
				if !open {
					return nil
				}
			default:
			}
			return errors.New("it is open")
		})
	}
}

// All ends at once are one end, and each returns when it is over.
func TestEndsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 5 {
		m := h.join(h.options("n1"))
		ctx, cancel := context.WithCancel(t.Context())
		m.LeaveWhen(ctx)
		var ends sync.WaitGroup
		for _, end := range []func() error{
			m.Close, m.Kill, m.Close, func() error { cancel(); return nil }, func() error { return m.Leave(h.bounded()) },
		} {
			ends.Go(func() {
				if err := end(); err != nil && !errors.Is(err, agent.ErrClosed) {
					t.Error(err)
				}
			})
		}
		ends.Wait()
		select {
		case <-m.Done():
		case <-time.After(patience):
			t.Fatal("every end returned, and the member runs")
		}
	}
}

// A cancelled context is a graceful departure: the log says left, and everything is closed.
func TestLeaveWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.join(h.options("n1"))
	ctx, cancel := context.WithCancel(t.Context())
	m.LeaveWhen(ctx)
	h.drained(m)
	cancel()
	<-m.Done()
	h.wantStory("n1 joined 1", "n1 left 1")
}

// So is a Leave with a context that has ended: the others know of it, and the log.
func TestLeaveWithEndedContext(t *testing.T) {
	t.Parallel()
	for range 10 { // of which half failed, where chance decided
		inBubble(t, func(h *house) {
			n1 := h.join(h.options("n1"))
			h.drained(n1)
			n2 := h.join(h.options("n2", n1.Addr()))
			<-n2.Joined()
			h.drained(n2)
			ended, cancel := context.WithCancel(h.t.Context())
			cancel()
			if err := n2.Leave(ended); err != nil {
				h.t.Error(err)
			}
			sees(h.t, n1, "n2", swim.Left)
			h.wantStory("n1 joined 1", "n2 joined 1", "n2 left 1")
		})
	}
}

// A function that ends with its context, and closes the member on its way out, still leaves.
func TestCloseAfterTheContextEnded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.join(h.options("n1"))
	h.drained(m)
	func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer m.Close()
		m.LeaveWhen(ctx)
		cancel()
	}()
	h.wantStory("n1 joined 1", "n1 left 1")
}

// Without a log that it could go on with, a member says so and goes on: it detects, and keeps what it has to say. Nobody waits
// for a log that will not take it.
func TestLogEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) {
		n1 := h.join(h.options("n1"))
		n2 := h.join(h.options("n2", n1.Addr()))
		<-n2.Joined()
		h.drained(n1)
		h.drained(n2)
		h.log.Replace()
		eventually(h.t, "n1 notices", func() error {
			if ended := n1.Status().Recorder.Ended; !errors.Is(ended, events.ErrReplaced) {
				return fmt.Errorf("ended: %v", ended)
			}
			return nil
		})
		if err := n1.SetTags(h.t.Context(), map[string]string{"role": "db"}); err != nil {
			h.t.Fatal(err)
		}
		eventually(h.t, "n2 hears of it by gossip", func() error {
			if peer, _ := n2.Registry().Get("n1"); len(peer.Tags) == 0 {
				return errors.New("it has not")
			}
			return nil
		})
		if err := n1.Drained(h.t.Context()); !errors.Is(err, events.ErrReplaced) {
			h.t.Errorf("drained: %v, want ErrReplaced", err)
		}
		if s := n1.Status(); s.Outbox != 1 || s.NotAccepting != nil || n1.Err() != nil {
			h.t.Errorf("%d events wait, %v, %v; want 1 and no trouble", s.Outbox, s.NotAccepting, n1.Err())
		}
		began := time.Now()
		if err := n1.Leave(h.t.Context()); err != nil || time.Since(began) > time.Second {
			h.t.Errorf("left after %v: %v", time.Since(began), err)
		}
	})
}
