package rollcall

import (
	"context"
	"iter"

	"rollcall/events"
)

// changesMax is how many changes wait for a slow reader of [Replica.Changes]; further ones are counted and lost to it.
const changesMax = 1024

// Change is an event that changed a node of a replica: its state, incarnation, address or tags.
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
// reader that falls back by more than 1,024 changes loses some, and the next one it gets says how many; nobody waits for
// it. End ctx where the sequence is not ranged over to its end.
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
		for {
			select {
			case c, ok := <-f.queue:
				if !ok || ctx.Err() != nil || !yield(c) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (r *Replica) forget(f *follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.followers, f)
}
