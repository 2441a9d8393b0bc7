package swim

// ringsMax bounds the rings; meshFactor rings' worth of members is observed by everybody instead.
const (
	ringsMax   = 16
	meshFactor = 2
)

// ring is one pseudo-random order of all live members, of which only the own neighbours are kept: whom this member
// observes on it, and who observes this member. Orders are never stored: a newcomer is compared with the neighbours, and
// when one of them goes the next is searched.
type ring struct {
	salt uint64
	next neighbour // the successor: this member observes it
	prev neighbour // the predecessor: it observes this member
}

type neighbour struct {
	ref      int32
	distance uint64
}

func newRing(i int) ring {
	nobody := neighbour{ref: noRef}
	return ring{salt: mix(uint64(i) + 1), next: nobody, prev: nobody}
}

func (r *ring) place(hash uint64) uint64 { return mix(hash + r.salt) }

// offer takes m as the neighbour at distance d, if it is nearer than the present one; ids break a tie.
func (n *Node) offer(b *neighbour, m *member, d uint64) {
	if b.ref == noRef || d < b.distance || d == b.distance && m.id < n.members[b.ref].id {
		b.ref, b.distance = m.ref, d
	}
}

// meet offers m to both sides of a ring.
func (n *Node) meet(r *ring, m *member) {
	here, there := r.place(n.self.hash), r.place(m.hash)
	n.offer(&r.next, m, there-here)
	n.offer(&r.prev, m, here-there)
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
	for i := range n.rings {
		n.meet(&n.rings[i], m)
	}
}

// ringLeave lets go of a member that is live no more.
func (n *Node) ringLeave(m *member) {
	n.edgesStale = n.cfg.Strategy == RingObservers
	for i := range n.rings {
		r := &n.rings[i]
		if r.next.ref != m.ref && r.prev.ref != m.ref {
			continue
		}
		r.next.ref, r.prev.ref = noRef, noRef
		for _, ref := range n.live {
			if ref != selfRef {
				n.meet(r, n.members[ref])
			}
		}
	}
}

// refreshEdges makes the sets of observed members and of watchers follow the rings. It runs once at the end of a step in which
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
			if ref := n.rings[i].next.ref; ref != noRef {
				mark(ref)
			}
		}
	}
	for _, ref := range n.observed {
		if m := n.members[ref]; m != nil && m.edge != nil && m.edge.mark != n.edgeMark {
			m.edge.observed, m.edge.timer, m.edge.phi = false, 0, nil
			m.edge.forgetRhythm()
		}
	}
	n.observed, n.next = n.next, n.observed
	n.watchers = n.watchers[:0]
	for i := range n.rings {
		if ref := n.rings[i].prev.ref; ref != noRef && !contains(n.watchers, ref) {
			n.watchers = append(n.watchers, ref)
		}
	}
}

// observersOf collects the live members other than this one that observe m: its predecessors on the rings, or everybody in a
// mesh. In a larger round robin nobody does: each looks at it now and then. The result is valid until the next call.
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
	if n.cfg.Strategy == RoundRobin {
		return nil
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
