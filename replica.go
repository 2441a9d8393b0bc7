package rollcall

import (
	"cmp"
	"context"
	"time"

	"rollcall/events"
)

// Reading a replica. A node that never joined, of which the log only holds what others said, is not on the roll.

// Get returns the node called id, and whether it is on the roll. It does not allocate.
func (r *Replica) Get(id string) (events.Node, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n, _ := r.roll.Node(id)
	return n, n.State != events.Unknown
}

// All returns every node on the roll, by id: also those that failed or left.
func (r *Replica) All() []events.Node {
	return r.where(func(n events.Node) bool { return true })
}

// Alive returns the nodes that are alive, by id. A suspect is not among them.
func (r *Replica) Alive() []events.Node {
	return r.where(func(n events.Node) bool { return n.State == events.StateAlive })
}

// WithTag returns the nodes that are alive and carry this tag, by id.
func (r *Replica) WithTag(key, value string) []events.Node {
	return r.where(func(n events.Node) bool {
		v, ok := n.Tags[key]
		return n.State == events.StateAlive && ok && v == value
	})
}

func (r *Replica) where(wanted func(events.Node) bool) []events.Node {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []events.Node
	for n := range r.roll.Nodes() {
		if n.State != events.Unknown && wanted(n) {
			list = append(list, n)
		}
	}
	return list
}

// Position is that of the last event the replica holds; 0 before the first.
func (r *Replica) Position() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.position
}

// WaitFor returns when the replica holds the event at position, such as one that an append has just returned: who waits
// for what it wrote reads it. It fails with ctx's error, or with Err when the replica reads no more.
func (r *Replica) WaitFor(ctx context.Context, position uint64) error {
	for {
		r.mu.Lock()
		at, err := r.position, r.err
		if at < position && err == nil && r.moved == nil {
			r.moved = make(chan struct{})
		}
		moved := r.moved
		r.mu.Unlock()
		switch {
		case at >= position:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-moved:
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ReplicaStatus says how a replica stands.
type ReplicaStatus struct {
	Position   uint64    // of the last event held
	Behind     uint64    // events that the log held beyond it when it was last asked, at most a second ago
	Connected  bool      // the log answered when it was last asked
	AsOf       time.Time // the log held nothing then that the replica does not hold; its staleness is the time since, a second at best
	Unreadable uint64    // events that were passed over
	Err        error     // why nothing is read, for now or for good (see Err), or why the log does not answer; nil when all is well
}

// Status says how the replica stands now.
func (r *Replica) Status() ReplicaStatus {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := ReplicaStatus{
		Position: r.position, Connected: r.away == nil && r.err == nil, AsOf: r.asOf, Unreadable: r.unreadable, Err: r.err,
	}
	if s.Err == nil && time.Since(r.hindered) < hindranceKept {
		s.Err = r.hindrance
	}
	s.Err = cmp.Or(s.Err, r.away)
	if r.last > s.Position {
		s.Behind = r.last - s.Position
	}
	return s
}
