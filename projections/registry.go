package projections

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"rollcall/events"
)

// Node is what the registry knows about one node. A Node that was handed out is never written to again.
type Node struct {
	events.Node

	// Of the event that brought the state: its kind, who said it, and what was offered for it.
	Kind     events.Kind
	By       string
	Evidence json.RawMessage

	Rejected uint64  // events about the node that could not be read, and so are missing from all the above
	Parked   *Parked // why the row stands still; nil while it follows the log
}

// Registry says, for every node the log ever named, in which state it is, since when, and by whose evidence.
type Registry struct {
	byID   map[string]*Node
	list   []*Node          // the same, by rising id
	behind map[string]*Node // of the parked nodes: the row as it will be when it is released
}

const registryVersion = 2

func newRegistry() *Registry {
	return &Registry{byID: make(map[string]*Node), behind: make(map[string]*Node)}
}

// clone returns a registry that stays as it is while r goes on.
func (r *Registry) clone() *Registry {
	return &Registry{byID: maps.Clone(r.byID), list: slices.Clone(r.list), behind: maps.Clone(r.behind)}
}

// Len is the number of nodes.
func (r *Registry) Len() int { return len(r.list) }

// Node returns what is known about id.
func (r *Registry) Node(id string) (*Node, bool) {
	n, ok := r.byID[id]
	return n, ok
}

// Nodes returns every node, by id. The slice is the caller's.
func (r *Registry) Nodes() []*Node { return slices.Clone(r.list) }

func (r *Registry) apply(step *Step) {
	next := Node{Node: step.Node}
	before, ok := r.Node(step.Recorded.Node)
	var parked *Parked
	if ok && before.Parked != nil {
		copied := *before.Parked
		copied.Waiting++
		parked, before = &copied, r.behind[before.ID]
	}
	if ok {
		next.Kind, next.By, next.Evidence, next.Rejected = before.Kind, before.By, before.Evidence, before.Rejected
	}
	if next.SincePosition == step.Position {
		next.Kind, next.By, next.Evidence = step.Kind, step.Author, step.Evidence
	}
	if parked == nil {
		r.put(&next)
		return
	}
	r.behind[next.ID] = &next
	row := *r.byID[next.ID]
	row.Parked = parked
	r.put(&row)
}

// reject counts an unreadable event about a node, and parks the node unless the event is passed over.
func (r *Registry) reject(rej Rejected, passOver bool) {
	next := Node{Node: events.Node{ID: rej.Node}}
	if before, ok := r.Node(rej.Node); ok {
		next = *before
	}
	next.Rejected++
	if passOver {
		r.put(&next)
		return
	}
	r.park(&next, rej)
}

func (r *Registry) put(n *Node) {
	r.byID[n.ID] = n
	i, found := slices.BinarySearchFunc(r.list, n.ID, func(n *Node, id string) int { return strings.Compare(n.ID, id) })
	if found {
		r.list[i] = n
	} else {
		r.list = slices.Insert(r.list, i, n)
	}
}

func (r *Registry) encode(w *writer) {
	w.uint(uint64(len(r.list)))
	for _, n := range r.list {
		encodeRow(w, n)
		encodeParked(w, n.Parked, r.behind[n.ID])
		w.spill()
	}
}

func decodeRegistry(rd *reader) *Registry {
	r := newRegistry()
	n := rd.count()
	r.list = make([]*Node, 0, n)
	for range n {
		node := decodeRow(rd)
		parked, behind := decodeParked(rd)
		if len(r.list) > 0 && r.list[len(r.list)-1].ID >= node.ID {
			rd.fail("nodes out of order")
		}
		if behind != nil && behind.ID != node.ID {
			rd.fail("a parked node of two names")
		}
		if rd.err != nil {
			return r
		}
		if node.Parked = parked; parked != nil {
			r.behind[node.ID] = behind
		}
		r.byID[node.ID] = node
		r.list = append(r.list, node)
	}
	return r
}

func encodeRow(w *writer, n *Node) {
	encodeNode(w, &n.Node)
	w.string(string(n.Kind))
	w.string(n.By)
	w.bytes(n.Evidence)
	w.uint(n.Rejected)
}

func decodeRow(rd *reader) *Node {
	return &Node{
		Node: decodeNode(rd), Kind: events.Kind(rd.shared()), By: rd.shared(), Evidence: rd.bytes(), Rejected: rd.uint(),
	}
}

func encodeNode(w *writer, n *events.Node) {
	w.string(n.ID)
	w.byte(byte(n.State))
	w.uint(n.Incarnation)
	w.string(n.Address)
	w.tags(n.Tags)
	w.time(n.Since)
	w.uint(n.SincePosition)
	w.uint(n.LastPosition)
	w.strings(n.Accusers)
}

func decodeNode(rd *reader) events.Node {
	return events.Node{
		ID:            rd.shared(),
		State:         events.State(rd.byte()),
		Incarnation:   rd.uint(),
		Address:       rd.string(),
		Tags:          rd.tags(),
		Since:         rd.time(),
		SincePosition: rd.uint(),
		LastPosition:  rd.uint(),
		Accusers:      rd.strings(),
	}
}
