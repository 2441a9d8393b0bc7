package agent

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/swim"
)

func TestCloseTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		a, e := w.start(1)
		e.closeErr = errBroken
		sub := a.Subscribe(4)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := a.Close(); !errors.Is(err, errBroken) {
					t.Errorf("closed: %v", err)
				}
			})
		}
		all.Wait()
		if !e.closed {
			t.Error("the transport is open")
		}
		if r := a.Registry(); !r.Empty() || r.Count() != 0 || len(r.All()) != 0 {
			t.Errorf("the registry holds %v", r.All())
		}
		if _, ok := <-sub.C; ok {
			t.Error("the subscription is open")
		}
		sub.Close()
		if _, ok := <-a.Subscribe(1).C; ok {
			t.Error("a subscription after Close is open")
		}
	})
}

// TestAfterClose: every call that needs the member says that it is closed.
func TestAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := newNetwork(t).form(2)
		closeAll(t, agents...)
		a := agents[0]
		_, join := a.Join(t.Context(), []netip.AddrPort{address(2)})
		_, pause := a.Pause(t.Context())
		for name, err := range map[string]error{
			"Join": join, "Pause": pause, "Leave": a.Leave(t.Context()), "Rise": a.Rise(t.Context(), 1),
			"SetTags": a.SetTags(t.Context(), nil), "Learn": a.Learn(t.Context(), &swim.LogClaim{}),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		a.HandleDatagram("n2", address(2), nil)
		a.HandleDown("n2", address(2), swim.DownReset)
		if err := a.Recorded(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestCloseInterrupts: what waits for a member that is closed ends with ErrClosed, at once.
func TestCloseInterrupts(t *testing.T) {
	for name, call := range map[string]func(context.Context, *Agent) error{
		"Join": func(ctx context.Context, a *Agent) error {
			_, err := a.Join(ctx, []netip.AddrPort{address(9)}) // nobody answers there
			return err
		},
		"Leave": func(ctx context.Context, a *Agent) error { return a.Leave(ctx) }, // nobody hears it
		"Pause": func(ctx context.Context, a *Agent) error {
			if _, err := a.Pause(ctx); err != nil {
				return err
			}
			return a.Rise(ctx, 8)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(t)
				agents := w.form(3)
				w.setCut(address(1), true)
				result := make(chan error, 1)
				go func() { result <- call(t.Context(), agents[0]) }()
				synctest.Wait()
				began := time.Now()
				closeAll(t, agents[0])
				if err := <-result; !errors.Is(err, ErrClosed) {
					t.Errorf("%v", err)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("took %v", took)
				}
				closeAll(t, agents[1:]...)
			})
		})
	}
}

// TestCloseIsBounded: a Record that never answers holds Close up for recordLimit, and the caller is told.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{hold: make(chan struct{})}
		a, _ := newNetwork(t).start(1, func(c *Config) { c.Record = j.record })
		began := time.Now()
		if err := a.Close(); err == nil {
			t.Error("what was not recorded was not mentioned")
		}
		if took := time.Since(began); took != recordLimit {
			t.Errorf("took %v, want %v", took, recordLimit)
		}
		close(j.hold)
	})
}

// TestCloseWithoutMore: a member that was only started and closed leaves no goroutine; goleak looks.
func TestCloseWithoutMore(t *testing.T) {
	a, err := Start(Config{Node: swim.Config{ID: "n1", Addr: address(1)}, Transport: newNetwork(t).attach(1)})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, a)
}
