package projector

import (
	"context"
	"errors"
	"fmt"
	"iter"
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
	err := p.retry(inner, "read the snapshots", p.loadStore)
	if err == nil {
		err = p.retry(inner, "reach the log", p.attach)
	}
	if err == nil {
		var beside sync.WaitGroup
		beside.Go(func() {
			if err := p.heartbeat(inner); err != nil {
				cancel(err)
			}
		})
		beside.Go(func() { p.rebuilder(inner) })
		if p.store != nil {
			beside.Go(func() { p.keeper(inner) })
		}
		err = p.retry(inner, "read the log", p.keepUp)
		if cause := context.Cause(inner); err == nil && ctx.Err() == nil {
			err = cause
		}
		cancel(nil)
		beside.Wait()
	}
	p.last()
	p.stop(err)
	return err
}

// loadStore reads what cfg.Store holds. A store that is away is waited for, as the log is; one that cannot be read costs a
// longer start.
func (p *Projector) loadStore(ctx context.Context) error {
	if p.cfg.Store == nil {
		return nil
	}
	err := p.load(ctx)
	if err != nil && !errors.Is(err, events.ErrUnavailable) {
		p.log.Error("the snapshots cannot be read; the log is read from its start", "error", err)
		return nil
	}
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
		before := p.position()
		err := do(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil || fatal(err):
			return err
		}
		if p.position() > before {
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
	if err := p.compare(info); err != nil {
		return err
	}
	if seen := p.seen(); seen.Position >= info.First {
		if err := p.recognize(ctx, seen); err != nil {
			return p.advise(err)
		}
	}
	if err := p.recognizeLadder(ctx, info); err != nil {
		return err
	}
	return p.checkInfo(info, asked)
}

// seen is the mark of the last event folded.
func (p *Projector) seen() events.Mark {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.views.Mark()
}

// from is where to begin to read at position, in the log that the views are of.
func (p *Projector) from(position uint64) events.From {
	return events.From{Position: position, Seen: p.seen()}
}

// between is where to begin and to end to read positions that the views are past.
func (p *Projector) between(first, last uint64) events.From {
	return events.From{Position: first, Seen: p.seen(), Through: last}
}

// recognize makes sure that the log has an event where it was when the views, or a checkpoint, were at it. Info cannot tell:
// a log that was restored from a backup calls itself what it was called, and is longer than the backup soon.
func (p *Projector) recognize(ctx context.Context, seen events.Mark) error {
	one := events.From{Position: seen.Position, Seen: seen, Through: seen.Position}
	for _, err := range p.cfg.Log.Subscribe(ctx, events.Filter{}, one) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			return nil
		}
		return err
	}
	return errSubscription
}

// errSubscription: it ended without an error, as it does with its context.
var errSubscription = errors.New("the subscription ended by itself")

// asking is when the log was asked about itself, and where the views were then: the fold may overtake the answer.
type asking struct {
	at       time.Time
	position uint64
}

func (p *Projector) ask() asking { return asking{p.cfg.Now(), p.position()} }

// checkInfo compares what the log says of itself with the views, and remembers it.
func (p *Projector) checkInfo(info events.Info, asked asking) error {
	if err := p.compare(info); err != nil {
		return err
	}
	if info.Last < asked.position {
		return fmt.Errorf("%w: it says that it ends at position %d, the views are at %d", events.ErrUnavailable, info.Last, asked.position)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.identity = info.Identity
	p.pulse.answered(info.Last, asked.at)
	if p.pulse.level(p.views.Position()) {
		p.unshowLocked()
	}
	return nil
}

// compare compares what the log says of itself with the views. It does not judge by where the log ends: a leader that has just
// been chosen may not have caught up. The log's subscriptions tell that from a log that was restored.
func (p *Projector) compare(info events.Info) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	position := p.views.Position()
	switch {
	case info.Cluster != p.cfg.Cluster:
		return fmt.Errorf("%w: it is the log of cluster %q, not of %q", events.ErrReplaced, info.Cluster, p.cfg.Cluster)
	case p.identity != "" && info.Identity != p.identity:
		return fmt.Errorf("%w: views at position %d are of log %s, found log %s; %s",
			events.ErrReplaced, position, p.identity, info.Identity, p.advice())
	case info.First > position+1:
		return fmt.Errorf("%w: the log starts at position %d, position %d is wanted",
			events.ErrIncomplete, info.First, position+1)
	}
	return nil
}

// info is what the log says of itself, and that it reaches at least as far as the views: a leader that has just been chosen may
// not have caught up with what was read.
func (p *Projector) info(ctx context.Context) (events.Info, error) {
	info, err := p.cfg.Log.Info(ctx)
	if err == nil {
		info.Last = max(info.Last, p.position())
	}
	return info, err
}

// advise adds to an error that says that the log was replaced what to do about it.
func (p *Projector) advise(err error) error {
	if errors.Is(err, events.ErrReplaced) {
		return fmt.Errorf("%w; %s", err, p.advice())
	}
	return err
}

func (p *Projector) advice() string {
	if p.store == nil {
		return "start again to read the new log from its beginning"
	}
	return fmt.Sprintf("if that is as it should be, move %s away and start again", p.store)
}

// follow reads the log from behind the views' position for as long as it can. It never returns nil before ctx ends.
func (p *Projector) follow(ctx context.Context) error {
	due, from := p.newSchedule(), p.from(p.position()+1)
	subscribe := func(ctx context.Context) iter.Seq2[events.Recorded, error] {
		return p.cfg.Log.Subscribe(ctx, events.Filter{}, from)
	}
	for list := range readAhead(ctx, subscribe) {
		for len(list) > 0 {
			n, err := p.take(ctx, list[:min(takeMax, len(list))], due.climb.next)
			if err != nil {
				return p.advise(err)
			}
			list = list[n:]
			if p.store != nil {
				due.tick()
			}
			p.show()
		}
	}
	return errSubscription
}

// takeMax is how many events are folded before readers have their turn: a fraction of a millisecond.
const takeMax = 64

// take puts what the subscription yielded into the views, none behind the position last where it comes to that, and returns how
// many it is done with. Unless ctx has ended: then they will be read again.
func (p *Projector) take(ctx context.Context, list []delivery, last uint64) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	for more := true; more && n < len(list) && err == nil; n++ {
		err = p.foldLocked(&list[n])
		more = p.views.Position() != last
	}
	if p.pulse.level(p.views.Position()) {
		p.unshowLocked()
	}
	p.waiting.reach(p.views.Position())
	return n, err
}

func (p *Projector) foldLocked(d *delivery) error {
	if d.err == nil {
		outcome, ok := p.views.Advance(&d.rec)
		switch {
		case !ok: // read twice
			return nil
		case p.passingLocked():
			p.recent.reset(d.rec.Position)
		default:
			p.recent.add(&d.rec, outcome)
		}
		p.folded++
		return nil
	}
	_, before := p.views.Rejected()
	if err := fold(p.views, d); err != nil {
		return err
	}
	if _, now := p.views.Rejected(); now > before {
		p.log.Error("event cannot be read; its node is parked", "error", d.err)
	}
	return nil
}

// stop leaves the views as they are and tells everybody who waits for more.
func (p *Projector) stop(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = ErrStopped
	p.unshowLocked()
	if err != nil {
		p.stopped = fmt.Errorf("%w: %w", ErrStopped, err)
		p.log.Error("projector stopped", "position", p.views.Position(), "error", err)
	}
	p.waiting.end()
}
