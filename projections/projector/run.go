package projector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall/events"
)

// How long Run waits before it reaches for the log again, doubling from the first to the second.
const (
	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
)

// Run folds the log until ctx ends, which is no error, or until going on would be wrong: see the package comment. It
// writes a last snapshot before it returns. It may be called once.
func (p *Projector) Run(ctx context.Context) error {
	p.mu.Lock()
	again := p.ran
	p.ran = true
	p.mu.Unlock()
	if again {
		return ErrRunning
	}

	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := p.retry(inner, "reach the log", p.attach)
	if err == nil {
		var beside sync.WaitGroup
		beside.Go(func() {
			if err := p.heartbeat(inner); err != nil {
				cancel(err)
			}
		})
		beside.Go(func() { p.rebuilder(inner) })
		err = p.retry(inner, "read the log", p.keepUp)
		if cause := context.Cause(inner); err == nil && ctx.Err() == nil {
			err = cause
		}
		cancel(nil)
		beside.Wait()
	}
	if p.dueForLast() {
		p.takeSnapshot()
	}
	p.stop(err)
	return err
}

// fatal reports whether err says that going on would be wrong.
func fatal(err error) bool {
	return errors.Is(err, events.ErrIncomplete) || errors.Is(err, events.ErrReplaced) || errors.Is(err, events.ErrUnknownKind)
}

// retry calls do until it succeeds, fails fatally, or ctx ends, which gives nil.
func (p *Projector) retry(ctx context.Context, what string, do func(context.Context) error) error {
	wait := retryMin
	for {
		before := p.Position()
		err := do(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil || fatal(err):
			return err
		}
		if p.Position() > before {
			wait = retryMin
		}
		p.log.Warn("trying again", "what", what, "error", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		wait = min(2*wait, retryMax)
	}
}

// attach asks the log who it is and whether it can carry on from where the views are.
func (p *Projector) attach(ctx context.Context) error {
	asked := p.ask()
	info, err := p.cfg.Log.Info(ctx)
	if err != nil {
		return err
	}
	return p.checkInfo(info, asked)
}

// asking is when the log was asked about itself, and where the views were then: the fold may overtake the answer.
type asking struct {
	at       time.Time
	position uint64
}

func (p *Projector) ask() asking { return asking{p.cfg.Now(), p.Position()} }

// checkInfo compares what the log says of itself with the views, and remembers it.
func (p *Projector) checkInfo(info events.Info, asked asking) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	position := p.views.Position()
	switch {
	case info.Cluster != p.cfg.Cluster:
		return fmt.Errorf("%w: it is the log of cluster %q, not of %q", events.ErrReplaced, info.Cluster, p.cfg.Cluster)
	case p.identity != "" && info.Identity != p.identity:
		return fmt.Errorf("%w: views at position %d are of log %s, found log %s; %s",
			events.ErrReplaced, position, p.identity, info.Identity, p.advice())
	case info.Last < asked.position:
		return fmt.Errorf("%w: it ends at position %d, the views are at %d: it was restored from an older copy; %s",
			events.ErrReplaced, info.Last, asked.position, p.advice())
	case info.First > position+1:
		return fmt.Errorf("%w: the log starts at position %d, position %d is wanted",
			events.ErrIncomplete, info.First, position+1)
	}
	p.identity = info.Identity
	p.pulse.answered(info.Last, asked.at)
	p.pulse.level(position)
	p.wakeLocked()
	return nil
}

func (p *Projector) advice() string {
	if p.cfg.Dir == "" {
		return "start again to read the new log from its beginning"
	}
	return fmt.Sprintf("if that is as it should be, move %s away and start again", p.cfg.Dir)
}

// follow reads the log from behind the views' position for as long as it can. It never returns nil before ctx ends.
func (p *Projector) follow(ctx context.Context) error {
	due := p.newSchedule()
	for rec, err := range p.cfg.Log.Subscribe(ctx, events.Filter{}, events.From{Position: p.Position() + 1}) {
		if err := p.take(ctx, rec, err); err != nil {
			return err
		}
		if p.cfg.Dir != "" && due.now() {
			p.takeSnapshot()
			due.taken()
		}
	}
	return errors.New("the subscription ended by itself")
}

// snapshotRest is how many times as long as a snapshot took the fold goes on before the next: a large state that is read
// from a long log would otherwise be written more than it is folded.
const snapshotRest = 10

// schedule says when the next snapshot is due.
type schedule struct {
	p       *Projector
	began   time.Time // when the last was due, and
	folded  uint64    // how many events were folded then
	resting time.Time // none before
}

func (p *Projector) newSchedule() *schedule {
	return &schedule{p: p, began: p.cfg.Now(), folded: p.folded}
}

func (s *schedule) now() bool {
	now := s.p.cfg.Now()
	if now.Before(s.resting) {
		return false
	}
	due := s.p.folded-s.folded >= uint64(s.p.cfg.SnapshotEvery) || now.Sub(s.began) >= s.p.cfg.SnapshotInterval
	if due {
		s.began, s.folded = now, s.p.folded
	}
	return due
}

func (s *schedule) taken() {
	now := s.p.cfg.Now()
	s.resting = now.Add(snapshotRest * now.Sub(s.began))
}

// take puts what the subscription yielded into the views, unless ctx has ended: then it will be read again.
func (p *Projector) take(ctx context.Context, rec events.Recorded, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		step, ok := p.views.Apply(rec)
		if !ok {
			return nil // read twice
		}
		p.folded++
		p.recent.add(Notice{Recorded: rec, Outcome: &step.Outcome})
	} else {
		_, before := p.views.Rejected()
		if err := fold(p.views, rec, err); err != nil {
			return err
		}
		if _, now := p.views.Rejected(); now > before {
			p.log.Error("event cannot be read; its node is parked", "error", err)
		}
	}
	p.pulse.level(p.views.Position())
	p.wakeLocked()
	return nil
}

// stop leaves the views as they are and tells everybody who waits for more.
func (p *Projector) stop(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = ErrStopped
	if err != nil {
		p.stopped = fmt.Errorf("%w: %w", ErrStopped, err)
		p.log.Error("projector stopped", "position", p.views.Position(), "error", err)
	}
	p.wakeLocked()
}
