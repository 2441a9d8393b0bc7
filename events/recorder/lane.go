package recorder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/events/outbox"
)

// lane is what the outbox holds about one node, oldest first. At most one goroutine works on it, so that the node has one
// append in flight and its drafts keep their order; the goroutine ends, and the lane with it, when nothing is left.
type lane struct {
	node    string
	queue   []uint64      // sequences in the outbox; under the recorder's lock
	running bool          // under the recorder's lock
	newest  uint64        // newest event about the node that was read or that the log told of; under the recorder's lock
	wake    chan struct{} // the feed has read something about the node; capacity 1
}

// relay gives every lane its goroutine, until ctx ends.
func (r *Recorder) relay(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		if err := r.load(); err != nil {
			return err
		}
		for _, l := range r.idle() {
			wg.Go(func() { r.work(ctx, l) })
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// load puts the outbox's new entries into their lanes.
func (r *Recorder) load() error {
	for {
		entries, err := r.cfg.Outbox.Pending(r.loaded, loadBatch)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return nil
		}
		for _, e := range entries {
			r.enqueue(e)
			r.loaded = e.Seq
		}
	}
}

func (r *Recorder) enqueue(e outbox.Entry) {
	r.logger.Debug("to be said", "entry", e.Seq, "event", e.Event.ID, "kind", e.Event.Kind, "node", e.Event.Node,
		"incarnation", e.Event.Incarnation)
	if e.Event.Author != r.self || e.Event.Cluster != r.cfg.Cluster {
		r.putAside(e.Seq, fmt.Sprintf("by %s in cluster %s, not by %s in %s: the outbox is another member's",
			e.Event.Author, e.Event.Cluster, r.self, r.cfg.Cluster))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.landing[e.Event.ID] != nil {
		r.cfg.Outbox.Done(e.Seq) // kept twice: a Put that failed may have been flushed nevertheless
		return
	}
	r.landing[e.Event.ID] = new(landing)
	l := r.lanes[e.Event.Node]
	if l == nil {
		l = &lane{node: e.Event.Node, wake: make(chan struct{}, 1)}
		r.lanes[l.node] = l
	}
	l.queue = append(l.queue, e.Seq)
}

// idle returns the lanes without a goroutine, which the caller must give one.
func (r *Recorder) idle() []*lane {
	r.mu.Lock()
	defer r.mu.Unlock()
	var idle []*lane
	for _, l := range r.lanes {
		if !l.running {
			l.running = true
			idle = append(idle, l)
		}
	}
	return idle
}

// work settles what is in l, in order, until nothing is left or ctx ends.
func (r *Recorder) work(ctx context.Context, l *lane) {
	for {
		seq, more := r.head(l)
		if !more {
			return
		}
		if err := r.settle(ctx, l, seq); err != nil {
			r.mu.Lock()
			l.running = false // another Run goes on from here
			r.mu.Unlock()
			return
		}
		r.mu.Lock()
		l.queue = l.queue[1:]
		r.mu.Unlock()
	}
}

// head returns the oldest of l, or removes l when there is none.
func (r *Recorder) head(l *lane) (uint64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(l.queue) > 0 {
		return l.queue[0], true
	}
	delete(r.lanes, l.node)
	if len(r.lanes) == 0 {
		r.gate.silent()
	}
	if own := r.lanes[r.self]; own != nil && len(r.lanes) == 1 {
		signal(own.wake) // our left may be waiting for the others
	}
	return 0, false
}

// settle brings one entry of the outbox to its end. It returns an error only when ctx ends or the outbox was closed.
func (r *Recorder) settle(ctx context.Context, l *lane, seq uint64) error {
	entry, err := r.cfg.Outbox.Get(seq)
	switch {
	case errors.Is(err, outbox.ErrClosed):
		return err
	case err != nil:
		r.putAside(seq, err.Error())
		return ctx.Err()
	}
	ev := entry.Event
	var waited time.Duration
	for {
		if err := r.gate.pass(ctx); err != nil {
			return err
		}
		r.confirm(ev.ID)
		d := r.decide(ev, waited)
		switch d.action {
		case actWait:
			start := time.Now()
			if err := l.wait(ctx, jitter(recheckDelay)); err != nil {
				return err
			}
			waited += time.Since(start)
		case actRenew:
			ev = r.renew(seq, ev)
			d.count.add()
			if err := l.wait(ctx, jitter(recheckDelay)); err != nil {
				return err
			}
		case actAppend, actDerive:
			err := r.say(ctx, l, d)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, events.ErrDenied), errors.Is(err, events.ErrInvalid):
				r.counts.denied.add()
				r.finish(ev.ID, func() { r.putAside(seq, err.Error()) })
				return nil
			case errors.Is(err, events.ErrTaken):
				r.counts.renewed.add()
				ev = r.renew(seq, ev)
			case d.action == actDerive:
				ev = r.renew(seq, ev) // an author's ids rise in the order in which it speaks
			}
		case actAside:
			r.counts.refused.add()
			r.finish(ev.ID, func() { r.putAside(seq, d.reason) })
			return nil
		case actDone:
			d.count.add()
			if d.stale > 0 && r.cfg.OnStale != nil {
				r.cfg.OnStale(d.stale)
			}
			r.finish(ev.ID, func() { r.cfg.Outbox.Done(seq) })
			return nil
		}
	}
}

// finish lets go of a draft and of its entry.
func (r *Recorder) finish(id string, remove func()) {
	remove()
	r.disregard(id)
}

// disregard ends the search for an event of ours in the log.
func (r *Recorder) disregard(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.landing, id)
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

// renew gives the entry seq another id: the log holds the old one for ever, or a younger one must come before it. When the
// disk refuses, the old one stays and is decided again.
func (r *Recorder) renew(seq uint64, ev events.Event) events.Event {
	old := ev.ID
	ev.ID = events.NewID()
	r.mu.Lock()
	r.landing[ev.ID] = new(landing)
	r.mu.Unlock()
	drop := old
	if err := r.cfg.Outbox.Replace(seq, ev); err != nil {
		r.logger.Warn("a verdict is to be said again but cannot be kept", "node", ev.Node, "reason", err)
		drop, ev.ID = ev.ID, old
	} else {
		r.logger.Debug("to be said under another id", "entry", seq, "event", ev.ID, "before", old)
	}
	r.disregard(drop)
	return ev
}

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

// wait returns when the feed has read something about the node, after d, or with the context's error.
func (l *lane) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.wake:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// putAside takes an entry out of the way. A disk that refuses leaves it in the file; the next start finds it there.
func (r *Recorder) putAside(seq uint64, reason string) {
	if err := r.cfg.Outbox.SetAside(seq, reason); err != nil {
		r.logger.Error("an event is neither in the log nor put aside", "entry", seq, "reason", reason, "error", err)
	}
}
