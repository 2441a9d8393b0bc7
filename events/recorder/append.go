package recorder

import (
	"context"
	"errors"

	"rollcall/events"
)

// say carries out a decision to append. What a draft builds on has no place in the outbox, and is looked for meanwhile only.
func (r *Recorder) say(ctx context.Context, l *lane, d decision) error {
	if d.action != actDerive {
		return r.append(ctx, l, d)
	}
	r.mu.Lock()
	r.landing[d.event.ID] = new(landing)
	r.mu.Unlock()
	defer r.disregard(d.event.ID)
	defer r.confirm(d.event.ID)
	return r.append(ctx, l, d)
}

// append brings one event to the log and waits until the feed has read what the log made of it. An error is the log's
// last word on this event under its id or the context's; nil says to look at the roll again.
func (r *Recorder) append(ctx context.Context, l *lane, d decision) error {
	position, err := r.send(ctx, d)
	var duplicate *events.DuplicateError
	var taken *events.TakenError
	switch {
	case err == nil:
		r.answered(d.event.ID)
		r.gate.answered()
		r.counts.appended.add()
		d.count.add()
		return r.awaitRead(ctx, l, position)
	case errors.As(err, &duplicate):
		r.gate.answered()
		r.counts.duplicates.add()
		return r.awaitPosition(ctx, duplicate.Position)
	case errors.As(err, &taken): // by somebody else, or by us, when this was said as another kind
		r.gate.answered()
		if waitErr := r.awaitPosition(ctx, taken.Position); waitErr != nil {
			return waitErr
		}
		if r.landed(d.event.ID) {
			return nil
		}
		return err
	case errors.Is(err, events.ErrConflict):
		r.gate.answered()
		r.counts.conflicts.add()
		return r.reread(ctx, l, d.expect)
	case errors.Is(err, events.ErrDenied), errors.Is(err, events.ErrInvalid):
		r.gate.answered()
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errHeld):
		return nil
	case errors.Is(err, events.ErrFull):
		r.gate.fail(err)
		return nil
	default: // ErrUnavailable, or what nobody foresaw: it may be stored
		r.unanswered(d)
		r.gate.fail(err)
		if err := r.gate.pass(ctx); err != nil {
			return err
		}
		return r.reread(ctx, l, d.expect)
	}
}

// unanswered notes that an event was sent and may be in the log.
func (r *Recorder) unanswered(d decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.landing[d.event.ID]; l != nil {
		l.unanswered, l.count = true, d.count
	}
}

// answered forgets that an event was sent before without an answer.
func (r *Recorder) answered(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.landing[id]; l != nil {
		l.unanswered = false
	}
}

// confirm counts an event of ours that was sent and not answered, if the feed has found it since: that is the answer.
func (r *Recorder) confirm(id string) {
	r.mu.Lock()
	l := r.landing[id]
	if l == nil || !l.found || !l.unanswered {
		r.mu.Unlock()
		return
	}
	l.unanswered = false
	count := l.count
	r.mu.Unlock()
	r.gate.answered()
	r.counts.appended.add()
	count.add()
}

// landed reports whether the feed has found our event with this id in the log.
func (r *Recorder) landed(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.landing[id]
	return l != nil && l.found
}

// errHeld: the log went away while the append waited for its turn; nothing was sent.
var errHeld = errors.New("held back")

// send is the append itself, one of at most InFlightMax.
func (r *Recorder) send(ctx context.Context, d decision) (uint64, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if !r.gate.isOpen() {
		return 0, errHeld
	}
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	return r.cfg.Log.Append(ctx, d.event, d.expect)
}

// reread returns when the feed has read past what the decision expected, as far as the log's leader goes. Most often the
// feed brings it before the leader needs to be asked.
func (r *Recorder) reread(ctx context.Context, l *lane, expected uint64) error {
	if err := l.wait(ctx, jitter(conflictDelay)); err != nil {
		return err
	}
	if r.last(l.node) > expected {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	rec, err := r.cfg.Log.Last(call, l.node)
	var unreadable *events.DecodeError
	switch {
	case err == nil:
		return r.behind(ctx, l, rec.Position)
	case errors.As(err, &unreadable):
		return r.behind(ctx, l, unreadable.Position)
	case errors.Is(err, events.ErrNotFound):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		r.gate.fail(err)
		return nil // the expectation still stands guard over the next attempt
	}
}

// behind notes that the newest event about l's node is at position, and returns when the feed has read it. The roll does not
// know the position of an event that nobody can read, or about a node that never joined.
func (r *Recorder) behind(ctx context.Context, l *lane, position uint64) error {
	if err := r.awaitRead(ctx, l, position); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l.newest = max(l.newest, position)
	return nil
}

// last is the position of the newest event about node that is known.
func (r *Recorder) last(node string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest(node)
}

// newest is last, for who holds the lock.
func (r *Recorder) newest(node string) uint64 {
	n, _ := r.roll.Node(node)
	if l := r.lanes[node]; l != nil {
		return max(n.LastPosition, l.newest)
	}
	return n.LastPosition
}

// awaitRead returns when the feed has read position, an event about l's node or one of which nobody can tell.
func (r *Recorder) awaitRead(ctx context.Context, l *lane, position uint64) error {
	for r.Position() < position {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
