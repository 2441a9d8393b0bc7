package swim

// ringsMax bounds the rings; meshFactor rings' worth of members is observed by everybody instead.
const (
	ringsMax   = 16
	meshFactor = 2
)

// ring is one pseudo-random order of all live members, of which only the own successor is kept. Orders are never stored:
// a newcomer is compared with the successor, and when the successor goes the next is searched.
type ring struct {
	salt      uint64
	successor int32
	distance  uint64 // from this member to its successor, clockwise
}

func (r *ring) place(hash uint64) uint64 { return mix(hash + r.salt) }

// closer reports whether a member at distance d is nearer than the present successor; ids break a tie of distances.
func (n *Node) closer(r *ring, m *member, d uint64) bool {
	if r.successor == noRef || d != r.distance {
		return r.successor == noRef || d < r.distance
	}
	return m.id < n.members[r.successor].id
}

// mesh reports whether the cluster is so small that everybody observes everybody: a full mesh then has no more
// connections than the rings would.
func (n *Node) mesh() bool { return len(n.live)-1 <= meshFactor*n.cfg.Rings }

// ringJoin takes in a member that became live.
func (n *Node) ringJoin(m *member) {
	if m.ref == selfRef {
		return
	}
	if n.cfg.Strategy == RoundRobin {
		n.orderJoin(m.ref)
		return
	}
	n.edgesStale = true
	self := n.self.hash
	for i := range n.rings {
		r := &n.rings[i]
		if d := r.place(m.hash) - r.place(self); n.closer(r, m, d) {
			r.successor, r.distance = m.ref, d
		}
	}
}

// ringLeave lets go of a member that is live no more.
func (n *Node) ringLeave(m *member) {
	n.edgesStale = n.cfg.Strategy == RingObservers
	for i := range n.rings {
		r := &n.rings[i]
		if r.successor != m.ref {
			continue
		}
		r.successor = noRef
		start := r.place(n.self.hash)
		for _, ref := range n.live {
			if ref == selfRef {
				continue
			}
			c := n.members[ref]
			if d := r.place(c.hash) - start; n.closer(r, c, d) {
				r.successor, r.distance = ref, d
			}
		}
	}
}

// refreshEdges makes the set of regularly probed members follow the rings. It runs once at the end of a step in which
// the live set changed.
func (n *Node) refreshEdges() {
	n.edgesStale = false
	n.edgeMark++
	mark := func(ref int32) {
		e := n.edgeOf(n.members[ref])
		if e.mark == n.edgeMark {
			return
		}
		e.mark = n.edgeMark
		if !e.observed {
			e.observed = true
			// A new edge is probed soon, and not by all its observers at once.
			soon := n.now + n.jitter(newEdgeDelay)
			e.timer = n.timers.arm(timerEdge, ref, soon)
		}
		n.next = append(n.next, ref)
	}
	n.next = n.next[:0]
	if n.mesh() {
		for _, ref := range n.live {
			if ref != selfRef {
				mark(ref)
			}
		}
	} else {
		for i := range n.rings {
			if ref := n.rings[i].successor; ref != noRef {
				mark(ref)
			}
		}
	}
	for _, ref := range n.observed {
		if m := n.members[ref]; m != nil && m.edge != nil && m.edge.mark != n.edgeMark {
			n.unwatch(m)
		}
	}
	n.observed, n.next = n.next, n.observed
}

// observersOf collects the live members other than this one that observe m: its predecessors on the rings, or everybody
// in a mesh. The result is valid until the next call.
func (n *Node) observersOf(m *member) []int32 {
	out := n.observers[:0]
	if n.mesh() {
		for _, ref := range n.live {
			if ref != selfRef && ref != m.ref {
				out = append(out, ref)
			}
		}
		n.observers = out
		return out
	}
	for i := range n.rings {
		r := &n.rings[i]
		end := r.place(m.hash)
		best, distance := noRef, uint64(0)
		for _, ref := range n.live {
			c := n.members[ref]
			if ref == m.ref {
				continue
			}
			d := end - r.place(c.hash)
			if best == noRef || d < distance || d == distance && c.id < n.members[best].id {
				best, distance = ref, d
			}
		}
		if best != noRef && best != selfRef && !contains(out, best) {
			out = append(out, best)
		}
	}
	n.observers = out
	return out
}

func contains(refs []int32, ref int32) bool {
	for _, r := range refs {
		if r == ref {
			return true
		}
	}
	return false
}
