package projector

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projections"
)

// behind is a projector that believes in a log of a thousand events, and its clock.
func behind(t *testing.T) (p *Projector, now *time.Time) {
	t.Helper()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p, err := Open(Config{Log: memlog.New("test"), Cluster: "test", Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	p.pulse.answered(1000, at)
	return p, &at
}

// foldTo takes joins up to position.
func foldTo(t *testing.T, p *Projector, position uint64) {
	t.Helper()
	for n := p.position() + 1; n <= position; n++ {
		id := fmt.Sprintf("n%d", n)
		ev := events.Event{
			ID: events.NewID(), Kind: events.Joined, Cluster: "test", Node: id, Author: id, Incarnation: 1, Address: "127.0.0.1:1",
			Time: p.cfg.Now(),
		}
		if _, err := p.take(t.Context(), []delivery{{rec: events.Recorded{Event: ev, Position: n, Stored: ev.Time}}}, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// seenAt is the position that View shows.
func seenAt(p *Projector) (position uint64) {
	p.View(func(v *projections.Views) { position = v.Position() })
	return position
}

// While the fold is behind and at work on an event, a reader is answered; and nobody is shown less than he was told before.
func TestReadersDoNotWaitForAFoldThatIsBehind(t *testing.T) {
	p, now := behind(t)
	foldTo(t, p, 10)
	if got := seenAt(p); got != 10 {
		t.Fatalf("the first read is at %d", got)
	}
	p.show()
	foldTo(t, p, 20)

	answered := make(chan [2]uint64)
	p.mu.Lock()
	go func() { answered <- [2]uint64{seenAt(p), p.Lag(10).Events} }()
	select {
	case got := <-answered:
		p.mu.Unlock()
		if got != [2]uint64{10, 990} {
			t.Errorf("position and lag %v, want 10 and 990", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("a reader waits for the fold")
	}

	if p.show(); seenAt(p) != 10 {
		t.Error("a copy was made before its time")
	}
	if *now = now.Add(shownEvery); p.shown.Load() == nil {
		t.Error("the copy is gone before there is another")
	}
	if p.show(); seenAt(p) != 20 {
		t.Error("no copy was made in its time")
	}
	foldTo(t, p, 30)
	if told := p.Position(); told != 30 || seenAt(p) != 30 {
		t.Errorf("told of position %d, shown %d", told, seenAt(p))
	}
}

// A copy is not looked at for long, and not at all once the views hold everything, stand still or were changed by hand; without
// readers there is none.
func TestACopyIsShownWhileItIsNeeded(t *testing.T) {
	for name, tc := range map[string]struct {
		then func(t *testing.T, p *Projector, now *time.Time)
		want uint64
	}{
		"nothing":       {func(*testing.T, *Projector, *time.Time) {}, 10},
		"stood still":   {func(_ *testing.T, _ *Projector, now *time.Time) { *now = now.Add(shownFor + 1) }, 20},
		"all is folded": {func(t *testing.T, p *Projector, _ *time.Time) { foldTo(t, p, 1000) }, 1000},
		"paused":        {func(_ *testing.T, p *Projector, _ *time.Time) { p.Pause() }, 20},
		"stopped":       {func(_ *testing.T, p *Projector, _ *time.Time) { p.stop(nil) }, 20},
		"read by none":  {func(_ *testing.T, p *Projector, now *time.Time) { *now = now.Add(showAfter); p.show() }, 20},
		"waited for": {func(t *testing.T, p *Projector, _ *time.Time) {
			if err := p.WaitFor(t.Context(), 20); err != nil {
				t.Error(err)
			}
		}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			p, now := behind(t)
			foldTo(t, p, 10)
			seenAt(p)
			p.show()
			foldTo(t, p, 20)
			tc.then(t, p, now)
			if got := seenAt(p); got != tc.want {
				t.Errorf("position %d is shown, want %d", got, tc.want)
			}
		})
	}
}

// I10, for those who look at the views as well: whatever a reader was told by a notice or by an earlier read, he sees afterwards,
// while the fold goes on.
func TestI10WhatWasToldStaysSeen(t *testing.T) {
	log := memlog.New("test")
	const last = 3000
	for n := range last {
		id := fmt.Sprintf("n%d", n)
		ev := events.Event{
			ID: events.NewID(), Kind: events.Joined, Cluster: "test", Node: id, Author: id, Incarnation: 1, Address: "127.0.0.1:1",
			Time: time.Now(),
		}
		if _, err := log.Append(t.Context(), ev, 0); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Open(Config{Log: log, Cluster: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		for seen := uint64(0); seen < last && ctx.Err() == nil; {
			got := seenAt(p)
			if got < seen {
				t.Errorf("position %d is shown after %d", got, seen)
				return
			}
			seen = got
		}
	})
	running.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for n, err := range p.Watch(ctx, events.Filter{}, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if got := seenAt(p); got < n.Position {
			t.Fatalf("position %d is shown after a notice of %d", got, n.Position)
		}
		if n.Position == last {
			return
		}
	}
}

// Events that nobody follows, and that would be gone before the views hold everything, are not kept.
func TestEventsAreKeptForThoseWhoFollow(t *testing.T) {
	p, now := behind(t)
	kept := func() int { return len(p.recent.after(1)) }
	p.pulse.answered(30+RecentMax+BatchMax, *now)
	if foldTo(t, p, 10); kept() != 0 || p.recent.from != 11 {
		t.Errorf("%d events are kept, from position %d on", kept(), p.recent.from)
	}
	p.attend(1)
	if foldTo(t, p, 20); kept() != 10 {
		t.Errorf("%d events are kept for who follows, want 10", kept())
	}
	p.attend(-1)
	if foldTo(t, p, 29); kept() != 0 {
		t.Errorf("%d events are kept when he is gone", kept())
	}
	if foldTo(t, p, 40); kept() != 11 {
		t.Errorf("%d events are kept near the end, want 11", kept())
	}
}
