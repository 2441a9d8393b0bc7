package projector

import (
	"context"
	"errors"
	"fmt"
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

// At is an instant in the life of a log: a position, or, when that is 0, a time by the log's clock.
type At struct {
	Position uint64
	Time     time.Time
}

// before reports whether the instant precedes the event.
func (a At) before(rec events.Recorded) bool {
	if a.Position > 0 {
		return a.Position < rec.Position
	}
	return rec.Stored.After(a.Time)
}

func (a At) String() string {
	if a.Position > 0 {
		return fmt.Sprintf("position %d", a.Position)
	}
	return a.Time.Format(time.RFC3339Nano)
}

// AsOf returns the views as they stood at an instant, by folding the log from the newest checkpoint before it. The views are
// the caller's. Histories may be bare: what their events said, Complete reads from the log. It fails with ErrFuture, ErrTooFar, events.ErrIncomplete when the log no longer reaches back, or what
// the log said.
func (p *Projector) AsOf(ctx context.Context, at At) (*projections.Views, error) {
	select {
	case p.asOf <- struct{}{}:
		defer func() { <-p.asOf }()
	case <-ctx.Done():
		return nil, fmt.Errorf("as of %v: %w", at, context.Cause(ctx))
	}
	info, err := p.cfg.Log.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("as of %v: %w", at, err)
	}
	switch now := p.cfg.Now(); {
	case at.Position > info.Last:
		return nil, fmt.Errorf("as of %v: %w: the log ends at position %d", at, ErrFuture, info.Last)
	case at.Position == 0 && at.Time.After(now):
		return nil, fmt.Errorf("as of %v: %w: it is %s", at, ErrFuture, now.UTC().Format(time.RFC3339))
	}
	views := p.viewsBefore(ctx, info, at)
	var skipped map[string]uint64
	p.View(func(v *projections.Views) { skipped = v.Skipped() })
	for node, position := range skipped {
		views.SkipThrough(node, position)
	}
	through := info.Last
	if at.Position > 0 {
		through = at.Position
	}
	if views.Position() < through {
		if err := p.foldUntil(ctx, views, at, through, info.Identity); err != nil {
			return nil, fmt.Errorf("as of %v: %w", at, err)
		}
	}
	return views, nil
}

// foldUntil folds what lies between views and the instant, at most through a position, and leaves checkpoints at steps that
// have none: the next time it will not be so far.
func (p *Projector) foldUntil(ctx context.Context, views *projections.Views, at At, through uint64, identity string) error {
	read, tail := 0, events.From{Position: views.Position() + 1, Seen: views.Mark(), Through: through}
	climb, freeze := climb{p: p}, func() keep { return p.bareOf(views, identity) }
	for rec, err := range p.cfg.Log.Subscribe(ctx, events.Filter{}, tail) {
		var bad *events.DecodeError
		switch {
		case errors.As(err, &bad) && at.before(events.Recorded{Position: bad.Position, Stored: bad.Stored}):
			return nil
		case err == nil && at.before(rec):
			return nil
		}
		if err := fold(views, rec, err); err != nil {
			return err
		}
		if p.store != nil {
			climb.tick(views.Position(), freeze)
		}
		if views.Position() >= through {
			return nil
		}
		if read++; read >= AsOfMax {
			return fmt.Errorf("%w: more than %d events would have to be read", ErrTooFar, AsOfMax)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: the subscription ended early", events.ErrUnavailable)
}

// snapshotWorth is how many more events a snapshot must spare than the best checkpoint before it is read: it is that much
// larger.
const snapshotWorth = 100_000

// viewsBefore returns views to go on from towards the instant: those of a checkpoint or a snapshot of this log that it does not
// precede, or fresh ones.
func (p *Projector) viewsBefore(ctx context.Context, info events.Info, at At) *projections.Views {
	if p.store == nil {
		return projections.New(p.cfg.Cluster)
	}
	p.mu.RLock()
	found := slices.Clone(p.ladder.rungs)
	p.mu.RUnlock()
	slices.Reverse(found)
	views := p.newestBefore(ctx, info.Identity, at, found)
	reached := uint64(0)
	if views != nil {
		reached = views.Position()
	}
	target := info.Last
	if at.Position > 0 {
		target = at.Position
	}
	if target-min(target, reached) > snapshotWorth || info.First > reached+1 {
		if list, err := p.list(ctx); err == nil { // else it only takes longer
			whole := slices.DeleteFunc(ours(newestFirst(list), snapshotSuffix), func(k kept) bool {
				return k.position <= reached+snapshotWorth && info.First <= reached+1
			})
			if better := p.newestBefore(ctx, info.Identity, at, whole); better != nil {
				views = better
			}
		}
	}
	if views == nil {
		views = projections.New(p.cfg.Cluster)
	}
	return views
}

// newestBefore reads the first of found, newest first, that the instant does not precede; nil when there is none.
func (p *Projector) newestBefore(ctx context.Context, identity string, at At, found []kept) *projections.Views {
	for _, k := range found {
		if at.before(events.Recorded{Position: k.position, Stored: k.stored}) {
			continue
		}
		head, views, _, err := p.readKept(ctx, k)
		switch {
		case err != nil:
			p.setAside(ctx, k, err)
		case head.Identity == identity:
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
