package projections

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"rollcall/events"
)

// ErrNotParked says that no unreadable event is held against a node, so there is nothing to retry or to skip.
var ErrNotParked = errors.New("the node is not parked")

// Parked says that events about a node are in the log and cannot be read, so that what its row shows may not be all there
// is to know: the node may have left since, or changed its tags. Nobody is sent there (see Registry.Select) until somebody
// says that those events shall be passed over (Views.SkipThrough), or a version that can read them folds the log.
//
// The row itself follows the log as everybody's does, by what can be read: the members decide by the same log and pass over
// what they cannot read, and a member that crashed is failed in every view, parked or not (invariant I12).
type Parked struct {
	Position uint64       // of the first event that cannot be read, of those not passed over
	Last     uint64       // of the last one
	Events   uint64       // that cannot be read, at least 1
	Reason   string       // for the first; at most 200 bytes
	State    events.State // of the node when the first one came
}

// and is p with another unreadable event.
func (p *Parked) and(rej Rejected, state events.State) *Parked {
	if p == nil {
		return &Parked{Position: rej.Position, Last: rej.Position, Events: 1, Reason: rej.Reason, State: state}
	}
	next := *p
	next.Last, next.Events = rej.Position, p.Events+1
	return &next
}

// reject counts an unreadable event about a node, and parks the node unless the event is passed over. A node without a row gets
// one by its own words alone: anybody may have spoken of an id that nobody ever had (invariant I15).
func (r *Registry) reject(rej Rejected, own bool) {
	if _, ok := r.Node(rej.Node); !ok && !own {
		return
	}
	place := r.rows.ref(rej.Node)
	next := &Node{Node: events.Node{ID: rej.Node}, tags: writtenTags(nil)}
	if *place != nil {
		*next = **place
	}
	next.Rejected++
	r.unread[rej.Node] = r.unread[rej.Node].and(rej, next.State)
	if rej.Position > r.skipped[rej.Node] {
		next.Parked = next.Parked.and(rej, next.State)
	}
	*place = next
}

// SkipThrough passes over what cannot be read about node up to position, in what was folded and in what will be. It reports
// whether the row was parked and is no longer. It is no event of the log but a decision of whoever runs this fold: it is
// kept with the state and is no part of what Sums is taken of.
func (v *Views) SkipThrough(node string, position uint64) (released bool) {
	r := v.Registry
	r.skipped[node] = max(r.skipped[node], position)
	n, ok := r.Node(node)
	if !ok || n.Parked == nil || n.Parked.Last > position {
		return false
	}
	next := *n
	next.Parked = nil
	*r.rows.ref(node) = &next
	return true
}

// Skip passes over everything that keeps node parked now. It fails with ErrNotParked.
func (v *Views) Skip(node string) error {
	n, ok := v.Registry.Node(node)
	if !ok || n.Parked == nil {
		return fmt.Errorf("%w: %.80q", ErrNotParked, node)
	}
	v.SkipThrough(node, n.Parked.Last)
	return nil
}

// Skipped says up to which position unreadable events are passed over, by node. The map is the caller's.
func (v *Views) Skipped() map[string]uint64 { return maps.Clone(v.Registry.skipped) }

// Parked returns the parked nodes, by id. The slice is the caller's.
func (r *Registry) Parked() (list []*Node) {
	for _, id := range slices.Sorted(maps.Keys(r.unread)) {
		if n, _ := r.Node(id); n.Parked != nil {
			list = append(list, n)
		}
	}
	return list
}

func (p *Parked) encode(w *writer) {
	w.uint(p.Position)
	w.uint(p.Last)
	w.uint(p.Events)
	w.string(p.Reason)
	w.byte(byte(p.State))
}

func decodeParked(rd *reader) *Parked {
	return &Parked{
		Position: rd.uint(), Last: rd.uint(), Events: rd.uint(), Reason: rd.string(), State: events.State(rd.byte()),
	}
}

// encodeSkips writes what was passed over, and what keeps those nodes parked since.
func (r *Registry) encodeSkips(w *writer) {
	w.uint(uint64(len(r.skipped)))
	for _, id := range slices.Sorted(maps.Keys(r.skipped)) {
		w.string(id)
		w.uint(r.skipped[id])
		if n, ok := r.Node(id); !ok || n.Parked == nil {
			w.byte(0)
			continue
		} else {
			w.byte(1)
			n.Parked.encode(w)
		}
	}
}

func (r *Registry) decodeSkips(rd *reader) {
	for range rd.count() {
		id, position := rd.shared(), rd.uint()
		var parked *Parked
		if rd.byte() == 1 {
			parked = decodeParked(rd)
		}
		n, ok := r.Node(id)
		if rd.err == nil && parked != nil && (!ok || n.Rejected == 0) {
			rd.fail("a node parked for nothing")
		}
		if rd.err != nil {
			return
		}
		r.skipped[id] = position
		if ok {
			n.Parked = parked // nobody else has seen n yet
		}
	}
}
