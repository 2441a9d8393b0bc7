package events

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"
)

// Node is what the log says about one node at a position.
type Node struct {
	ID            string
	State         State
	Incarnation   uint64
	Address       string
	Tags          map[string]string // shared, never written to
	Since         time.Time         // observed time of the event that brought the state; of the last join for a live node
	SincePosition uint64            // and its position
	LastPosition  uint64            // newest event about the node, whatever it did: the expectation of the next append; 0: never joined
	Accusers      []string          // distinct accusers of this incarnation in log order; kept with a failed verdict; shared
}

// Roll is the fold of a whole log: the one legal history of every node (invariants I5 to I8). It is a pure function of
// the events applied: no clock, no I/O. It is not safe for concurrent use.
//
// It keeps one [Node] for every id that ever joined, and none for an id that only others speak of, or that never got
// further than words a log refuses: so it grows with the identities that were given out, whatever a member writes (I15).
// What the log says of such an id changes nothing and leaves no row; the position that an append about it must expect is the
// log's to tell (Log.Last).
type Roll struct {
	cluster  string
	nodes    []Node         // in the order in which they came to be known
	number   map[string]int // of each node, its place there
	live     int
	position uint64
}

// NewRoll returns the roll of an empty log.
func NewRoll(cluster string) *Roll { return &Roll{cluster: cluster, number: make(map[string]int)} }

// Apply folds one event. Positions must rise; a position at or below Position panics. An event of a group moves the
// position and nothing else.
func (r *Roll) Apply(rec Recorded) Outcome {
	_, out := r.Advance(&rec)
	return out
}

// Advance is Apply, and returns besides the number of the event's node, see At; -1 for an event of a group or of another
// cluster, and for one of a node that never joined.
func (r *Roll) Advance(rec *Recorded) (number int, out Outcome) {
	if rec.Position <= r.position {
		panic(fmt.Sprintf("events: position %d applied after %d: a log is read in order, each event once", rec.Position, r.position))
	}
	r.position = rec.Position
	if rec.Group != "" {
		return -1, ofGroup
	}
	if rec.Cluster != r.cluster {
		return -1, r.foreign(rec.Node)
	}
	cur, number := Node{ID: rec.Node}, -1
	if i, known := r.number[rec.Node]; known {
		cur, number = r.nodes[i], i
	}
	next, out := r.step(cur, &rec.Event, rec.Mismatch)
	switch {
	case next.State == Unknown:
		return -1, out // it never joined
	case number < 0:
		number = r.add(rec.Node)
	}
	next.LastPosition = rec.Position
	if out.Result == Applied && (out.After != out.Before || rec.Kind == Joined) {
		next.Since, next.SincePosition = rec.Time.UTC(), rec.Position
	}
	if out.Before.Live() {
		r.live--
	}
	if out.After.Live() {
		r.live++
	}
	r.nodes[number] = next
	return number, out
}

// add makes room for a node that joins.
func (r *Roll) add(id string) (number int) {
	number = len(r.nodes)
	r.nodes = append(r.nodes, Node{ID: id})
	r.number[id] = number
	return number
}

// At returns what the log says about the node of a number. Nodes are numbered from 0, in the order in which a roll came to know them,
// so the same node may have another number in another roll. It is read only, and only until the next event.
func (r *Roll) At(number int) *Node { return &r.nodes[number] }

// Judge says what Apply would do with ev if it were next, and changes nothing.
func (r *Roll) Judge(ev Event) Outcome {
	if ev.Group != "" {
		return ofGroup
	}
	if ev.Cluster != r.cluster {
		return r.foreign(ev.Node)
	}
	n, _ := r.Node(ev.Node)
	_, out := r.step(n, &ev, "")
	return out
}

// ofGroup is what an event of a group does to nodes.
var ofGroup = Outcome{Result: Evident, Reason: reasonGroup}

// foreign refuses an event of another cluster, which says nothing about the node of this one that has the same id.
func (r *Roll) foreign(id string) Outcome {
	n, _ := r.Node(id)
	return Outcome{Result: Refused, Reason: reasonCluster, Before: n.State, After: n.State}
}

// Node returns what the log says about id, and whether it ever joined.
func (r *Roll) Node(id string) (Node, bool) {
	if n := r.find(id); n != nil {
		return *n, true
	}
	return Node{ID: id}, false
}

// find returns the node called id; nil when it never joined.
func (r *Roll) find(id string) *Node {
	if i, known := r.number[id]; known {
		return &r.nodes[i]
	}
	return nil
}

// Nodes yields every node that ever joined, by id. The roll must not change meanwhile.
func (r *Roll) Nodes() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for _, id := range slices.Sorted(maps.Keys(r.number)) {
			if !yield(*r.find(id)) {
				return
			}
		}
	}
}

// Len is the number of nodes that ever joined.
func (r *Roll) Len() int { return len(r.nodes) }

// Live is the number of nodes that are alive or suspect.
func (r *Roll) Live() int { return r.live }

// Position is that of the last event applied; 0 before the first.
func (r *Roll) Position() uint64 { return r.position }

// Cluster is the cluster whose log is folded.
func (r *Roll) Cluster() string { return r.cluster }
