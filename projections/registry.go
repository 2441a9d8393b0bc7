package projections

import (
	"encoding/json"
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

	Rejected uint64 // events about the node that could not be read, and so are missing from all the above
}

// Registry says, for every node the log ever named, in which state it is, since when, and by whose evidence.
type Registry struct {
	byID map[string]*Node
	list []*Node // the same, by rising id
}

const registryVersion = 1

func newRegistry() *Registry { return &Registry{byID: make(map[string]*Node)} }

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
	if before, ok := r.Node(step.Recorded.Node); ok {
		next.Kind, next.By, next.Evidence, next.Rejected = before.Kind, before.By, before.Evidence, before.Rejected
	}
	if next.SincePosition == step.Position {
		next.Kind, next.By, next.Evidence = step.Kind, step.Author, step.Evidence
	}
	r.put(&next)
}

// reject counts an unreadable event about id.
func (r *Registry) reject(id string) {
	next := Node{Node: events.Node{ID: id}}
	if before, ok := r.Node(id); ok {
		next = *before
	}
	next.Rejected++
	r.put(&next)
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
		encodeNode(w, &n.Node)
		w.string(string(n.Kind))
		w.string(n.By)
		w.bytes(n.Evidence)
		w.uint(n.Rejected)
	}
}

func decodeRegistry(rd *reader) *Registry {
	r := newRegistry()
	n := rd.count()
	r.list = make([]*Node, 0, n)
	for range n {
		node := &Node{Node: decodeNode(rd)}
		node.Kind = events.Kind(rd.shared())
		node.By = rd.shared()
		node.Evidence = rd.bytes()
		node.Rejected = rd.uint()
		if len(r.list) > 0 && r.list[len(r.list)-1].ID >= node.ID {
			rd.fail("nodes out of order")
		}
		if rd.err != nil {
			return r
		}
		r.byID[node.ID] = node
		r.list = append(r.list, node)
	}
	return r
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
