package swim

import (
	"math"
	"net/netip"
	"time"
)

const (
	noRef   int32         = -1
	selfRef int32         = 0 // this member's own entry
	never   time.Duration = math.MinInt64 / 4
)

// viewMax bounds the members a view holds, live or not (I15). Past it, a newcomer takes the place of the member that has been failed or gone for longest, or
// is ignored while there is none.
const viewMax = 1 << 16

// leftKept is how long a member that left is remembered, so that late rumours about it find it final. Whoever learned of it from
// another's state remembers it for as long, and does not hand it on: with newcomers it would never be forgotten.
const leftKept = time.Hour

// member is one row of the view.
type member struct {
	id          ID
	place       place
	incarnation uint64
	state       State
	elector     bool // it counts, while members are missing together (partition)
	lost        bool // it was missing when the partition was declared
	hearsay     bool // it left before this view knew it; not told in a state exchange
	ref         int32
	live        int32         // place in Node.live; noRef when failed or left
	hash        uint64        // of the id
	since       time.Duration // when state was adopted
	heard       time.Duration // when it was last heard itself
	came        time.Duration // when it was first alive in this view, since it last left; never: it was not
	edge        *edge         // nil until it is probed
	tagged      *Tags         // nil: none
	suspicion   *suspicion    // while Suspect; kept with Failed for its accusers
}

func (m *member) claim() claim { return claim{m.incarnation, m.state} }

func (m *member) addr() netip.AddrPort { return m.place.addr() }

func (m *member) peer() Peer { return Peer{m.id, m.addr()} }

func (m *member) tags() Tags {
	if m.tagged == nil {
		return nil
	}
	return *m.tagged
}

func (m *member) setTags(t Tags) {
	m.tagged = nil
	if len(t) > 0 {
		m.tagged = &t
	}
}

// lookup finds a member by the id's bytes, without allocating.
func (n *Node) lookup(id []byte) *member {
	return n.row(findID(&n.refs, n.members, hashID(id), id))
}

func (n *Node) find(id ID) *member {
	return n.row(findID(&n.refs, n.members, hashID(id), id))
}

func (n *Node) row(ref int32) *member {
	if ref == noRef {
		return nil
	}
	return n.members[ref]
}

// add makes a row in no state yet; the caller sets one with setState. It returns nil when the view is full.
func (n *Node) add(id ID, addr netip.AddrPort) *member {
	m := &member{id: id, place: placeOf(addr), hash: hashID(id), live: noRef, heard: never, came: never}
	switch {
	case len(n.free) > 0:
		m.ref = n.free[len(n.free)-1]
		n.free = n.free[:len(n.free)-1]
		n.members[m.ref] = m
	case len(n.members) < viewMax:
		m.ref = int32(len(n.members))
		n.members = append(n.members, m)
	default:
		n.counters.ViewFull++
		old := n.oldestGone()
		if old == nil {
			return nil
		}
		n.forget(old)
		m.ref = n.free[len(n.free)-1]
		n.free = n.free[:len(n.free)-1]
		n.members[m.ref] = m
	}
	n.refs.put(n.members, m.ref)
	return m
}

// oldestGone is the row that a full view can do without best: of the failed and departed the one that has been so longest.
func (n *Node) oldestGone() *member {
	var old *member
	for _, m := range n.members {
		if m != nil && m.live == noRef && m.ref != selfRef && (old == nil || m.since < old.since) {
			old = m
		}
	}
	return old
}

// forget drops a row that is not live.
func (n *Node) forget(m *member) {
	n.abandonProbe(m)
	n.withdraw(m)
	n.queue.drop(m.ref)
	n.refs.drop(n.members, m.ref)
	n.members[m.ref] = nil
	n.free = append(n.free, m.ref)
	n.emit(Effect{Kind: EffectForget, Member: n.export(m)})
}

// adopt gives m the claim, with everything that follows from it for the live list, the rings, the digest and the
// suspicion. It is the only place where a state changes.
func (n *Node) adopt(m *member, c claim) {
	wasLive := m.live != noRef
	m.hearsay = false
	if m.state == Suspect {
		n.suspects--
	}
	if c.state == Suspect {
		n.suspects++
	}
	if wasLive {
		n.digest ^= digestOf(m.hash, m.incarnation)
	}
	if m.state != c.state {
		m.since = n.now
	}
	switch {
	case c.state == Left:
		m.came = never
	case c.state == Alive && m.came == never:
		m.came = n.now
	}
	switch {
	case !c.state.Live():
		n.withdraw(m)
	case m.state == Suspect && m.suspicion != nil && c.incarnation > m.incarnation:
		n.answered(m, m.suspicion.accusers)
	}
	if c.state == Alive || c.incarnation > m.incarnation {
		m.suspicion = nil
	}
	m.incarnation, m.state = c.incarnation, c.state
	isLive := c.state.Live()
	if isLive {
		n.digest ^= digestOf(m.hash, m.incarnation)
	}
	switch {
	case isLive && !wasLive:
		m.live = int32(len(n.live))
		n.live = append(n.live, m.ref)
		n.ringJoin(m)
		if n.queue.length > 0 {
			n.hurry(priorityMedium)
		}
	case !isLive && wasLive:
		last := n.live[len(n.live)-1]
		n.live[m.live] = last
		n.members[last].live = m.live
		n.live = n.live[:len(n.live)-1]
		m.live = noRef
		n.ringLeave(m)
		n.abandonProbe(m)
	}
	n.emit(Effect{Kind: EffectMember, Member: n.export(m)})
}

// export makes the public form of a row.
func (n *Node) export(m *member) Member {
	return Member{
		ID: m.id, Addr: m.addr(), Incarnation: m.incarnation, State: m.state, Tags: m.tags(), Since: n.wall(m.since),
		UnreachableFrom: n.unreachableFrom(m),
	}
}

// Members appends every row of the view to dst, live or not, and returns it. The order is not defined.
func (n *Node) Members(dst []Member) []Member {
	for _, m := range n.members {
		if m != nil {
			dst = append(dst, n.export(m))
		}
	}
	return dst
}

// randomLive returns a live member other than this one that accept takes, or nil. It tries a bounded number of draws
// and then the whole list from a random place.
func (n *Node) randomLive(accept func(*member) bool) *member {
	total := len(n.live)
	if total == 0 {
		return nil
	}
	for range 4 {
		if m := n.members[n.live[n.rng.IntN(total)]]; m.ref != selfRef && accept(m) {
			return m
		}
	}
	start := n.rng.IntN(total)
	for i := range total {
		if m := n.members[n.live[(start+i)%total]]; m.ref != selfRef && accept(m) {
			return m
		}
	}
	return nil
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood 2014): a bijection whose output bits all depend on all input bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashID is FNV-1a over the id, mixed. Every member computes the same.
func hashID[T ID | []byte](id T) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 0x100000001b3
	}
	return mix(h)
}

// digestOf is one live member's share of the view digest, which is the exclusive or of all of them. Suspicion is left
// out: it comes and goes faster than views can agree on it.
func digestOf(hash, incarnation uint64) uint64 { return mix(hash ^ mix(incarnation)) }
