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
			if d.reason != "" { // before it is gone, so that every entry's end can be told
				r.logger.Debug("not to be said", "entry", seq, "event", ev.ID, "dropped", d.reason)
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
