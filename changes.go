package rollcall

import (
	"context"
	"iter"

	"rollcall/events"
)

// changesMax is how many changes wait for a slow reader of [Replica.Changes]; further ones are counted and lost to it.
const changesMax = 1024

// Change is an event that changed a node of a replica: its state, incarnation, address or tags. One that carries Missed alone,
// with an Event at position 0, says that the newest changes were lost.
type Change struct {
	Event  events.Recorded
	Before events.Node // State Unknown when it was not on the roll
	After  events.Node
	Missed uint64 // changes that this reader lost before this one, because it read too slowly: read the roll again
}

// follower is one reader of changes.
type follower struct {
	queue  chan Change
	missed uint64 // under the replica's lock
}

// offer hands c over, or counts it as missed. The replica's lock is held.
func (f *follower) offer(c Change) {
	c.Missed = f.missed
	select {
	case f.queue <- c:
		f.missed = 0
	default:
		f.missed++
	}
}

// Changes yields every change from this call on, in the order of the log, until ctx ends, the loop breaks or the replica reads
// no more. It is to be ranged over once. Who reads the roll after this call and then ranges misses nothing in between. A
// reader that falls back by more than 1,024 changes loses some, and the next one it gets says how many; when nothing follows,
// that comes as a Change of its own. Nobody waits for it. End ctx where the sequence is not ranged over to its end.
func (r *Replica) Changes(ctx context.Context) iter.Seq[Change] {
	f := &follower{queue: make(chan Change, changesMax)}
	r.mu.Lock()
	if r.err == nil {
		r.followers[f] = struct{}{}
	} else {
		close(f.queue)
	}
	r.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { r.forget(f) })
	return func(yield func(Change) bool) {
		defer r.forget(f)
		defer stop()
		for open := true; open; {
			var c Change
			select {
			case c, open = <-f.queue:
			case <-ctx.Done():
				return
			}
			if ctx.Err() != nil || open && !yield(c) {
				return
			}
			if missed := r.lost(f); missed > 0 && !yield(Change{Missed: missed}) {
				return
			}
		}
	}
}

// lost takes how many changes f has missed since the last one that waits for it; 0 while one waits.
func (r *Replica) lost(f *follower) (missed uint64) {
	if len(f.queue) > 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(f.queue) == 0 {
		missed, f.missed = f.missed, 0
	}
	return missed
}

func (r *Replica) forget(f *follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.followers, f)
}
