package projector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

// Rebuilding says how a rebuild goes, or how the last one went.
type Rebuilding struct {
	Running  bool
	Position uint64        // last event folded beside the live views
	Target   uint64        // where the live views are
	Started  time.Time     // zero: there was none since Open
	Ended    time.Time     // zero while it runs
	Left     time.Duration // estimated, from the pace so far; 0 when it does not run or has just begun
	Changed  bool          // the new views are not what the old ones were: those had gone wrong
	Err      error         // why it failed; the live views were left as they are
}

// Rebuild folds the log from its start beside the live views, which go on, and puts the result in their place at the
// position at which it has caught up with them. It returns at once; Status shows the progress. It fails with ErrRebuilding
// or ErrStopped. A rebuild does not survive a restart.
func (p *Projector) Rebuild() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped != nil:
		return p.stopped
	case p.rebuilding.Running:
		return ErrRebuilding
	}
	p.rebuilding = Rebuilding{Running: true, Started: p.cfg.Now()}
	p.rebuilds <- struct{}{} // of capacity 1, and empty while nothing runs
	return nil
}

// rebuilder does what Rebuild asks for until ctx ends.
func (p *Projector) rebuilder(ctx context.Context) {
	for {
		select {
		case <-p.rebuilds:
			p.giveUp(p.rebuild(ctx))
		case <-ctx.Done():
			p.giveUp(context.Cause(ctx)) // what was asked for just now
			return
		}
	}
}

// giveUp ends a rebuild that has not switched, with err.
func (p *Projector) giveUp(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.rebuilding.Running {
		return
	}
	p.rebuilding.Running, p.rebuilding.Ended, p.rebuilding.Err = false, p.cfg.Now(), err
	p.log.Error("rebuild given up; the views stay as they are", "error", err)
}

// rebuild returns nil when the new views are in place.
func (p *Projector) rebuild(ctx context.Context) error {
	shadow := projections.New(p.cfg.Cluster)
	skipped := make(map[string]uint64)
	p.View(func(v *projections.Views) { skipped = v.Skipped() })
	for node, position := range skipped {
		shadow.SkipThrough(node, position)
	}
	p.log.Info("rebuilding", "target", p.position())
	if err := p.retry(ctx, "rebuild", func(ctx context.Context) error { return p.foldBeside(ctx, shadow) }); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (p *Projector) foldBeside(ctx context.Context, shadow *projections.Views) error {
	if p.switchTo(shadow) {
		return nil
	}
	for rec, err := range p.cfg.Log.Subscribe(ctx, events.Filter{}, p.from(shadow.Position()+1)) {
		if err := fold(shadow, &delivery{rec, err}); err != nil {
			return err
		}
		p.checkpointAgain(ctx, shadow)
		if p.switchTo(shadow) {
			return nil
		}
	}
	return errSubscription
}

// checkpointAgain writes a checkpoint of the rebuilt views at each step, in the place of the one that the old views left there.
func (p *Projector) checkpointAgain(ctx context.Context, shadow *projections.Views) {
	p.mu.RLock()
	step, identity := p.ladder.step, p.identity
	p.mu.RUnlock()
	if p.store == nil || shadow.Position()%step != 0 {
		return
	}
	k := p.bareOf(shadow, identity)
	k.again = true
	select {
	case p.keeping <- k:
	case <-ctx.Done():
	}
}

// switchTo puts shadow in the place of the live views if it has caught up with them. Both pass the same positions, and
// shadow is looked at after each of them, so it never gets ahead.
func (p *Projector) switchTo(shadow *projections.Views) bool {
	p.mu.Lock()
	p.rebuilding.Position, p.rebuilding.Target = shadow.Position(), p.views.Position()
	if shadow.Position() != p.views.Position() {
		p.mu.Unlock()
		return false
	}
	for node, position := range p.views.Skipped() { // meanwhile
		shadow.SkipThrough(node, position)
	}
	before, after := p.views, shadow.Freeze()
	p.views = shadow
	p.editedLocked()
	p.mu.Unlock()

	changed := !maps.Equal(before.Sums(), after.Sums()) // nobody writes either any more
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rebuilding.Running, p.rebuilding.Ended, p.rebuilding.Changed = false, p.cfg.Now(), changed
	p.log.Info("rebuilt", "position", after.Position(), "changed", changed,
		"took", p.rebuilding.Ended.Sub(p.rebuilding.Started))
	return true
}

// progressLocked is the rebuild as of now.
func (p *Projector) progressLocked(now time.Time) Rebuilding {
	r := p.rebuilding
	if !r.Running {
		return r
	}
	r.Target = max(p.views.Position(), r.Position)
	if r.Position > 0 {
		pace := now.Sub(r.Started).Seconds() / float64(r.Position)
		r.Left = time.Duration(pace * float64(r.Target-r.Position) * float64(time.Second))
	}
	return r
}

// fold puts into views what a subscription yielded. It returns an error that ends the subscription.
func fold(views *projections.Views, d *delivery) error {
	var bad *events.DecodeError
	switch {
	case d.err == nil:
		views.Advance(&d.rec)
	case !errors.As(d.err, &bad) || errors.Is(d.err, events.ErrUnknownKind):
		return d.err
	default:
		views.Reject(bad)
	}
	return nil
}

func (r Rebuilding) String() string {
	return fmt.Sprintf("at position %d of %d", r.Position, r.Target)
}
