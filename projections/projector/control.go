package projector

import (
	"context"
	"errors"
	"fmt"

	"rollcall/events"
	"rollcall/projections"
)

// Errors of the control of a projector. Each says that nothing was changed.
var (
	ErrUnreadable = errors.New("the event cannot be read still") // by this version; skip it, or start a version that can
	ErrRebuilding = errors.New("the views are being rebuilt already")
)

// Pause stops the fold: the views stand still and stay readable, and their lag grows. When it returns, no further event is
// folded. Pausing twice is pausing once. A start is never paused: a restart goes on.
func (p *Projector) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed != nil {
		return
	}
	p.resumed = make(chan struct{})
	p.unshowLocked()
	if p.interrupt != nil {
		p.interrupt()
	}
	p.log.Info("paused", "position", p.views.Position())
}

// Resume goes on with the event after the last one folded.
func (p *Projector) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed == nil {
		return
	}
	close(p.resumed)
	p.resumed = nil
	p.log.Info("resumed", "position", p.views.Position())
}

// keepUp follows the log whenever the projector is not paused, until ctx ends, which gives nil, or the log says why not.
func (p *Projector) keepUp(ctx context.Context) error {
	for p.awaitResume(ctx) {
		running, cancel := context.WithCancel(ctx)
		p.mu.Lock()
		p.interrupt = cancel
		if p.resumed != nil { // paused again, before it could be interrupted
			cancel()
		}
		p.mu.Unlock()
		err := p.follow(running)
		interrupted := running.Err() != nil
		cancel()
		if !interrupted {
			return err
		}
	}
	return nil
}

// awaitResume waits while the projector is paused. It reports false when ctx ended.
func (p *Projector) awaitResume(ctx context.Context) bool {
	for ctx.Err() == nil {
		p.mu.RLock()
		resumed := p.resumed
		p.mu.RUnlock()
		if resumed == nil {
			return true
		}
		select {
		case <-resumed:
		case <-ctx.Done():
		}
	}
	return false
}

// Skip passes over what keeps node parked, see projections.Parked: its row catches up at once. It fails with
// projections.ErrNotParked. What was skipped stays skipped on this projector, across rebuilds and across restarts from
// a snapshot of its own; another projector does not know of it until it starts from such a snapshot.
func (p *Projector) Skip(node string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.views.Skip(node); err != nil {
		return err
	}
	p.editedLocked()
	p.log.Warn("an event that cannot be read is skipped", "node", node, "through", p.views.Skipped()[node])
	return nil
}

// Retry reads the event that keeps node parked once more. Where this version can read it, which an earlier one could not,
// the views are rebuilt with it, see Rebuild. It fails with projections.ErrNotParked, ErrUnreadable, ErrRebuilding, or with
// what the log says.
func (p *Projector) Retry(ctx context.Context, node string) error {
	var parked *projections.Parked
	p.View(func(v *projections.Views) {
		if n, ok := v.Registry.Node(node); ok {
			parked = n.Parked
		}
	})
	if parked == nil {
		return fmt.Errorf("%w: %.80q", projections.ErrNotParked, node)
	}
	for rec, err := range p.cfg.Log.Subscribe(ctx, events.Filter{}, p.between(parked.Position, parked.Position)) {
		var bad *events.DecodeError
		switch {
		case errors.As(err, &bad) && bad.Position == parked.Position:
			return fmt.Errorf("%w: node %s, %w", ErrUnreadable, node, err)
		case err == nil && rec.Position == parked.Position:
			return p.Rebuild()
		case err != nil && bad == nil:
			return err
		}
		return fmt.Errorf("%w: the log has nothing at position %d", events.ErrIncomplete, parked.Position)
	}
	return fmt.Errorf("retry %s: %w", node, context.Cause(ctx))
}
