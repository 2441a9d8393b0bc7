package projector_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
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

// I9: what was asked for before, in which order and by how many at once, changes nothing.
func TestI9AsOfGoesOnFromThePast(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	log.evidence(5)
	log.say(events.Suspected, "n3", "n1", 1)
	last := log.say(events.Refuted, "n3", "n3", 2)
	p := start(t, projector.Config{Log: log})
	p.reach(last)
	want := [][]byte{nil} // a log has no position 0
	for position := range last {
		want = append(want, replayed(t, log, position+1))
	}
	var asking sync.WaitGroup
	for i := range 2 * last {
		asking.Go(func() {
			for step := range last {
				position := 1 + (i*7+step*3)%last
				views, err := p.AsOf(t.Context(), projector.At{Position: position})
				if err != nil || views.Position() != position || !bytes.Equal(views.Encode(), want[position]) {
					t.Errorf("as of %d: %v, or not what a replay gives", position, err)
				}
			}
		})
	}
	asking.Wait()
}

// What was asked for of late needs no log, whether by its position or by its time; I15: only so much is remembered.
func TestI15TheLastPastsAreRemembered(t *testing.T) {
	log := newTape(t)
	log.joins("n1")
	first, err := log.Last(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "later", func() bool { return time.Now().After(first.Stored) })
	last := log.evidence(2 * projector.PastMax)
	p := start(t, projector.Config{Log: log})
	p.reach(last)
	then, now := projector.At{Time: first.Stored}, projector.At{Time: time.Now()}
	elsewhere := projector.At{Time: first.Stored.In(time.FixedZone("elsewhere", 3600))}
	for _, at := range []projector.At{then, now} {
		if _, err := p.AsOf(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	asks := func(at projector.At) error {
		log.SetAvailable(false)
		defer log.SetAvailable(true)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := p.AsOf(ctx, at)
		return err
	}
	for name, at := range map[string]projector.At{"the time": then, "the same time": elsewhere, "its position": {Position: 1}} {
		if err := asks(at); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := asks(now); err == nil {
		t.Error("an instant that an event may still belong to was remembered")
	}
	for position := last; position > last-projector.PastMax; position-- {
		if _, err := p.AsOf(t.Context(), projector.At{Position: position}); err != nil {
			t.Fatal(err)
		}
	}
	if err := asks(then); err == nil {
		t.Errorf("more than %d are remembered", projector.PastMax)
	}
}

// A skip holds for the past too, also for one that was asked for before it.
func TestAsOfForgetsWhatASkipChanged(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	position := log.Inject("rollcall.test.node.n1.n1.tagged", []byte(`not JSON`))
	p := start(t, projector.Config{Log: log})
	p.reach(position)
	parked := func() bool {
		views, err := p.AsOf(t.Context(), projector.At{Position: position})
		if err != nil {
			t.Fatal(err)
		}
		n, _ := views.Registry.Node("n1")
		return n.Parked != nil
	}
	before := parked()
	if err := p.Skip("n1"); err != nil {
		t.Fatal(err)
	}
	if !before || parked() {
		t.Errorf("parked before the skip: %v, after it: %v", before, parked())
	}
}

// clocked is a log whose clock says what it is told: of event n, the n-th of its times.
type clocked struct {
	*tape
	stored []time.Time
}

func (l *clocked) Subscribe(ctx context.Context, filter events.Filter, from events.From) seq {
	return func(yield func(events.Recorded, error) bool) {
		from.Seen = events.Mark{} // which would be by this clock
		for rec, err := range l.tape.Subscribe(ctx, filter, from) {
			rec.Stored = l.stored[rec.Position-1]
			if !yield(rec, err) {
				return
			}
		}
	}
}

// I9: as of a time means up to the first event stored behind it, also where the log's clock was set back, whatever was asked for
// before and whatever lies in the store.
func TestI9AsOfATimeWhereTheClockWasSetBack(t *testing.T) {
	log := &clocked{tape: newTape(t)}
	base := time.Now().Add(-time.Hour)
	after := func(d time.Duration) projector.At { return projector.At{Time: base.Add(d)} }
	for _, d := range []time.Duration{0, 10, 4, 20} {
		log.stored = append(log.stored, base.Add(d*time.Second))
	}
	last := log.joins("n1", "n2", "n3", "n4")
	dir := t.TempDir()
	first := start(t, projector.Config{Log: log, Dir: dir, CheckpointEvery: 1})
	first.reach(last)
	for position := uint64(1); position <= last; position++ { // each leaves a checkpoint
		if _, err := first.AsOf(t.Context(), projector.At{Position: position}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "written down", func() bool { return count(t, dir, ".checkpoint") == int(last) })
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]projector.Config{"no store": {Log: log}, "checkpoints": {Log: log, Dir: dir, CheckpointEvery: 1}} {
		for _, asked := range []projector.At{{}, {Position: 3}, {Position: 2}, after(12 * time.Second), after(10 * time.Second)} {
			t.Run(fmt.Sprintf("%s, %v was asked for", name, asked), func(t *testing.T) {
				p := start(t, cfg)
				p.reach(last)
				if (asked != projector.At{}) {
					if _, err := p.AsOf(t.Context(), asked); err != nil {
						t.Fatal(err)
					}
				}
				for d, want := range map[time.Duration]uint64{-1: 0, 0: 1, 4: 1, 5: 1, 9: 1, 10: 3, 15: 3, 20: 4, 25: 4} {
					views, err := p.AsOf(t.Context(), after(d*time.Second))
					if err != nil || views.Position() != want {
						t.Fatalf("%d s: at %d, want %d, %v", d, views.Position(), want, err)
					}
				}
			})
		}
	}
}
