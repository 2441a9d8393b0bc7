package projector_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections/projector"
)

// I9: the views as of a position are those of a replay up to it, with and without a snapshot before it.
func TestI9AsOfEqualsReplay(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	log.evidence(5)
	dir := taken(t, log, projector.Config{SnapshotEvery: 3})
	log.say(events.Suspected, "n3", "n1", 1)
	log.say(events.Refuted, "n3", "n3", 2)
	for name, cfg := range map[string]projector.Config{"no snapshot": {Log: log}, "snapshots": {Log: log, Dir: dir}} {
		t.Run(name, func(t *testing.T) {
			p := start(t, cfg)
			p.reach(10)
			for position := uint64(1); position <= 10; position++ {
				views, err := p.AsOf(t.Context(), projector.At{Position: position})
				if err != nil {
					t.Fatal(err)
				}
				if views.Position() != position || !bytes.Equal(views.Encode(), replayed(t, log, position)) {
					t.Errorf("as of %d: at %d, and not what a replay gives", position, views.Position())
				}
			}
		})
	}
}

func TestAsOfATime(t *testing.T) {
	log := newTape(t)
	log.joins("n1")
	before, err := log.Last(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "later", func() bool { return time.Now().After(before.Stored) })
	between := time.Now()
	until(t, "later", func() bool { return time.Now().After(between) })
	log.joins("n2")
	p := start(t, projector.Config{Log: log})
	for name, tc := range map[string]struct {
		at   time.Time
		want uint64
	}{
		"before everything": {before.Stored.Add(-time.Second), 0},
		"at an event":       {before.Stored, 1},
		"between":           {between, 1},
		"now":               {time.Now(), 2},
	} {
		if views, err := p.AsOf(t.Context(), projector.At{Time: tc.at}); err != nil || views.Position() != tc.want {
			t.Errorf("%s: %+v, %v", name, views, err)
		}
	}
}

func TestAsOfSaysWhyNot(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	p := start(t, projector.Config{Log: log})
	p.reach(3)
	if _, err := p.AsOf(t.Context(), projector.At{Position: 4}); !errors.Is(err, projector.ErrFuture) {
		t.Errorf("a position to come: %v", err)
	}
	if _, err := p.AsOf(t.Context(), projector.At{Time: time.Now().Add(time.Hour)}); !errors.Is(err, projector.ErrFuture) {
		t.Errorf("a time to come: %v", err)
	}
	log.Trim(2)
	if _, err := p.AsOf(t.Context(), projector.At{Position: 3}); !errors.Is(err, events.ErrIncomplete) {
		t.Errorf("no longer there: %v", err)
	}
	log.SetAvailable(false)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.AsOf(ctx, projector.At{Position: 3}); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("log away: %v", err)
	}
}

// What came later is not there yet, be it readable or not.
func TestAsOfATimeBeforeAnUnreadableEvent(t *testing.T) {
	log := newTape(t)
	log.joins("n1")
	before, err := log.Last(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "later", func() bool { return time.Now().After(before.Stored) })
	position := log.Inject("rollcall.test.node.n1.n1.tagged", []byte(`not JSON`))
	p := start(t, projector.Config{Log: log})
	p.reach(position)
	views, err := p.AsOf(t.Context(), projector.At{Time: before.Stored})
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := views.Registry.Node("n1"); n.Parked != nil || views.Position() != 1 {
		t.Errorf("at %d: parked %+v", views.Position(), n.Parked)
	}
	if s := p.Status(); !s.Stored.After(before.Stored) {
		t.Errorf("the views are of %v, the event at their position of a time after %v", s.Stored, before.Stored)
	}
}
