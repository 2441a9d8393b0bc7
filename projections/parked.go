package projections

import (
	"errors"
	"fmt"
	"maps"
)

// ErrNotParked says that a node's row follows the log, so there is nothing to retry or to skip.
var ErrNotParked = errors.New("the node is not parked")

// Parked says why a node's row stands still: an event about the node is in the log and cannot be read, so what the node is
// since then is not known. The row shows what it was before. Later events about the node are folded behind the row, and
// take their place at once when somebody says that the unreadable event shall be passed over (Views.SkipThrough).
//
// Only the row waits. What the log says of other nodes goes on, also where this node accuses them or is a member of their
// quorum: the members decide by the same log and pass over what they cannot read.
type Parked struct {
	Position uint64 // of the first event that cannot be read
	Last     uint64 // of the last one
	Events   uint64 // that cannot be read, at least 1
	Waiting  uint64 // events folded behind the row
	Reason   string // for the first; at most 200 bytes
}

// park stops the row of n, or notes another unreadable event of a node that is parked already.
func (r *Registry) park(n *Node, rej Rejected) {
	row := *n
	if n.Parked == nil {
		behind := *n
		r.behind[n.ID] = &behind
		row.Parked = &Parked{Position: rej.Position, Last: rej.Position, Events: 1, Reason: rej.Reason}
	} else {
		parked := *n.Parked
		parked.Last, parked.Events = rej.Position, parked.Events+1
		row.Parked = &parked
		behind := *r.behind[n.ID]
		behind.Rejected = row.Rejected
		r.behind[n.ID] = &behind
	}
	r.put(&row)
}

// release lets a parked row catch up.
func (r *Registry) release(id string) {
	r.put(r.behind[id])
	delete(r.behind, id)
}

// SkipThrough passes over what cannot be read about node up to position, in what was folded and in what will be. It reports
// whether the row was parked and is no longer. It is no event of the log: two folds agree at a position when they skipped
// the same.
func (v *Views) SkipThrough(node string, position uint64) (released bool) {
	v.skipped[node] = max(v.skipped[node], position)
	n, ok := v.Registry.Node(node)
	if !ok || n.Parked == nil || n.Parked.Last > position {
		return false
	}
	v.Registry.release(node)
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
func (v *Views) Skipped() map[string]uint64 { return maps.Clone(v.skipped) }

// Parked returns the parked nodes, by id. The slice is the caller's.
func (r *Registry) Parked() (list []*Node) {
	if len(r.behind) == 0 {
		return nil
	}
	for _, n := range r.list {
		if n.Parked != nil {
			list = append(list, n)
		}
	}
	return list
}

func encodeParked(w *writer, p *Parked, behind *Node) {
	if p == nil {
		w.byte(0)
		return
	}
	w.byte(1)
	w.uint(p.Position)
	w.uint(p.Last)
	w.uint(p.Events)
	w.uint(p.Waiting)
	w.string(p.Reason)
	encodeRow(w, behind)
}

func decodeParked(rd *reader) (p *Parked, behind *Node) {
	switch rd.byte() {
	case 0:
		return nil, nil
	case 1:
		p = &Parked{Position: rd.uint(), Last: rd.uint(), Events: rd.uint(), Waiting: rd.uint(), Reason: rd.string()}
		return p, decodeRow(rd)
	default:
		rd.fail("neither parked nor not")
		return nil, nil
	}
}
