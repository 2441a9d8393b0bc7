package recorder_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/recorder"
	"rollcall/swim"
)

// An accusation that the subject has answered meanwhile is kept, with the reason, and changes nothing.
func TestAccusationAfterRefutation(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startAll(t, log, 1)[0]
		inject(t, log, events.Joined, "v", "v", 1)
		inject(t, log, events.Refuted, "v", "v", 2)
		m.record(suspected("v"), failed("v"))
		m.drained()
		all := lawful(t, log)
		if got := story(all, "v"); !slices.Equal(got, []string{"v joined 1", "v refuted 2", "m0 accused 1"}) {
			t.Fatalf("the log has %v", got)
		}
		e, err := events.ParseEvidence(all[len(all)-1].Evidence)
		if err != nil || e.Claim != events.Suspected || e.Late == "" || e.Probes != 2 {
			t.Errorf("evidence %+v, %v: want the claim, the reason it came late and the probes", e, err)
		}
		if s := m.Stats(); s.Accused != 1 || s.Agreed != 1 {
			t.Errorf("%+v", s)
		}
		if n, _ := m.Node("v"); n.State != events.StateAlive || n.Incarnation != 2 {
			t.Errorf("v is %s at %d", n.State, n.Incarnation)
		}
	})
}

// A verdict without an accusation of ours in the log is kept as one when it comes late.
func TestVerdictAfterDeparture(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startAll(t, log, 1)[0]
		inject(t, log, events.Joined, "v", "v", 1)
		inject(t, log, events.Left, "v", "v", 1)
		m.record(failed("v"))
		m.drained()
		all := lawful(t, log)
		last := all[len(all)-1]
		e, err := events.ParseEvidence(last.Evidence)
		if err != nil || last.Kind != events.Accused || e.Claim != events.Failed || e.Late == "" {
			t.Errorf("the log has %v, evidence %+v, %v", story(all, "v"), e, err)
		}
	})
}

// I8: a verdict waits for its quorum, for as long as the others need.
func TestVerdictWaitsForQuorum(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		members := startAll(t, log, 4)
		inject(t, log, events.Joined, "v", "v", 1)
		members[0].record(suspected("v"), failed("v"))
		time.Sleep(time.Hour)
		if got := kinds(history(t, log), "v"); got[events.Suspected] != 1 || got[events.Failed] != 0 {
			t.Fatalf("with one accuser the log has %v", got)
		}
		for _, m := range members[1:] {
			m.record(suspected("v"))
			m.drained()
		}
		members[0].drained()
		want := []string{"v joined 1", "m0 suspected 1", "m1 accused 1", "m2 accused 1"}
		got := story(lawful(t, log), "v")
		if !slices.Equal(got[:4], want) || !slices.Contains(got, "m0 failed 1") {
			t.Errorf("the log has %v", got)
		}
	})
}

// What is dropped is named with the reason, for whoever keeps account of what was accepted; and nothing else is.
func TestDroppedIsNamed(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		var said bytes.Buffer
		m := start(t, log, "m0", func(c *recorder.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		m.record(joined("m0"))
		m.drained()
		inject(t, log, events.Joined, "v", "v", 1)
		inject(t, log, events.Refuted, "v", "v", 2)
		m.record(suspected("v"), failed("v"), own(swim.TransitionTagged, "m0", 1))
		m.drained()
		m.stop()
		if n := strings.Count(said.String(), "dropped="); n != 2 || !strings.Contains(said.String(), "dropped=agreed") ||
			!strings.Contains(said.String(), "dropped=superseded") {
			t.Errorf("%d lines about what was dropped, want that of v and that of m0:\n%s", n, said.String())
		}
	})
}

// A waiting verdict ends with the suspicion that it waits on.
func TestVerdictEndsWithSuspicion(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startAll(t, log, 4)[0]
		inject(t, log, events.Joined, "v", "v", 1)
		m.record(suspected("v"), failed("v"))
		time.Sleep(time.Minute)
		inject(t, log, events.Refuted, "v", "v", 2)
		m.drained()
		if s := m.Stats(); s.Agreed != 1 {
			t.Errorf("%+v", s)
		}
		if n, _ := m.Node("v"); n.State != events.StateAlive {
			t.Errorf("v is %s", n.State)
		}
	})
}

// The accusation of a node whose own joined is still on its way waits for it; of one that never joins it is kept.
func TestAccusationBeforeJoined(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startAll(t, log, 1)[0]
		m.record(suspected("slow"), suspected("ghost"))
		time.Sleep(10 * time.Second)
		inject(t, log, events.Joined, "slow", "slow", 1)
		m.drained()
		all := history(t, log)
		if got := story(all, "slow"); !slices.Equal(got, []string{"slow joined 1", "m0 suspected 1"}) {
			t.Errorf("the log has %v", got)
		}
		if got := story(all, "ghost"); !slices.Equal(got, []string{"m0 accused 1"}) {
			t.Errorf("the log has %v", got)
		}
	})
}

// I12: who dies before the log heard of its new incarnation is failed in the log all the same.
func TestDeathBeforeRefutationWasRecorded(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		members := startAll(t, log, 2)
		inject(t, log, events.Joined, "v", "v", 1)
		for _, m := range members {
			m.record(own(swim.TransitionSuspected, "v", 3), own(swim.TransitionFailed, "v", 3))
		}
		for _, m := range members {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			if err := m.Drained(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		all := lawful(t, log)
		if n, _ := members[0].Node("v"); n.State != events.StateFailed || n.Incarnation != 1 {
			t.Errorf("v is %s at %d: %v", n.State, n.Incarnation, story(all, "v"))
		}
	})
}

// What we say of others counts only when we have joined: it waits for our own joined, whatever order the lanes run in.
func TestOwnJoinedComesFirst(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		inject(t, log, events.Joined, "v", "v", 1)
		m := start(t, log, "m0")
		m.record(suspected("v"))
		time.Sleep(5 * time.Second)
		m.record(joined("m0"))
		m.drained()
		if n, _ := m.Node("v"); n.State != events.StateSuspect {
			t.Errorf("v is %s: %v", n.State, story(history(t, log), "v"))
		}
	})
}

// A life that starts below what the log knows of the one before is told, and rises above it.
func TestStaleIncarnation(t *testing.T) {
	for name, last := range map[string]events.Kind{"after a crash": events.Refuted, "after leaving": events.Left} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, log *memlog.Log) {
				inject(t, log, events.Joined, "m0", "m0", 1)
				inject(t, log, last, "m0", "m0", 5)
				m := start(t, log, "m0")
				m.record(joined("m0"))
				m.drained()
				m.seen.Lock()
				stale := slices.Clone(m.seen.stale)
				m.seen.Unlock()
				if !slices.Equal(stale, []uint64{5}) {
					t.Fatalf("told to rise above %v, want 5", stale)
				}
				m.record(own(swim.TransitionRefuted, "m0", 6))
				m.drained()
				if n, _ := m.Node("m0"); n.State != events.StateAlive || n.Incarnation != 6 {
					t.Errorf("m0 is %s at %d", n.State, n.Incarnation)
				}
				lawful(t, log)
			})
		})
	}
}

// left is our last word, also when accusations of ours are still under way.
func TestLeftIsLast(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startAll(t, log, 1)[0]
		held := &heldLog{Log: log}
		other := start(t, held, "m1")
		other.record(joined("m1"))
		other.drained()
		for i := range 5 {
			inject(t, log, events.Joined, victim(i), victim(i), 1)
			other.record(suspected(victim(i)))
		}
		other.record(own(swim.TransitionLeft, "m1", 1))
		other.drained()
		all := lawful(t, log)
		if last := all[len(all)-1]; last.Kind != events.Left {
			t.Errorf("the log ends with %s of %s", last.Kind, last.Node)
		}
		if err := m.CaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if n, _ := m.Node(victim(i)); n.State != events.StateSuspect {
				t.Errorf("%s is %s", n.ID, n.State)
			}
		}
	})
}

// heldLog takes a while over each append about another node.
type heldLog struct{ *memlog.Log }

func (l *heldLog) Append(ctx context.Context, ev events.Event, expect uint64) (uint64, error) {
	if !ev.Kind.ByOwner() {
		time.Sleep(500 * time.Millisecond) // sleep: virtual time; this log lives in a bubble
	}
	return l.Log.Append(ctx, ev, expect)
}

// I8: the quorum goes between decision and append. The log keeps the verdict without applying it; it is said again when
// the quorum is there.
func TestQuorumLostBeforeAppend(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		between := &betweenLog{Log: log}
		a, b := start(t, between, "a"), start(t, log, "b")
		for _, m := range []*member{a, b} {
			m.record(joined(m.id))
			m.drained()
		}
		inject(t, log, events.Joined, "v", "v", 1)
		between.before(events.Failed, func() { inject(t, log, events.Joined, "c", "c", 1) })
		a.record(suspected("v"))
		b.record(suspected("v"))
		a.drained()
		b.drained()
		a.record(failed("v"))
		time.Sleep(10 * time.Second)
		if got := kinds(history(t, log), "v"); got[events.Failed] != 1 || a.Stats().Renewed != 1 {
			t.Fatalf("the log has %v, %d renewed", got, a.Stats().Renewed)
		}
		c := start(t, log, "c")
		c.record(suspected("v"))
		c.drained()
		a.drained()
		if n, _ := a.Node("v"); n.State != events.StateFailed {
			t.Errorf("v is %s: %v", n.State, story(history(t, log), "v"))
		}
	})
}

// A conflict is decided again on what came first.
func TestConflictDecidesAgain(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		between := &betweenLog{Log: log}
		m := start(t, between, "a")
		m.record(joined("a"))
		m.drained()
		inject(t, log, events.Joined, "b", "b", 1)
		inject(t, log, events.Joined, "v", "v", 1)
		synctest.Wait()
		between.before(events.Suspected, func() { inject(t, log, events.Suspected, "v", "b", 1) })
		m.record(suspected("v"))
		m.drained()
		if got := story(lawful(t, log), "v"); !slices.Equal(got, []string{"v joined 1", "b suspected 1", "a accused 1"}) {
			t.Errorf("the log has %v", got)
		}
		if s := m.Stats(); s.Conflicts != 1 || s.Accused != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// betweenLog does something just before the first append of a kind reaches the log.
type betweenLog struct {
	*memlog.Log
	mu   sync.Mutex
	kind events.Kind
	do   func()
}

func (l *betweenLog) before(kind events.Kind, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kind, l.do = kind, do
}

func (l *betweenLog) Append(ctx context.Context, ev events.Event, expect uint64) (uint64, error) {
	l.mu.Lock()
	do := l.do
	if ev.Kind != l.kind {
		do = nil
	}
	if do != nil {
		l.do = nil
	}
	l.mu.Unlock()
	if do != nil {
		do()
	}
	return l.Log.Append(ctx, ev, expect)
}
