package projector_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"testing"

	"rollcall/events"
	"rollcall/projections"
	"rollcall/projections/projector"
)

func (r *running) row(id string) *projections.Node {
	r.t.Helper()
	var n *projections.Node
	r.View(func(v *projections.Views) { n, _ = v.Registry.Node(id) })
	if n == nil {
		r.t.Fatalf("%s is not there", id)
	}
	return n
}

// Nothing is folded while paused, and nothing is missing afterwards.
func TestPausedViewsStandStillAndResume(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	p := start(t, projector.Config{Log: log})
	p.reach(2)
	p.Pause()
	p.Pause()
	last := log.evidence(3)
	until(t, "seen to be behind", func() bool { return p.Status().Lag.Events == 3 })
	if s := p.Status(); s.Position != 2 || s.State != projector.Paused || s.Lag.Seconds <= 0 {
		t.Errorf("paused: %+v", s)
	}
	p.Resume()
	p.Resume()
	p.reach(last)
	until(t, "live", func() bool { return p.Status().State == projector.Live })
	if !bytes.Equal(state(p.Projector), replayed(t, log, last)) {
		t.Error("the views differ from a replay")
	}
}

// I10: however often it is paused and resumed while events flow, each position is folded and seen once.
func TestI10PausingLosesNothing(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	p := start(t, projector.Config{Log: log})
	p.reach(2)
	const events = 300
	seen := make(chan []uint64, 1)
	go func() {
		var positions []uint64
		for n, err := range p.Watch(t.Context(), allEvents, 1) {
			if positions = append(positions, n.Position); err != nil || n.Position == events+2 {
				break
			}
		}
		seen <- positions
	}()
	for range events {
		log.evidence(1)
		p.Pause()
		p.Resume()
	}
	p.reach(events + 2)
	positions := <-seen
	want := make([]uint64, events+2)
	for i := range want {
		want[i] = uint64(i + 1)
	}
	if !slices.Equal(positions, want) {
		t.Errorf("seen: %v", positions)
	}
	if !bytes.Equal(state(p.Projector), replayed(t, log, events+2)) {
		t.Error("the views differ from a replay")
	}
}

var allEvents events.Filter

type seq = iter.Seq2[events.Recorded, error]

func TestRebuildTakesThePlaceOfTheLiveViews(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	dir := t.TempDir()
	p := start(t, projector.Config{Log: log, Dir: dir})
	last := log.evidence(500)
	p.reach(last)
	before := p.Sum()
	if err := p.Rebuild(); err != nil {
		t.Fatal(err)
	}
	for range 50 { // while it runs, the live views go on
		last = log.evidence(1)
	}
	until(t, "rebuilt", func() bool { return !p.Status().Rebuild.Running })
	r := p.Status().Rebuild
	if r.Err != nil || r.Changed || r.Position < before.Position || r.Ended.IsZero() || r.Position != r.Target {
		t.Errorf("rebuilt: %+v", r)
	}
	p.reach(last)
	if !bytes.Equal(state(p.Projector), replayed(t, log, last)) {
		t.Error("the views differ from a replay")
	}
	if err := p.Rebuild(); err != nil {
		t.Errorf("a second one: %v", err)
	}
	until(t, "rebuilt again", func() bool { return !p.Status().Rebuild.Running })
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if err := p.Rebuild(); !errors.Is(err, projector.ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

// held is a log whose subscriptions from the start yield nothing until it is let go.
type held struct {
	*stalled
}

func (l *held) Subscribe(ctx context.Context, filter events.Filter, from events.From) seq {
	if from.Position > 1 {
		return l.tape.Subscribe(ctx, filter, from)
	}
	return l.stalled.Subscribe(ctx, filter, from)
}

func TestRebuildShowsItsProgressAndIsAloneAndEndsWithTheProjector(t *testing.T) {
	log := newTape(t)
	last := log.joins("n1", "n2", "n3")
	dir := t.TempDir()
	first := start(t, projector.Config{Log: log, Dir: dir})
	first.reach(last)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	p := start(t, projector.Config{Log: &held{&stalled{log, make(chan struct{})}}, Dir: dir})
	if err := p.Rebuild(); err != nil {
		t.Fatal(err)
	}
	if err := p.Rebuild(); !errors.Is(err, projector.ErrRebuilding) {
		t.Errorf("a second one: %v", err)
	}
	if r := p.Status().Rebuild; !r.Running || r.Target != last || r.Started.IsZero() || r.String() != "at position 0 of 3" {
		t.Errorf("waiting: %+v", r)
	}
	p.reach(log.evidence(1)) // the live views do not wait
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if r := p.Status().Rebuild; r.Running || r.Err == nil {
		t.Errorf("after the end: %+v", r)
	}
}

// A log that no longer reaches back rebuilds nothing, and the live views, which know more, stay.
func TestRebuildWithoutHistoryLeavesTheViews(t *testing.T) {
	log := newTape(t)
	last := log.joins("n1", "n2", "n3")
	p := start(t, projector.Config{Log: log})
	p.reach(last)
	log.Trim(3)
	if err := p.Rebuild(); err != nil {
		t.Fatal(err)
	}
	until(t, "given up", func() bool { return !p.Status().Rebuild.Running })
	if r := p.Status().Rebuild; !errors.Is(r.Err, events.ErrIncomplete) {
		t.Errorf("rebuilt: %+v", r)
	}
	if n := p.row("n1"); n.State != events.StateAlive || p.Status().Stopped != nil {
		t.Errorf("n1: %+v, %v", n, p.Status().Stopped)
	}
}

func TestParkedNodeIsShownRetriedAndSkipped(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	bad := log.Inject("rollcall.test.node.n1.n1.tagged", []byte(`not JSON`))
	dir := t.TempDir()
	p := start(t, projector.Config{Log: log, Dir: dir})
	last := log.evidence(2)
	p.reach(last)
	if s := p.Status(); len(s.Parked) != 1 || s.Parked[0].ID != "n1" || s.Parked[0].Parked.Position != bad || s.Parked[0].Parked.State != events.StateAlive {
		t.Fatalf("parked: %+v", s.Parked)
	}
	if err := p.Retry(t.Context(), "n1"); !errors.Is(err, projector.ErrUnreadable) {
		t.Errorf("retry: %v", err)
	}
	for _, id := range []string{"n2", "n9"} {
		if err := p.Retry(t.Context(), id); !errors.Is(err, projections.ErrNotParked) {
			t.Errorf("retry %s: %v", id, err)
		}
		if err := p.Skip(id); !errors.Is(err, projections.ErrNotParked) {
			t.Errorf("skip %s: %v", id, err)
		}
	}
	parked := p.Sum()
	if err := p.Skip("n1"); err != nil {
		t.Fatal(err)
	}
	if n := p.row("n1"); n.Parked != nil || n.LastPosition != last {
		t.Errorf("n1: %+v", n)
	}
	if p.Sum().SHA256 != parked.SHA256 {
		t.Error("a skip is no part of what the log says, and changed the sum of it (I9)")
	}

	// A rebuild, the past, and a restart without another event all know of the skip.
	if err := p.Rebuild(); err != nil {
		t.Fatal(err)
	}
	until(t, "rebuilt", func() bool { return !p.Status().Rebuild.Running })
	if n := p.row("n1"); n.Parked != nil || p.Status().Rebuild.Changed {
		t.Errorf("n1 after a rebuild: %+v, %+v", n, p.Status().Rebuild)
	}
	past, err := p.AsOf(t.Context(), projector.At{Position: last})
	if err != nil || !bytes.Equal(past.Encode(), state(p.Projector)) {
		t.Errorf("as of now: %v", err)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, projector.Config{Log: log, Dir: dir})
	if n := again.row("n1"); n.Parked != nil || n.LastPosition != last {
		t.Errorf("n1 after a restart: %+v", n)
	}
}

// healing is a log in which one event becomes readable, as it does for a newer version of the reader.
type healing struct {
	*tape
	healed chan struct{}
	event  events.Event
}

func (l *healing) Subscribe(ctx context.Context, filter events.Filter, from events.From) seq {
	return func(yield func(events.Recorded, error) bool) {
		for rec, err := range l.tape.Subscribe(ctx, filter, from) {
			var bad *events.DecodeError
			if errors.As(err, &bad) {
				select {
				case <-l.healed:
					rec, err = events.Recorded{Event: l.event, Position: bad.Position, Stored: bad.Stored}, nil
				default:
				}
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func TestRetryFoldsWhatCanBeReadNow(t *testing.T) {
	tape := newTape(t)
	tape.joins("n1", "n2")
	tape.Inject("rollcall.test.node.n1.n1.tagged", []byte(`not JSON`))
	log := &healing{tape: tape, healed: make(chan struct{}), event: events.Event{
		ID: events.NewID(), Kind: events.Tagged, Cluster: "test", Node: "n1", Author: "n1", Incarnation: 2,
		Tags: map[string]string{"role": "web"}, Time: tape.at,
	}}
	p := start(t, projector.Config{Log: log})
	p.reach(3)
	close(log.healed)
	if err := p.Retry(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	until(t, "rebuilt", func() bool { return !p.Status().Rebuild.Running })
	if n := p.row("n1"); n.Parked != nil || n.Tags["role"] != "web" || n.Rejected != 0 || !p.Status().Rebuild.Changed {
		t.Errorf("n1: %+v", n)
	}
}

// I9: whichever way two projectors came to a position, their sums are equal there.
func TestI9TwoProjectorsHaveTheSameSumAtTheSamePosition(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	a := start(t, projector.Config{Log: log})
	dir := t.TempDir()
	b := start(t, projector.Config{Log: log, Dir: dir})
	b.reach(3)
	last := log.say(events.Suspected, "n3", "n1", 1)
	b.reach(last)
	if err := b.stop(); err != nil { // killed and started again, from its snapshot
		t.Fatal(err)
	}
	log.Inject("rollcall.test.node.n2.n2.tagged", []byte(`not JSON`))
	last = log.say(events.Failed, "n3", "n1", 1)
	b = start(t, projector.Config{Log: log, Dir: dir})
	for _, p := range []*running{a, b} {
		p.reach(last)
	}
	equal := func() bool {
		x, y := a.Sum(), b.Sum()
		return x.Position == last && y.Position == last && x.SHA256 == y.SHA256 && maps.Equal(x.Views, y.Views)
	}
	until(t, "equal", equal)
	other := start(t, projector.Config{Log: func() events.Log { l := newTape(t); l.joins("n1"); return l }()})
	other.reach(1)
	if s := other.Sum(); s.SHA256 == a.Sum().SHA256 || len(s.SHA256) != 64 {
		t.Errorf("another log has the same sum: %+v", s)
	}
}
