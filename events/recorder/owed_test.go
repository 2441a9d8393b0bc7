package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/outbox"
	"rollcall/events/recorder"
	"rollcall/swim"
)

// startSmall runs a recorder whose outbox takes limit events.
func startSmall(t *testing.T, log events.Log, id string, limit int) *member {
	t.Helper()
	m := &member{t: t, id: id, path: filepath.Join(t.TempDir(), id+".db"), limit: limit}
	m.run(log)
	t.Cleanup(m.stop)
	return m
}

// refuses records ts, of which the outbox takes nothing.
func (m *member) refuses(ts ...swim.Transition) {
	m.t.Helper()
	if err := m.Record(ts...); !errors.Is(err, outbox.ErrFull) {
		m.t.Fatalf("recorded %d transitions with %v, want ErrFull", len(ts), err)
	}
}

func tagged(id string, incarnation uint64, value string) swim.Transition {
	t := own(swim.TransitionTagged, id, incarnation)
	t.Tags = swim.NewTags(map[string]string{"role": value})
	return t
}

// What the outbox refused reaches the log when the outbox takes events again, in order, each once: else the member would be
// suspect there for good, and who is gone would be alive in every view (I1, I4, I5, I11, I14).
func TestRefusedIsSaidAgain(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startSmall(t, log, "m0", 2)
		m.record(joined("m0"))
		m.drained()
		synctest.Wait() // for the outbox to have its room back
		inject(t, log, events.Joined, "v", "v", 1)
		inject(t, log, events.Suspected, "m0", "v", 1)
		log.SetAvailable(false)
		m.record(own(swim.TransitionRefuted, "m0", 2), suspected("v"))
		m.refuses(failed("v"))
		m.refuses(own(swim.TransitionRefuted, "m0", 3))
		m.refuses(tagged("m0", 4, "db"))
		if err := m.Record(own(swim.TransitionRefuted, "m0", 0)); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("what no log would take: %v", err)
		}
		if s := m.Stats(); s.Owed != 3 || s.Forgotten != 0 {
			t.Errorf("while the outbox is full: %d owed, %d forgotten", s.Owed, s.Forgotten)
		}
		time.Sleep(time.Hour)
		log.SetAvailable(true)
		m.drained()

		all := lawful(t, log)
		if got, want := story(all, "m0"), []string{"m0 joined 1", "v suspected 1", "m0 refuted 2", "m0 refuted 3", "m0 tagged 4"}; !slices.Equal(got, want) {
			t.Errorf("of m0 the log has %v, want %v", got, want)
		}
		if got, want := story(all, "v"), []string{"v joined 1", "m0 suspected 1", "m0 failed 1"}; !slices.Equal(got, want) {
			t.Errorf("of v the log has %v, want %v", got, want)
		}
		if n, _ := m.Node("m0"); n.Tags["role"] != "db" {
			t.Errorf("the log has the tags %v", n.Tags)
		}
		if s := m.Stats(); s.Owed != 0 || s.Pending != 0 || s.Duplicates != 0 {
			t.Errorf("afterwards %+v", s)
		}
	})
}

// What is owed is not drained, and the end of the process is the last chance to keep it.
func TestOwedUntilTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startSmall(t, log, "m0", 1)
		log.SetAvailable(false)
		m.record(joined("m0"))
		m.refuses(own(swim.TransitionRefuted, "m0", 2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := m.Drained(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drained: %v", err)
		}
		entries, err := m.box.Pending(0, 10)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		m.box.Done(entries[0].Seq) // there is room, a moment before the end
		synctest.Wait()
		m.stop()
		m.run(log)
		log.SetAvailable(true)
		m.drained()
		if got, want := story(lawful(t, log), "m0"), []string{"m0 joined 2"}; !slices.Equal(got, want) {
			t.Errorf("the log has %v, want %v", got, want)
		}
	})
}

// I15: what is remembered is bounded. Of a long refusal the newest of each kind about each node is said, and one state of
// the member itself that covers the ones before.
func TestOwedIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		const limit = 64
		m := startSmall(t, log, "m0", limit)
		inject(t, log, events.Joined, "v", "v", 7)
		for i := range recorder.OwedMax {
			inject(t, log, events.Joined, fmt.Sprint("x", i), fmt.Sprint("x", i), 1)
		}
		log.SetAvailable(false)
		for range limit {
			m.record(own(swim.TransitionSuspected, "v", 7))
		}
		m.refuses(joined("m0"))
		const last = recorder.OwedMax + 500
		for i := range uint64(last - 1) {
			m.refuses(tagged("m0", i+2, fmt.Sprint(i+2)))
		}
		for i := range uint64(recorder.OwedMax) {
			m.refuses(own(swim.TransitionSuspected, "v", i%7+1))
		}
		if s := m.Stats(); s.Owed > recorder.OwedMax || s.Forgotten != 0 {
			t.Errorf("%d owed, %d forgotten", s.Owed, s.Forgotten)
		}
		for i := range recorder.OwedMax {
			m.refuses(suspected(fmt.Sprint("x", i)))
		}
		m.refuses(own(swim.TransitionLeft, "m0", last))
		if s := m.Stats(); s.Owed > recorder.OwedMax+2 || s.Forgotten == 0 || s.Forgotten > 3 {
			t.Errorf("%d owed, %d forgotten", s.Owed, s.Forgotten)
		}
		log.SetAvailable(true)
		m.drained()
		all := lawful(t, log)
		var said []events.Recorded
		for _, rec := range all {
			if rec.Node == "m0" {
				said = append(said, rec)
			}
		}
		if len(said) != 2 || said[0].Kind != events.Joined || said[0].Incarnation != last ||
			said[0].Tags["role"] != fmt.Sprint(last) || said[0].Address == "" || said[1].Kind != events.Left {
			t.Errorf("of m0 the log has %+v, want one joined that says all, and left", said)
		}
	})
}

// A recorder that cannot go on says why, and nobody waits for it.
func TestEnded(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		m.record(joined("m0"))
		m.drained()
		if err := m.Ended(); err != nil {
			t.Errorf("while it runs: %v", err)
		}
		log.SetAvailable(false)
		m.record(own(swim.TransitionRefuted, "m0", 2))
		waits := make(chan error)
		go func() { waits <- m.Drained(context.Background()) }()
		log.Replace()
		log.SetAvailable(true)
		if err := <-waits; !errors.Is(err, events.ErrReplaced) {
			t.Errorf("waiting for it: %v, want ErrReplaced", err)
		}
		<-m.done
		if s := m.Stats(); !errors.Is(s.Ended, events.ErrReplaced) || !errors.Is(m.Ended(), events.ErrReplaced) {
			t.Errorf("ended %v, status %v; want ErrReplaced", m.Ended(), s.Ended)
		}
		m.record(own(swim.TransitionRefuted, "m0", 3)) // kept nevertheless
		if s := m.Stats(); s.Pending != 2 {
			t.Errorf("%d pending, want 2", s.Pending)
		}
	})
}
