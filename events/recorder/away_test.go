package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/recorder"
	"rollcall/swim"
)

// I1, I2, I11: the log is away for an hour, while the member goes on observing.
func TestLogAwayAndBack(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		said := newLines()
		m := start(t, log, "m0", func(c *recorder.Config) { c.Logger = slog.New(said) })
		m.record(joined("m0"))
		m.drained()
		inject(t, log, events.Joined, "v", "v", 1)
		log.SetAvailable(false)
		for i := range uint64(20) {
			m.record(own(swim.TransitionRefuted, "m0", 2+i))
			time.Sleep(3 * time.Minute)
		}
		m.record(suspected("v"))
		synctest.Wait()
		if s := m.Stats(); s.Away == nil || s.Pending != 21 {
			t.Errorf("while the log is away: away %v, %d pending", s.Away, s.Pending)
		}
		log.SetAvailable(true)
		m.drained()

		all := lawful(t, log)
		want := []string{"m0 joined 1"}
		for i := range 20 {
			want = append(want, "m0 refuted "+strconv.Itoa(2+i))
		}
		if got := story(all, "m0"); !slices.Equal(got, want) {
			t.Errorf("the log has %v, want %v", got, want)
		}
		if got := kinds(all, "v"); got[events.Suspected] != 1 {
			t.Errorf("the log has %v about v", got)
		}
		s := m.Stats()
		if s.Away != nil || s.Pending != 0 || s.Duplicates != 0 {
			t.Errorf("after: %+v", s)
		}
		wantLines := map[string]int{"the log is away: events wait in the outbox": 1, "the log is back": 1}
		if got := said.counts(); !maps.Equal(got, wantLines) {
			t.Errorf("an hour without the log left these lines: %v", got)
		}
	})
}

// I2: the log stores an event and the answer is lost, on one server and on three.
func TestLostAnswer(t *testing.T) {
	for name, conflictFirst := range map[string]bool{"one server": true, "three servers": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, log *memlog.Log) {
				log.SetConflictFirst(conflictFirst)
				members := startAll(t, log, 2)
				inject(t, log, events.Joined, "v", "v", 1)
				for i := range uint64(10) {
					log.LoseAck()
					members[0].record(own(swim.TransitionRefuted, "m0", 2+i), suspected("v"))
					members[0].drained()
				}
				all := lawful(t, log)
				if got := kinds(all, "m0")[events.Refuted]; got != 10 {
					t.Errorf("10 refutations are %d times in the log", got)
				}
				if got := kinds(all, "v"); got[events.Suspected] != 1 || got[events.Accused] != 9 {
					t.Errorf("10 accusations are in the log as %v", got)
				}
			})
		})
	}
}

// A log that is full holds everything up and loses nothing.
func TestLogFull(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		log.SetFull(true)
		m.record(joined("m0"), own(swim.TransitionRefuted, "m0", 2))
		time.Sleep(time.Minute)
		if s := m.Stats(); !errors.Is(s.Away, events.ErrFull) || s.Pending != 2 {
			t.Errorf("while the log is full: %v, %d pending", s.Away, s.Pending)
		}
		log.SetFull(false)
		m.drained()
		if got := story(lawful(t, log), "m0"); !slices.Equal(got, []string{"m0 joined 1", "m0 refuted 2"}) {
			t.Errorf("the log has %v", got)
		}
	})
}

// Appends that get no answer, from a log that answers questions: no hot loop.
func TestLogTakesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		mute := &muteLog{Log: log}
		m := start(t, mute, "m0")
		m.record(joined("m0"))
		time.Sleep(10 * time.Minute)
		if n := mute.appends.Load(); n < 60 || n > 300 {
			t.Errorf("%d appends in ten minutes, want one every few seconds", n)
		}
	})
}

type muteLog struct {
	*memlog.Log
	appends atomic.Int64
}

func (l *muteLog) Append(context.Context, events.Event, uint64) (uint64, error) {
	l.appends.Add(1)
	return 0, events.ErrUnavailable
}

// What may not be said is put aside with the reason, and the rest goes on.
func TestDenied(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		log.Deny("m0")
		m.record(joined("m0"))
		m.drained()
		time.Sleep(time.Hour)
		s := m.Stats()
		if s.Denied != 1 || s.Aside != 1 || s.Away != nil {
			t.Errorf("%+v", s)
		}
		aside, err := m.box.Aside(10)
		if err != nil || len(aside) != 1 || aside[0].Event.Kind != events.Joined || aside[0].Reason == "" {
			t.Errorf("put aside: %+v, %v", aside, err)
		}
	})
}

// A log that is not the one it was ends Run, with the outbox kept.
func TestLogReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		m.record(joined("m0"))
		m.drained()
		log.Replace()
		<-m.done
		if !errors.Is(m.err, events.ErrReplaced) {
			t.Errorf("Run: %v, want %v", m.err, events.ErrReplaced)
		}
		m.record(own(swim.TransitionRefuted, "m0", 2))
		if n := m.box.Len(); n != 1 {
			t.Errorf("%d entries in the outbox, want 1", n)
		}
	})
}

// I2: an id that somebody else has used holds nothing up: the same is said under another.
func TestIDTaken(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		said := &takenLog{Log: log}
		m := start(t, said, "m0")
		m.record(joined("m0"))
		m.drained()
		all := lawful(t, log)
		if got := story(all, "m0"); !slices.Equal(got, []string{"m0 joined 1"}) || all[0].Node != "x" {
			t.Errorf("the log has %v", got)
		}
		if s := m.Stats(); said.appends != 2 || s.Renewed != 1 || s.Conflicts != 0 || s.Aside != 0 {
			t.Errorf("%d appends; %+v", said.appends, s)
		}
	})
}

// takenLog has an event of x under the id of the first that is appended.
type takenLog struct {
	*memlog.Log
	appends int
}

func (l *takenLog) Append(ctx context.Context, ev events.Event, expect uint64) (uint64, error) {
	if l.appends++; l.appends == 1 {
		other := ev
		other.Node, other.Author = "x", "x"
		if _, err := l.Log.Append(ctx, other, 0); err != nil {
			return 0, err
		}
	}
	return l.Log.Append(ctx, ev, expect)
}

// What is read after an interruption, or by another Run, may be another log by then, and longer: its events and those of the
// first make no roll together.
func TestLogReplacedUnseen(t *testing.T) {
	for name, change := range map[string]func(*memlog.Log){
		"made again":                  (*memlog.Log).Replace,
		"restored from an older copy": func(log *memlog.Log) { log.Restore(1) },
	} {
		change := func(log *memlog.Log) {
			change(log)
			for i := range 5 {
				id := fmt.Sprintf("x%d", i)
				inject(t, log, events.Joined, id, id, 1)
			}
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, log *memlog.Log) {
				broken := &brokenLog{Log: log, after: 3, meanwhile: func() { change(log) }}
				m := start(t, broken, "m0")
				m.record(joined("m0"))
				m.drained()
				inject(t, log, events.Joined, "a", "a", 1)
				inject(t, log, events.Joined, "b", "b", 1)
				wantReplaced(t, m)
			})
			bubble(t, func(t *testing.T, log *memlog.Log) {
				m := start(t, log, "m0")
				m.record(joined("m0"))
				m.drained()
				inject(t, log, events.Joined, "a", "a", 1)
				synctest.Wait()
				m.cancel()
				<-m.done
				change(log)
				m.runAgain()
				wantReplaced(t, m)
			})
		})
	}
}

func wantReplaced(t *testing.T, m *member) {
	t.Helper()
	select {
	case <-m.done:
	case <-time.After(time.Minute): // it goes on
		m.cancel()
		<-m.done
	}
	for _, n := range m.Nodes() {
		if n.ID[0] == 'x' {
			t.Errorf("the roll has %s of the second log", n.ID)
		}
	}
	if !errors.Is(m.err, events.ErrReplaced) {
		t.Errorf("Run: %v, want %v", m.err, events.ErrReplaced)
	}
}

// brokenLog ends its first subscription behind a position, with a stream that is not to be used, and something happens.
type brokenLog struct {
	*memlog.Log
	after     uint64
	meanwhile func()
}

func (l *brokenLog) Subscribe(ctx context.Context, f events.Filter, from events.From) iter.Seq2[events.Recorded, error] {
	return func(yield func(events.Recorded, error) bool) {
		for rec, err := range l.Log.Subscribe(ctx, f, from) {
			if !yield(rec, err) {
				return
			}
			if rec.Position == l.after && l.meanwhile != nil {
				l.meanwhile()
				l.meanwhile = nil
				yield(events.Recorded{}, events.ErrDenied)
				return
			}
		}
	}
}

// A subscription that ends for a reason that can be put right is taken up where it was, each event once (I10).
func TestReadingInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		said := newLines()
		m := start(t, &deniedLog{Log: log, times: 20}, "m0", func(c *recorder.Config) { c.Logger = slog.New(said) })
		m.record(joined("m0"), own(swim.TransitionRefuted, "m0", 2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := m.Drained(ctx); err != nil {
			t.Fatal(err)
		}
		m.seen.Lock()
		defer m.seen.Unlock()
		if !slices.Equal(m.seen.positions, []uint64{1, 2}) {
			t.Errorf("read %v, want 1 and 2", m.seen.positions)
		}
		if n := said.counts()["reading the log was interrupted"]; n == 0 || n > 3 {
			t.Errorf("%d lines about it", n)
		}
	})
}

// deniedLog ends its first subscriptions, each after at most one event.
type deniedLog struct {
	*memlog.Log
	times int
}

func (l *deniedLog) Subscribe(ctx context.Context, f events.Filter, from events.From) iter.Seq2[events.Recorded, error] {
	return func(yield func(events.Recorded, error) bool) {
		if l.times--; l.times < 0 {
			l.Log.Subscribe(ctx, f, from)(yield)
			return
		}
		if info, err := l.Info(ctx); err == nil && info.Last >= from.Position {
			for rec, err := range l.Log.Subscribe(ctx, f, from) {
				if !yield(rec, err) {
					return
				}
				break
			}
		}
		yield(events.Recorded{}, events.ErrDenied)
	}
}

// What nobody can read changes nothing, except what the next append must expect.
func TestUnreadableEvent(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		m.record(joined("m0"))
		m.drained()
		inject(t, log, events.Joined, "v", "v", 1)
		log.Inject("rollcall.test.node.v.foe.suspected", []byte("{"))
		m.record(suspected("v"))
		m.drained()
		if n, _ := m.Node("v"); n.State != events.StateSuspect {
			t.Errorf("v is %s, want suspect", n.State)
		}
	})
}

// What a newer version wrote about a node holds up that node, and no other.
func TestNewerVersion(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		m.record(joined("m0"))
		m.drained()
		inject(t, log, events.Joined, "v", "v", 1)
		inject(t, log, events.Joined, "w", "w", 1)
		log.Inject("rollcall.test.node.v.v.promoted", []byte("{}"))
		m.record(suspected("v"), suspected("w"))
		time.Sleep(time.Hour)
		v, _ := m.Node("v")
		w, _ := m.Node("w")
		if v.State != events.StateAlive || w.State != events.StateSuspect || m.Stats().Pending != 1 {
			t.Errorf("v is %s, w is %s, %d pending", v.State, w.State, m.Stats().Pending)
		}
	})
}

// I15: nobody keeps a place in memory for what others say of ids that never joined, nor for what only a newer version can
// read of them: an append about such an id learns from the log what it has to expect.
func TestWhatWasSaidOfStrangers(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		inject(t, log, events.Accused, "m0", "foe", 1)
		log.Inject("rollcall.test.node.m0.foe.suspected", []byte("{"))
		m := start(t, log, "m0")
		m.record(joined("m0"))
		m.drained()
		inject(t, log, events.Accused, "v", "foe", 1)
		if err := m.Say(events.Event{Kind: events.HealthCheckFailed, Node: "v", Incarnation: 1, Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
		m.drained()
		if n, _ := m.Node("m0"); n.State != events.StateAlive || n.LastPosition != 3 {
			t.Errorf("m0 is %+v, want it alive since position 3", n)
		}
		if n, named := m.Node("v"); named || m.Stats().Appended != 2 || m.Stats().Aside != 0 {
			t.Errorf("v is %+v (named: %v); %+v", n, named, m.Stats())
		}
	})
}

// Where a newer version has spoken of more nodes than can be told apart, nothing is decided about any.
func TestNewerVersionEverywhere(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		m.record(joined("m0"))
		m.drained()
		for i := range recorder.NewerMax + 1 {
			log.Inject(fmt.Sprintf("rollcall.test.node.n%d.foe.promoted", i), []byte("{}"))
		}
		inject(t, log, events.Joined, "v", "v", 1)
		m.record(suspected("v"))
		time.Sleep(time.Hour)
		if v, _ := m.Node("v"); v.State != events.StateAlive || m.Stats().Pending != 1 {
			t.Errorf("v is %s, %d pending", v.State, m.Stats().Pending)
		}
	})
}

// What nobody can read and whose subject is no event's changes what the next append must expect, too, and holds nobody up. It is
// read a while after the log has it.
func TestUnreadableSubject(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, lateLog{log}, "m0")
		m.record(joined("m0"))
		m.drained()
		inject(t, log, events.Joined, "v", "v", 1)
		time.Sleep(time.Minute)
		log.Inject("rollcall.test.node.v.x", []byte("{}"))
		m.record(suspected("v"))
		m.drained()
		if n, _ := m.Node("v"); n.State != events.StateSuspect || m.Stats().Conflicts == 0 {
			t.Errorf("v is %s, want suspect; %+v", n.State, m.Stats())
		}
	})
}

// lateLog brings what it stores 300 ms later.
type lateLog struct{ *memlog.Log }

func (l lateLog) Subscribe(ctx context.Context, f events.Filter, from events.From) iter.Seq2[events.Recorded, error] {
	return func(yield func(events.Recorded, error) bool) {
		for rec, err := range l.Log.Subscribe(ctx, f, from) {
			time.Sleep(300 * time.Millisecond) // sleep: virtual, in a bubble
			if !yield(rec, err) {
				return
			}
		}
	}
}
