package projector_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events"
	"rollcall/projections/projector"
)

// watch collects n positions.
func watch(t *testing.T, p *projector.Projector, filter events.Filter, from uint64, n int) []uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []uint64
	for notice, err := range p.Watch(ctx, filter, from) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(got), err)
		}
		if got = append(got, notice.Position); len(got) == n {
			break
		}
	}
	if len(got) != n {
		t.Fatalf("%d events of %d: %v", len(got), n, got)
	}
	return got
}

func span(from, to uint64) []uint64 {
	var out []uint64
	for p := from; p <= to; p++ {
		out = append(out, p)
	}
	return out
}

// I10: each position once and in order, from the log where memory does not reach, and over into what comes.
func TestI10WatchGoesFromTheLogIntoTheLive(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	log.evidence(30)
	dir := taken(t, log, projector.Config{})
	p := start(t, projector.Config{Log: log, Dir: dir}) // nothing in memory: all 32 have to come from the log
	p.reach(32)
	got := make(chan []uint64)
	go func() { got <- watch(t, p.Projector, events.Filter{}, 5, 38) }()
	log.evidence(10)
	if g := <-got; !slices.Equal(g, span(5, 42)) {
		t.Errorf("got %v", g)
	}
}

// I10, across reconnects: wherever a reader stops and comes back behind the last event it saw.
func TestI10WatchResumesAnywhere(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2")
	log.evidence(58)
	p := start(t, projector.Config{Log: log})
	p.reach(60)
	for step := 1; step <= 7; step++ {
		var got []uint64
		for next := uint64(1); next <= 60; {
			part := watch(t, p.Projector, events.Filter{}, next, min(step, int(60-next)+1))
			got = append(got, part...)
			next = part[len(part)-1] + 1
		}
		if !slices.Equal(got, span(1, 60)) {
			t.Errorf("in steps of %d: %v", step, got)
		}
	}
}

func TestWatchFilters(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	log.say(events.Suspected, "n2", "n1", 1)
	log.say(events.Refuted, "n2", "n2", 2)
	p := start(t, projector.Config{Log: log})
	p.reach(5)
	if got := watch(t, p.Projector, events.Filter{Node: "n2"}, 1, 3); !slices.Equal(got, []uint64{2, 4, 5}) {
		t.Errorf("node: %v", got)
	}
	if got := watch(t, p.Projector, events.Filter{Kind: events.Suspected}, 1, 1); !slices.Equal(got, []uint64{4}) {
		t.Errorf("kind: %v", got)
	}
}

func TestWatchEndsWhenTheProjectorStops(t *testing.T) {
	log := newTape(t)
	log.joins("n1")
	p := start(t, projector.Config{Log: log})
	p.reach(1)
	ended := make(chan error, 1)
	go func() {
		for _, err := range p.Watch(t.Context(), events.Filter{}, 0) {
			ended <- err
		}
	}()
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, projector.ErrStopped) {
		t.Errorf("ended with %v", err)
	}
}

// A reader that falls out of what memory holds is told, and loses nothing when it comes back.
func TestSlowWatcherIsCutOff(t *testing.T) {
	log := newTape(t)
	last := log.joins("n1", "n2")
	p := start(t, projector.Config{Log: log})
	p.reach(last)
	var seen uint64
	var cut error
	for notice, err := range p.Watch(t.Context(), events.Filter{}, 1) {
		if err != nil {
			cut = err
			break
		}
		if seen == 0 { // hold the reader while everything else goes on
			last = log.evidence(3 * projector.RecentMax)
			p.reach(last)
		}
		seen = notice.Position
	}
	if !errors.Is(cut, projector.ErrSlow) {
		t.Fatalf("ended with %v after #%d", cut, seen)
	}
	rest := watch(t, p.Projector, events.Filter{}, seen+1, int(last-seen))
	if !slices.Equal(rest, span(seen+1, last)) {
		t.Errorf("%d events after #%d, from #%d to #%d", len(rest), seen, rest[0], rest[len(rest)-1])
	}
	for _, from := range []uint64{projector.RecentMax + 9, 2*projector.RecentMax - 1, 2*projector.RecentMax + 9} {
		if got := watch(t, p.Projector, events.Filter{}, from, 3); !slices.Equal(got, span(from, from+2)) {
			t.Errorf("from #%d, about where memory begins: %v", from, got)
		}
	}
}

func TestPages(t *testing.T) {
	log := newTape(t)
	log.joins("n1", "n2", "n3")
	log.evidence(17)
	dir := taken(t, log, projector.Config{})
	for name, cfg := range map[string]projector.Config{"memory": {Log: log}, "log": {Log: log, Dir: dir}} {
		t.Run(name, func(t *testing.T) {
			p := start(t, cfg)
			p.reach(20)
			var got []uint64
			for next := uint64(0); next <= 20; {
				page, after, err := p.Page(t.Context(), events.Filter{}, next, 6)
				if err != nil || len(page) > 6 || after <= next {
					t.Fatalf("page from %d: %d events, next %d, %v", next, len(page), after, err)
				}
				for _, n := range page {
					got = append(got, n.Position)
				}
				next = after
			}
			if !slices.Equal(got, span(1, 20)) {
				t.Errorf("got %v", got)
			}
			page, next, err := p.Page(t.Context(), events.Filter{Node: "n3"}, 1, 6)
			if err != nil || len(page) != 1 || page[0].Position != 3 || page[0].Outcome == nil || next != 21 {
				t.Errorf("of n3: %+v, next %d, %v", page, next, err)
			}
			if page, next, err := p.Page(t.Context(), events.Filter{}, 50, 6); err != nil || len(page) != 0 || next != 50 {
				t.Errorf("behind the end: %+v, next %d, %v", page, next, err)
			}
			if _, _, err := p.Page(t.Context(), events.Filter{}, 1, projector.PageMax+1); !errors.Is(err, projector.ErrConfig) {
				t.Errorf("too long: %v", err)
			}
		})
	}
}

// Who waits for what is not folded yet hears that nothing came, however much is folded meanwhile, and then what he waited for.
func TestWatcherOfAPositionToComeIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newTape(t)
		log.joins("n1", "n2")
		p := start(t, projector.Config{Log: log})
		p.reach(2)
		const idle, far = 100 * time.Millisecond, 302
		type heard struct {
			silences int
			first    uint64
		}
		got := make(chan heard, 1)
		go func() {
			var h heard
			for batch, err := range p.Batches(t.Context(), far, idle) {
				if err != nil {
					t.Error(err)
					break
				}
				if len(batch) > 0 {
					h.first = batch[0].Position
					break
				}
				h.silences++
			}
			got <- h
		}()
		for range far - 2 { // three seconds
			time.Sleep(idle / 10) // of the bubble's time
			log.evidence(1)
		}
		if h := <-got; h.silences < 29 || h.silences > 30 || h.first != far {
			t.Errorf("%d silences in three seconds, and then position %d; want one each %v, and %d", h.silences, h.first, idle, far)
		}
	})
}

// waypoint is a log whose subscriptions without an end wait at a position until it is let go.
type waypoint struct {
	*tape
	at      uint64
	gate    chan struct{}
	stretch atomic.Int32 // subscriptions to more than one event that have an end
}

func (l *waypoint) Subscribe(ctx context.Context, filter events.Filter, from events.From) seq {
	if from.Through > 0 {
		if from.Through > from.Position {
			l.stretch.Add(1)
		}
		return l.tape.Subscribe(ctx, filter, from)
	}
	return func(yield func(events.Recorded, error) bool) {
		for rec, err := range l.tape.Subscribe(ctx, filter, from) {
			if err == nil && rec.Position > l.at {
				select {
				case <-l.gate:
				case <-ctx.Done():
					return
				}
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// I10: far behind, the events that nobody follows are not kept, and who comes meanwhile misses none.
func TestI10WatchBeginsWhileFarBehind(t *testing.T) {
	log := &waypoint{tape: newTape(t), at: 100, gate: make(chan struct{})}
	log.joins("n1", "n2")
	last := log.evidence(3 * projector.RecentMax)
	p := start(t, projector.Config{Log: log})
	p.reach(log.at)
	letGo := sync.OnceFunc(func() { close(log.gate) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for next := uint64(1); next <= last; {
		if ctx.Err() != nil {
			t.Fatalf("no event %d after %v", next, patience)
		}
		for notice, err := range p.Watch(ctx, events.Filter{}, next) {
			letGo() // it is followed, and at work on the first of those that were passed
			if errors.Is(err, projector.ErrSlow) {
				break // and come back
			}
			if err != nil || notice.Position != next {
				t.Fatalf("position %d, %v; want %d", notice.Position, err, next)
			}
			if next++; next > last {
				break
			}
		}
	}
	if log.stretch.Load() == 0 {
		t.Error("none of the events were read from the log: they were kept, though nobody followed")
	}
}
