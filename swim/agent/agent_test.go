package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/swim"
)

func TestStartRefuses(t *testing.T) {
	w := newNetwork(t)
	if _, err := Start(Config{Node: swim.Config{ID: "n1", Addr: address(1)}}); err == nil {
		t.Error("started without a transport")
	}
	if _, err := Start(Config{Node: swim.Config{ID: "not valid", Addr: address(1)}, Transport: w.attach(1)}); err == nil {
		t.Error("started with an invalid id")
	}
}

// TestStartKnowsItself: when Start returns the member is in its own registry, and its joining is on its way to Record.
func TestStartKnowsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		a, _ := newNetwork(t).start(1, func(c *Config) { c.Record = j.record })
		if self, ok := a.Registry().Get("n1"); !ok || self.State != swim.Alive || a.Status().Live != 1 {
			t.Errorf("holds %+v, status %+v", self, a.Status())
		}
		synctest.Wait()
		if got := j.all(); !slices.Equal(got, []string{"joined n1 1"}) {
			t.Errorf("recorded %q", got)
		}
		closeAll(t, a)
	})
}

func TestJoinAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		agents := w.form(4)
		sub := agents[1].Subscribe(8)
		began := time.Now()
		if err := agents[0].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("a departure that all acknowledge took %v", took)
		}
		if err := agents[0].Leave(t.Context()); err != nil {
			t.Errorf("left again: %v", err)
		}
		time.Sleep(time.Second)
		for i, a := range agents {
			if m, _ := a.Registry().Get("n1"); m.State != swim.Left {
				t.Errorf("member %d holds n1 %v", i+1, m.State)
			}
		}
		select {
		case n := <-sub.C:
			if n.Kind != swim.TransitionLeft || n.Subject != "n1" || n.Missed != 0 {
				t.Errorf("notice %+v", n)
			}
		default:
			t.Error("no notice of the departure")
		}
		closeAll(t, agents...)
	})
}

// TestLeaveWait: when nobody hears it, a departure takes five seconds (requirements 1.14).
func TestLeaveWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		agents := w.form(3)
		w.setCut(address(1), true)
		began := time.Now()
		if err := agents[0].Leave(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v, want 5s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.setCut(address(2), true)
		if err := agents[1].Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a departure that was called off: %v", err)
		}
		closeAll(t, agents...)
	})
}

// TestI12CrashIsNoticed: the others find that a member is gone, and tell their subscribers and their records.
func TestI12CrashIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		journals := make(map[swim.ID]*journal)
		agents := w.form(5, func(c *Config) {
			journals[c.Node.ID] = new(journal)
			c.Record = journals[c.Node.ID].record
		})
		w.setCut(address(3), true)
		time.Sleep(15 * time.Second)
		recorded := 0
		for _, i := range []int{0, 1, 3, 4} {
			if m, _ := agents[i].Registry().Get("n3"); m.State != swim.Failed {
				t.Errorf("member %d holds n3 %v", i+1, m.State)
			}
			if slices.Contains(journals[agents[i].Status().Self.ID].all(), "failed n3 1") {
				recorded++
			}
		}
		if recorded == 0 {
			t.Error("nobody put the verdict on record")
		}
		closeAll(t, agents...)
	})
}

// TestI13Healthy: nothing is said of members that answer.
func TestI13Healthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := newNetwork(t).form(6)
		sub := agents[0].Subscribe(1)
		time.Sleep(5 * time.Minute)
		select {
		case n := <-sub.C:
			t.Errorf("%v %s", n.Kind, n.Subject)
		default:
		}
		closeAll(t, agents...)
	})
}

func TestSetTagsAndRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := newNetwork(t).form(3)
		tags := swim.NewTags(map[string]string{"role": "db"})
		if err := agents[0].SetTags(t.Context(), tags); err != nil {
			t.Fatal(err)
		}
		if m, _ := agents[0].Registry().Get("n1"); !m.Tags.Equal(tags) || m.Incarnation != 2 {
			t.Errorf("when SetTags returned the own view held %+v", m)
		}
		if err := agents[0].SetTags(t.Context(), swim.Tags{{Key: ""}}); err == nil {
			t.Error("set a tag without a key")
		}
		if err := agents[0].Rise(t.Context(), 41); err != nil {
			t.Fatal(err)
		}
		if got := agents[0].Status().Self.Incarnation; got != 42 {
			t.Errorf("incarnation %d, want 42", got)
		}
		if err := agents[0].Rise(t.Context(), 7); err != nil || agents[0].Status().Self.Incarnation != 42 {
			t.Errorf("rose above a lower one: %v, %+v", err, agents[0].Status().Self)
		}
		if err := agents[1].Learn(t.Context(), &swim.LogClaim{ID: "n8", Addr: address(8), Incarnation: 3, State: swim.Left}); err != nil {
			t.Error(err)
		}
		if m, _ := agents[1].Registry().Get("n8"); m.State != swim.Left {
			t.Errorf("learned %+v", m)
		}
		time.Sleep(time.Second)
		for i, a := range agents {
			if m, _ := a.Registry().Get("n1"); m.Incarnation != 42 || !m.Tags.Equal(tags) {
				t.Errorf("member %d holds %+v", i+1, m)
			}
		}
		closeAll(t, agents...)
	})
}

// TestPause: a paused member sends nothing and takes nothing; then it goes on, with its peers' patience or without.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		agents := w.form(3)
		resume, err := agents[0].Pause(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before := w.ends[address(1)].sentCount()
		time.Sleep(20 * time.Second)
		if after := w.ends[address(1)].sentCount(); after != before {
			t.Errorf("sent %d datagrams while paused", after-before)
		}
		if m, _ := agents[1].Registry().Get("n1"); m.State != swim.Failed {
			t.Errorf("after 20 s of silence n2 holds n1 %v", m.State)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := agents[0].Rise(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a command to a paused member: %v", err)
		}
		if _, err := agents[0].Pause(ctx); err == nil {
			t.Error("paused twice")
		}
		resume()
		resume()
		time.Sleep(20 * time.Second)
		for i, a := range agents {
			if got := a.Registry().Count(); got != 3 {
				t.Errorf("member %d holds %d alive of 3", i+1, got)
			}
		}
		closeAll(t, agents...)
	})
}

// TestInboxOverflow: what finds the inbox full is dropped and counted, nothing else is (I15).
func TestInboxOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newNetwork(t).start(1)
		resume, err := a.Pause(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const more = 77
		for range inboxMax + more - 7 {
			a.HandleDatagram("n2", address(2), []byte("junk"))
		}
		for range 7 {
			a.HandleDown("n2", address(2), swim.DownClosed)
		}
		if got := a.Status().Dropped; got != more {
			t.Errorf("dropped %d, want %d", got, more)
		}
		resume()
		synctest.Wait()
		if s := a.Status(); s.Counters.Malformed != inboxMax || s.Dropped != more {
			t.Errorf("took %d, dropped %d", s.Counters.Malformed, s.Dropped)
		}
		closeAll(t, a)
	})
}

// TestRecordInOrder: own transitions come to Record in order, each once, even when it fails or is slow.
func TestRecordInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{fail: errors.New("disk full"), hold: make(chan struct{})}
		a, _ := newNetwork(t).start(1, func(c *Config) { c.Record = j.record })
		want := []string{"joined n1 1"}
		for i := range 20 {
			if err := a.SetTags(t.Context(), swim.Tags{{Key: "n", Value: fmt.Sprint(i)}}); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("tagged n1 %d", i+2))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Recorded(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Recorded while Record stands still: %v", err)
		}
		close(j.hold)
		if err := a.Recorded(t.Context()); err != nil {
			t.Error(err)
		}
		if got := j.all(); !slices.Equal(got, want) {
			t.Errorf("recorded %q, want %q", got, want)
		}
		if err := a.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeAll(t, a) // waits for what is still to be recorded
		if got := j.all(); !slices.Equal(got, append(want, "left n1 21")) {
			t.Errorf("recorded %q", got)
		}
	})
}

// TestRecordHoldsTheLoop: rather than losing a transition of its own the member stands still (I11).
func TestRecordHoldsTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{hold: make(chan struct{})}
		a, _ := newNetwork(t).start(1, func(c *Config) { c.Record = j.record })
		const changes = recordQueue + 10
		var done sync.WaitGroup
		done.Go(func() {
			for i := range changes {
				if err := a.SetTags(t.Context(), swim.Tags{{Key: "n", Value: fmt.Sprint(i)}}); err != nil {
					t.Error(err)
				}
			}
		})
		synctest.Wait()
		if got := a.Status().Self.Incarnation; got < recordQueue || got >= changes {
			t.Errorf("%d changes were made while Record stood still, with room for %d", got, recordQueue)
		}
		close(j.hold)
		done.Wait()
		closeAll(t, a)
		if got := len(j.all()); got != changes+1 {
			t.Errorf("recorded %d, want %d", got, changes+1)
		}
	})
}

// TestExchangeRefused: a malformed state is refused and counted; a well-formed one is answered with the own.
func TestExchangeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents := newNetwork(t).form(2)
		if reply, err := agents[0].HandleExchange(t.Context(), "n2", address(2), []byte("junk")); err == nil {
			t.Errorf("junk was answered with %x", reply)
		}
		if got := agents[0].Status().Counters.Malformed; got != 1 {
			t.Errorf("counted %d malformed", got)
		}
		closeAll(t, agents...)
		if _, err := agents[0].HandleExchange(t.Context(), "n2", address(2), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// TestManyCallers: all methods at once, for the race detector.
func TestManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(t)
		agents := w.form(3, func(c *Config) { c.Record = new(journal).record })
		a := agents[0]
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for j := range 20 {
					sub := a.Subscribe(1)
					_ = a.SetTags(t.Context(), swim.Tags{{Key: "k", Value: fmt.Sprint(i, j)}})
					_, _ = a.Join(t.Context(), []netip.AddrPort{address(2)})
					a.HandleDatagram("n2", address(2), []byte("junk"))
					_, _ = len(a.Registry().All()), a.Registry().Count()
					_ = a.Status()
					_ = a.Recorded(t.Context())
					sub.Close()
				}
			})
		}
		callers.Wait()
		if got := a.Registry().Count(); got != 3 {
			t.Errorf("%d alive", got)
		}
		closeAll(t, agents...)
	})
}
