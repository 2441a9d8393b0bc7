package projector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

const (
	// AsOfConcurrent is how many folds of the past run at once; further ones wait.
	AsOfConcurrent = 2

	// AsOfMax is how many events one fold of the past reads: two of the longest steps that there are up to 33 million events.
	AsOfMax = 1 << 20
)

// Errors of AsOf.
var (
	ErrFuture = errors.New("not reached yet") // the instant lies ahead of the log or of the clock
	ErrTooFar = errors.New("too far back")    // more than AsOfMax events would have to be read
)

// At is an instant in the life of a log: a position, or, when that is 0, a time by the log's clock. What belongs to a time is
// every event before the first that was stored after it. Where the clock was set back, some behind that one were stored before.
type At struct {
	Position uint64
	Time     time.Time
}

// before reports whether the instant precedes the event at a position, stored then.
func (a At) before(position uint64, stored time.Time) bool {
	if a.Position > 0 {
		return a.Position < position
	}
	return stored.After(a.Time)
}

// within reports whether every event in the views belongs to the instant. It says no where the last of them is so close to the
// time that the views cannot tell.
func (a At) within(v *projections.Views) bool {
	if a.Position > 0 {
		return v.Position() <= a.Position
	}
	return !v.Timeline.Clock().After(a.Time)
}

func (a At) String() string {
	if a.Position > 0 {
		return fmt.Sprintf("position %d", a.Position)
	}
	return a.Time.Format(time.RFC3339Nano)
}

// AsOf returns the views as they stood at an instant: those that were asked for of late, or what comes of folding the log from
// the newest ones at hand before it, of late or in a checkpoint. They are frozen, shared and read only. Histories may be bare:
// what their events said, Complete reads from the log. It fails with ErrFuture, ErrTooFar, events.ErrIncomplete when the log no
// longer reaches back, or what the log said.
func (p *Projector) AsOf(ctx context.Context, at At) (*projections.Views, error) {
	at.Time = at.Time.UTC().Round(0) // the same instant is the same value
	p.mu.RLock()
	edited := p.edited
	p.mu.RUnlock()
	views, err := p.past.get(ctx, at, edited, func(before *projections.Views) (*projections.Views, bool, error) {
		return p.foldPast(ctx, at, before)
	})
	if err != nil {
		return nil, fmt.Errorf("as of %v: %w", at, err)
	}
	return views, nil
}

// foldPast is a foldPast, one of AsOfConcurrent at a time.
func (p *Projector) foldPast(ctx context.Context, at At, before *projections.Views) (*projections.Views, bool, error) {
	select {
	case p.asOf <- struct{}{}:
		defer func() { <-p.asOf }()
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
	info, err := p.info(ctx)
	if err != nil {
		return nil, false, err
	}
	switch now := p.cfg.Now(); {
	case at.Position > info.Last:
		return nil, false, fmt.Errorf("%w: the log ends at position %d", ErrFuture, info.Last)
	case at.Position == 0 && at.Time.After(now):
		return nil, false, fmt.Errorf("%w: it is %s", ErrFuture, now.UTC().Format(time.RFC3339))
	}
	views := p.viewsBefore(ctx, info, at, before)
	var skipped map[string]uint64
	p.View(func(v *projections.Views) { skipped = v.Skipped() })
	for node, position := range skipped {
		views.SkipThrough(node, position)
	}
	through := info.Last
	if at.Position > 0 {
		through = at.Position
	}
	settled := false
	if views.Position() < through {
		if settled, err = p.foldUntil(ctx, views, at, through, info.Identity); err != nil {
			return nil, false, err
		}
	}
	return views.Freeze(), settled, nil
}

// foldUntil folds what lies between views and the instant, at most through a position, and leaves checkpoints at steps that
// have none: the next time it will not be so far. It reports whether it came upon an event behind the instant.
func (p *Projector) foldUntil(
	ctx context.Context, views *projections.Views, at At, through uint64, identity string,
) (settled bool, err error) {
	read, tail := 0, events.From{Position: views.Position() + 1, Seen: views.Mark(), Through: through}
	climb, freeze := climb{p: p}, func() keep { return p.bareOf(views, identity) }
	subscribe := func(ctx context.Context) iter.Seq2[events.Recorded, error] {
		return p.cfg.Log.Subscribe(ctx, events.Filter{}, tail)
	}
	for list := range readAhead(ctx, subscribe) {
		for i := range list {
			if list[i].behind(at) {
				return true, nil
			}
			if err := fold(views, &list[i]); err != nil {
				return false, err
			}
			if p.store != nil {
				climb.tick(views.Position(), freeze)
			}
			if views.Position() >= through {
				return false, nil
			}
			if read++; read >= AsOfMax {
				return false, fmt.Errorf("%w: more than %d events would have to be read", ErrTooFar, AsOfMax)
			}
		}
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return false, fmt.Errorf("%w: the subscription ended early", events.ErrUnavailable)
}

const (
	// checkpointWorth is how many more events a checkpoint must spare than views of the past at hand before it is read: it
	// takes as long as they do.
	checkpointWorth = 4096

	// snapshotWorth is how many more a snapshot must spare than the best checkpoint: it is that much larger.
	snapshotWorth = 100_000
)

// viewsBefore returns views to go on from towards the instant: those known, where not nil, those of a checkpoint or a snapshot
// of this log that it does not precede, or fresh ones.
func (p *Projector) viewsBefore(ctx context.Context, info events.Info, at At, known *projections.Views) *projections.Views {
	if known != nil && info.First > known.Position()+1 {
		known = nil
	}
	if p.store != nil {
		if views := p.storedBefore(ctx, info, at, known); views != nil {
			return views
		}
	}
	if known != nil {
		return known.Thaw()
	}
	return projections.New(p.cfg.Cluster)
}

// storedBefore returns the views of a checkpoint or a snapshot that the instant does not precede, and that spares enough
// events behind those known, where not nil; nil when there is none.
func (p *Projector) storedBefore(ctx context.Context, info events.Info, at At, known *projections.Views) *projections.Views {
	reached, worth := uint64(0), uint64(0)
	if known != nil {
		reached, worth = known.Position(), checkpointWorth
	}
	p.mu.RLock()
	found := slices.Clone(p.ladder.rungs)
	p.mu.RUnlock()
	slices.Reverse(found)
	found = slices.DeleteFunc(found, func(k kept) bool { return k.position <= reached+worth })
	views := p.newestBefore(ctx, info.Identity, at, found)
	if views != nil {
		reached = views.Position()
	}
	target := info.Last
	if at.Position > 0 {
		target = at.Position
	}
	if target-min(target, reached) <= snapshotWorth && info.First <= reached+1 {
		return views
	}
	list, err := p.list(ctx)
	if err != nil { // it only takes longer
		return views
	}
	whole := slices.DeleteFunc(ours(newestFirst(list), snapshotSuffix), func(k kept) bool {
		return k.position <= reached+snapshotWorth && info.First <= reached+1
	})
	if better := p.newestBefore(ctx, info.Identity, at, whole); better != nil {
		return better
	}
	return views
}

// newestBefore reads the first of found, newest first, that the instant does not precede; nil when there is none. Names tell the
// time of the last event only: where the clock was set back, more is read than can be used.
func (p *Projector) newestBefore(ctx context.Context, identity string, at At, found []kept) *projections.Views {
	for _, k := range found {
		if at.before(k.position, k.stored) {
			continue
		}
		head, views, _, err := p.readKept(ctx, k)
		switch {
		case err != nil:
			p.setAside(ctx, k, err)
		case head.Identity == identity && at.within(views):
			return views
		}
	}
	return nil
}

// Complete fills in what the events said in a history of node that AsOf left bare, out of the log. It fails with what the log
// says.
func (p *Projector) Complete(ctx context.Context, node string, h *projections.History) error {
	if h.Bare == 0 {
		return nil
	}
	first, last := h.Entries[0].Position, h.Entries[h.Bare-1].Position
	for rec, err := range p.cfg.Log.Subscribe(ctx, events.Filter{Node: node}, p.between(first, last)) {
		var bad *events.DecodeError
		switch {
		case errors.As(err, &bad): // not one of them
		case err != nil:
			return fmt.Errorf("history of %s: %w", node, err)
		default:
			h.Complete(&rec)
		}
		if h.Bare == 0 {
			return nil
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("history of %s: %w", node, context.Cause(ctx))
	}
	return fmt.Errorf("history of %s: %w: an event is gone", node, events.ErrIncomplete)
}
