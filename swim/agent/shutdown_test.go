package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/swim"
)

// phaseLog calls a function with each phase that is logged to be over.
type phaseLog struct {
	over func(phase int64, text string)
}

func (p phaseLog) Enabled(context.Context, slog.Level) bool { return true }
func (p phaseLog) WithAttrs([]slog.Attr) slog.Handler       { return p }
func (p phaseLog) WithGroup(string) slog.Handler            { return p }

func (p phaseLog) Handle(_ context.Context, line slog.Record) error {
	line.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "shutdown" {
			p.over(attr.Value.Int64(), line.Message)
		}
		return true
	})
	return nil
}

// TestShutdownInSixPhases: each is a log line, in their order, and what a line says is so by then and was not before
// (requirements 1.14).
func TestShutdownInSixPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		var now func() string // what is over
		agents := newNetwork(t).form(3, func(c *Config) {
			if c.Node.ID == "n1" {
				c.Logger = slog.New(phaseLog{func(phase int64, text string) {
					lines = append(lines, fmt.Sprintf("%d %s: %s", phase, text, now()))
				}})
			}
		})
		a := agents[0]
		e, sub := a.cfg.Transport.(*end), a.Subscribe(8)
		now = func() (over string) {
			known := func(a *Agent) bool { m, _ := a.Registry().Get("n1"); return m.State == swim.Left }
			if known(agents[1]) && known(agents[2]) {
				over = "known"
			}
			select {
			case <-a.loop:
				over += " still"
			default:
			}
			if !e.call(func(Handler) {}) {
				over += " disconnected"
			}
			if a.Registry().Empty() {
				over += " empty"
			}
			for {
				select {
				case _, open := <-sub.C:
					if open {
						continue // a change from before
					}
					over += " silent"
				default:
				}
				return over
			}
		}
		if err := a.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeAll(t, a)
		sent := e.sentCount()
		time.Sleep(10 * time.Second)
		if more := e.sentCount() - sent; more != 0 {
			t.Errorf("sent %d datagrams after its end", more)
		}
		if want := []string{
			"1 departure known to others, or nobody there: known",
			"2 gossip stopped: known still",
			"3 health checker stopped: known still",
			"4 connections closed: known still disconnected",
			"5 registry cleared: known still disconnected empty",
			"6 event channels closed: known still disconnected empty silent",
		}; !slices.Equal(lines, want) {
			t.Errorf("the log says %q, want %q", lines, want)
		}
		closeAll(t, agents[1:]...)
	})
}

// TestConnectionsLimit: a transport that takes all the time it is given is given two seconds (requirements 1.14).
func TestConnectionsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := newNetwork(t).start(1)
		e.closeWait = true
		began := time.Now()
		closeAll(t, a)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v, want 2s", took)
		}
	})
}

// TestLeaveLimit: a member that stands still leaves nobody waiting, with a context that never ends.
func TestLeaveLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := newNetwork(t).form(2)
		resume, err := agents[0].Pause(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := agents[0].Leave(context.Background()); !errors.Is(err, ErrStandsStill) {
			t.Errorf("%v, want ErrStandsStill", err)
		}
		if took := time.Since(began); took != leaveLimit {
			t.Errorf("took %v, want %v", took, leaveLimit)
		}
		resume()
		closeAll(t, agents...)
	})
}

// TestLeaveWithEndedContext: that is a departure like any other, each time, and one that nobody acknowledges is over soon
// (requirements 1.14).
func TestLeaveWithEndedContext(t *testing.T) {
	for range 20 { // of which half failed, where chance decided
		synctest.Test(t, func(t *testing.T) {
			agents := newNetwork(t).form(3)
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := agents[0].Leave(ended); err != nil {
				t.Error(err)
			}
			closeAll(t, agents[0])
			for _, a := range agents[1:] {
				if m, _ := a.Registry().Get("n1"); m.State != swim.Left {
					t.Errorf("%s sees it %v, want left", a.Status().Self.ID, m.State)
				}
			}
			closeAll(t, agents[1:]...)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		agents := w.form(2)
		w.setCut(address(1), true)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if err := agents[0].Leave(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
		if took := time.Since(began); took != leaveBrief {
			t.Errorf("took %v, want %v", took, leaveBrief)
		}
		closeAll(t, agents...)
	})
}

// TestEndedContextDoesNothing: what is no departure is not begun with a context that has ended.
func TestEndedContextDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newNetwork(t).start(1)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			if err := a.SetTags(ended, swim.Tags{{Key: "a", Value: "b"}}); !errors.Is(err, context.Canceled) {
				t.Errorf("tags: %v", err)
			}
			if resume, err := a.Pause(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("paused: %v", err)
				resume()
			}
		}
		synctest.Wait()
		if m := a.Status().Self; len(m.Tags) > 0 || m.Incarnation != 1 {
			t.Errorf("it has %v at %d", m.Tags, m.Incarnation)
		}
		closeAll(t, a)
	})
}
