package projector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

const (
	// AsOfConcurrent is how many folds of the past run at once; further ones wait.
	AsOfConcurrent = 2

	// AsOfMax is how many events one fold of the past reads.
	AsOfMax = 500_000
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

// AsOf returns the views as they stood at an instant, by folding the log from the newest snapshot before it. The views are
// the caller's. It fails with ErrFuture, ErrTooFar, events.ErrIncomplete when the log no longer reaches back, or what
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
	views := p.snapshotBefore(info.Identity, at)
	var skipped map[string]uint64
	p.View(func(v *projections.Views) { skipped = v.Skipped() })
	for node, position := range skipped {
		views.SkipThrough(node, position)
	}
	if views.Position() < info.Last {
		if err := p.foldUntil(ctx, views, at, info.Last); err != nil {
			return nil, fmt.Errorf("as of %v: %w", at, err)
		}
	}
	return views, nil
}

// foldUntil folds what lies between views and the instant, or the end of the log.
func (p *Projector) foldUntil(ctx context.Context, views *projections.Views, at At, last uint64) error {
	read := 0
	for rec, err := range p.cfg.Log.Subscribe(ctx, events.Filter{}, events.From{Position: views.Position() + 1}) {
		var bad *events.DecodeError
		switch {
		case errors.As(err, &bad) && at.Position > 0 && bad.Position > at.Position:
			return nil
		case err == nil && at.before(rec):
			return nil
		}
		if err := fold(views, rec, err); err != nil {
			return err
		}
		if views.Position() >= last || views.Position() == at.Position {
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
