package recorder_test

import (
	"log/slog"
	"maps"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/recorder"
	"rollcall/swim"
)

// An event whose answer was lost and that the feed then finds was taken by the log: it counts, each once, as what it was said as, and
// the log is not away any more.
func TestFoundIsAnswered(t *testing.T) {
	for name, conflictFirst := range map[string]bool{"one server": true, "three servers": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, log *memlog.Log) {
				log.SetConflictFirst(conflictFirst)
				said := newLines()
				m := start(t, log, "m0", func(c *recorder.Config) { c.Logger = slog.New(said) })
				inject(t, log, events.Joined, "v", "v", 1)
				inject(t, log, events.Joined, "b", "b", 1)
				inject(t, log, events.Suspected, "b", "v", 1)
				for i, ts := range [][]swim.Transition{{joined("m0")}, {suspected("v")}, {suspected("v")}, {failed("b")}} {
					log.LoseAck()
					m.record(ts...)
					m.drained()
					time.Sleep(time.Hour)
					if s := m.Stats(); s.Away != nil || s.Pending != 0 {
						t.Errorf("an hour after the %d. lost answer: away %v, %d pending", i+1, s.Away, s.Pending)
					}
				}
				log.SetAvailable(false)
				m.record(own(swim.TransitionRefuted, "m0", 2)) // is sent, not answered, not stored, and sent again
				time.Sleep(time.Minute)
				log.SetAvailable(true)
				m.drained()
				all := lawful(t, log)
				if s := m.Stats(); s.Appended != uint64(len(all)-3) || s.Appended != 6 || s.Accused != 1 || s.Duplicates != 0 {
					t.Errorf("the log has %d events, three of them others'; %+v", len(all), s)
				}
				want := map[string]int{"the log is away: events wait in the outbox": 5, "the log is back": 5}
				if got := said.counts(); !maps.Equal(got, want) {
					t.Errorf("five times without an answer left these lines: %v", got)
				}
			})
		})
	}
}

// A log that answers questions is not away where nobody has anything for it: what waited may have been overtaken meanwhile.
func TestNothingLeftToAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		m.record(joined("m0"))
		m.drained()
		log.SetAvailable(false)
		m.record(own(swim.TransitionRefuted, "m0", 2))
		time.Sleep(time.Hour)
		if s := m.Stats(); s.Away == nil || s.Pending != 1 {
			t.Errorf("while the log is away: away %v, %d pending", s.Away, s.Pending)
		}
		log.Inject(overtaking(t, "m0", 3))
		log.SetAvailable(true)
		m.drained()
		time.Sleep(time.Hour)
		if s := m.Stats(); s.Away != nil || s.Superseded != 1 || s.Appended != 1 {
			t.Errorf("an hour after the log is back: %+v", s)
		}
	})
}

// overtaking is what a later life of id says of itself, as the log stores it.
func overtaking(t *testing.T, id string, incarnation uint64) (subject string, body []byte) {
	t.Helper()
	ev := events.Event{
		ID: events.NewID(), Kind: events.Joined, Cluster: cluster, Node: id, Author: id, Time: time.Now(), Incarnation: incarnation,
		Address: "127.0.0.1:7946",
	}
	body, err := events.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	return events.Subject(ev), body
}
