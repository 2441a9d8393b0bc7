package projections

import (
	"encoding/json"
	"maps"
	"reflect"
	"sync/atomic"

	"rollcall/events"
)

// Node is what the registry knows about one node. A Node that was handed out is never written to again.
type Node struct {
	events.Node

	// Of the event that brought the state: its kind, who said it, and what was offered for it.
	Kind     events.Kind
	By       string
	Evidence json.RawMessage

	Unreached []Unreached // who could not reach it of late, by id; see UnreachableFrom

	Rejected uint64  // events about the node that could not be read, and so are missing from all the above
	Parked   *Parked // the unreadable events that nobody has said to pass over; nil: there are none

	tags string // Tags as they are written down; empty: not yet
}

// Registry says, for every node the log ever named, in which state it is, since when, and by whose evidence.
type Registry struct {
	rows    table[*Node]
	unread  map[string]*Parked       // of each node with unreadable events: all of them, passed over or not
	skipped map[string]uint64        // by node: unreadable events up to this position are passed over
	tagged  atomic.Pointer[tagIndex] // nil until it is asked for: of several readers at a time each may make it
	asked   *atomic.Bool             // a copy was asked for its index and has none; shared with the copies
	frozen  bool
	scratch []byte // where tags are written
}

const registryVersion = 4

func newRegistry() *Registry {
	return &Registry{unread: make(map[string]*Parked), skipped: make(map[string]uint64), asked: new(atomic.Bool)}
}

// freeze returns a registry that stays as it is while r goes on, and is not written to itself.
func (r *Registry) freeze() *Registry {
	out := &Registry{
		rows: r.rows.clone(), unread: maps.Clone(r.unread), skipped: maps.Clone(r.skipped), asked: r.asked, frozen: true,
	}
	out.tagged.Store(r.frozenIndex())
	return out
}

// thaw returns a registry that goes on from r, which is frozen.
func (r *Registry) thaw() *Registry {
	out := newRegistry()
	out.rows, out.unread, out.skipped = r.rows.fork(nil), maps.Clone(r.unread), maps.Clone(r.skipped)
	return out
}

// Len is the number of nodes.
func (r *Registry) Len() int { return r.rows.rows }

// Node returns what is known about id.
func (r *Registry) Node(id string) (*Node, bool) { return r.rows.get(id) }

// Nodes returns every node, by id. The slice is the caller's.
func (r *Registry) Nodes() []*Node {
	list := make([]*Node, 0, r.rows.rows)
	for _, n := range r.rows.all() {
		list = append(list, n)
	}
	return list
}

func (r *Registry) apply(s *step) {
	place, row := r.rows.refBy(s.number, s.Node)
	next, before := &Node{Node: *s.node}, *place
	if before != nil {
		next.Kind, next.By, next.Evidence = before.Kind, before.By, before.Evidence
		next.Rejected, next.Parked = before.Rejected, before.Parked
		next.Unreached = unreachedAfter(before, s)
		next.tags = before.tags
	}
	if s.out.Result == events.Applied && s.SetsTags() { // a node's first event does
		r.tag(row, before, next)
		s.tags = next.tags
	}
	if next.SincePosition == s.Position {
		next.Kind, next.By, next.Evidence = s.Kind, s.Author, s.Evidence
	}
	*place = next
}

// tag writes down the tags of a node, where they are not what they were. They change seldom and are written with every checkpoint, so
// they are sorted when they are said.
func (r *Registry) tag(row uint32, before, next *Node) {
	if before != nil && before.tags != "" && sameMap(before.Tags, next.Tags) {
		return
	}
	w := writer{buf: r.scratch[:0]}
	w.tags(next.Tags)
	r.scratch = w.buf
	if string(w.buf) == next.tags {
		return
	}
	next.tags = string(w.buf)
	if index := r.tagged.Load(); index != nil {
		index.move(row, tagsOf(before), next.Tags)
	}
}

// sameMap reports whether a and b are one map, as they are where a decoder read the same tags twice.
func sameMap(a, b map[string]string) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// tagsOf are the tags of a node, which may be none yet.
func tagsOf(n *Node) map[string]string {
	if n == nil {
		return nil
	}
	return n.Tags
}

// nodes are the rows as a roll knows them: those that joined by an event that could be read.
func (r *Registry) nodes() []events.Node {
	list := make([]events.Node, 0, r.rows.rows)
	for _, n := range r.rows.all() {
		if n.LastPosition > 0 {
			list = append(list, n.Node)
		}
	}
	return list
}

// encode writes what the log says, and not what was passed over here: that is encodeSkips'.
func (r *Registry) encode(w *writer) {
	w.uint(uint64(r.rows.rows))
	for id, n := range r.rows.all() {
		encodeNode(w, n)
		w.string(string(n.Kind))
		w.string(n.By)
		w.bytes(n.Evidence)
		encodeUnreached(w, n.Unreached)
		w.uint(n.Rejected)
		if n.Rejected > 0 {
			r.unread[id].encode(w)
		}
		w.spill()
	}
}

func decodeRegistry(rd *reader) *Registry {
	r := newRegistry()
	nodes := rd.count()
	rd.expect(nodes)
	for range nodes {
		node, tags := decodeNode(rd)
		n := &Node{
			Node: node, tags: tags, Kind: events.Kind(rd.shared()), By: rd.shared(), Evidence: rd.bytes(),
			Unreached: decodeUnreached(rd), Rejected: rd.uint(),
		}
		if n.Rejected > 0 {
			n.Parked = decodeParked(rd)
			r.unread[n.ID] = n.Parked
		}
		if rd.err != nil {
			return r
		}
		if !r.rows.push(n.ID, n) {
			rd.fail("nodes out of order")
			return r
		}
	}
	return r
}

func writtenTags(tags map[string]string) string {
	w := writer{}
	w.tags(tags)
	return string(w.buf)
}

func encodeNode(w *writer, n *Node) {
	w.string(n.ID)
	w.byte(byte(n.State))
	w.uint(n.Incarnation)
	w.string(n.Address)
	w.buf = append(w.buf, n.tags...)
	w.time(n.Since)
	w.uint(n.SincePosition)
	w.uint(n.LastPosition)
	w.strings(n.Accusers)
}

// decodeNode returns a node, and its tags as they are written.
func decodeNode(rd *reader) (events.Node, string) {
	n := events.Node{ID: rd.shared(), State: events.State(rd.byte()), Incarnation: rd.uint(), Address: rd.string()}
	set := rd.tagSet()
	n.Tags = set.tags
	n.Since, n.SincePosition, n.LastPosition, n.Accusers = rd.time(), rd.uint(), rd.uint(), rd.strings()
	return n, set.written
}
