package swim

import (
	"encoding/binary"
	"time"
)

const (
	// exchangeSpacing is the shortest time between two state exchanges that this member asks for on its own account.
	exchangeSpacing = time.Second
	// digestPatience is how long two views may differ before they are exchanged (detection rule 10).
	digestPatience = 3 * time.Second
)

// A state block is the version, the number of members and an update for each. StateMax bounds its size, viewMax its count.

// exchange asks the host to swap states with a peer.
func (n *Node) exchange(to Peer, token uint64) {
	n.exchanged = n.now
	n.emit(Effect{Kind: EffectExchange, To: to, Token: token, Data: n.appendState(nil)})
}

// exchangeSoon is exchange, but not more often than exchangeSpacing.
func (n *Node) exchangeSoon(to Peer) {
	if n.now-n.exchanged >= exchangeSpacing && !n.going.leaving {
		n.exchange(to, 0)
	}
}

// appendState encodes the view. One that is too large for a block tells of this member, then of live members from a random
// place, and of the others as far as there is room: several exchanges tell all.
func (n *Node) appendState(b []byte) []byte {
	body, count, full := make([]byte, 0, 64*n.refs.live), 0, false
	put := func(m *member) {
		switch {
		case m == nil || m.hearsay:
		case len(body) >= StateMax-updateBytes-binary.MaxVarintLen64:
			full = true
		default:
			body = n.appendUpdate(body, n.shown(m))
			count++
		}
	}
	for _, m := range n.members {
		put(m)
	}
	if full {
		body, count = body[:0], 0
		put(n.self)
		start := n.rng.IntN(len(n.members))
		for _, live := range []bool{true, false} {
			for i := range n.members {
				if m := n.members[(start+i)%len(n.members)]; m != nil && m != n.self && m.state.Live() == live {
					put(m)
				}
			}
		}
	}
	b = append(b, wireVersion)
	b = binary.AppendUvarint(b, uint64(count))
	return append(b, body...)
}

// applyState merges a peer's state. Nothing is applied of a block that breaks a rule.
func (n *Node) applyState(b []byte, from Peer) bool {
	body, ok := stateBody(b)
	if !ok {
		return false
	}
	r := reader{b: body}
	var u update
	for len(r.b) > 0 && r.update(&u) {
		n.apply(&u, from, byState)
	}
	return true
}

// stateBody returns the updates of a state block, checked.
func stateBody(b []byte) ([]byte, bool) {
	if len(b) > StateMax {
		return nil, false
	}
	r := reader{b: b}
	version, count := r.byte(), r.uvarint()
	if r.bad || version != wireVersion || count > viewMax || !holdsUpdates(r.b, int(count)) {
		return nil, false
	}
	return r.b, true
}

// holdsUpdates reports whether a block is exactly so many whole updates: a block that was cut between two is not taken for
// a smaller view.
func holdsUpdates(b []byte, count int) bool {
	r := reader{b: b}
	var u update
	for range count {
		if !r.update(&u) {
			return false
		}
	}
	return len(r.b) == 0
}

func (n *Node) handleExchangeRequest(in Input) {
	n.heardSomebody()
	if in.From.ID == n.self.id || !n.applyState(in.Data, in.From) {
		n.counters.Malformed++
		n.emit(Effect{Kind: EffectReply, Token: in.Token})
		return
	}
	n.known = true
	n.touch(in.From)
	n.emit(Effect{Kind: EffectReply, Token: in.Token, Data: n.appendState(nil)})
}

func (n *Node) handleExchangeReply(in Input) {
	n.heardSomebody()
	if in.From.ID == n.self.id || !n.applyState(in.Data, in.From) {
		n.counters.Malformed++
		return
	}
	n.known = true
	n.touch(in.From)
}

func (n *Node) touch(p Peer) {
	if m := n.find(p.ID); m != nil {
		m.heard = n.now
	}
}

// sync is the regular comparison with a random member: a ping, whose ack brings that one's digest. Only views that differ
// are exchanged, and nearly always they are equal.
func (n *Node) sync() {
	n.syncTimer = n.timers.arm(timerSync, noRef, n.now+n.cfg.SyncInterval)
	if m := n.randomLive(func(m *member) bool { return m.state == Alive }); m != nil && !n.going.leaving {
		n.seq++
		n.syncSeq = n.seq
		n.send(m.peer(), &message{typ: messagePing, seq: n.seq}, nil)
	}
}

// synced exchanges states with a member whose answer to a sync brought another digest.
func (n *Node) synced(m *member, msg *message) {
	if msg.seq == n.syncSeq && n.syncSeq != 0 && msg.digest != n.digest {
		n.exchangeSoon(m.peer())
	}
}

// compare takes note of a peer's view digest. When it differs, this member asks again after digestPatience, and if it
// differs still the two exchange their states. There is one timer an edge, however often the digest changes.
func (n *Node) compare(m *member, digest uint64) {
	differs := digest != n.digest && m.live != noRef
	if !differs {
		if m.edge != nil {
			m.edge.differs, m.edge.asked = false, false
		}
		return
	}
	e := n.edgeOf(m)
	e.differs = true
	switch {
	case e.asked:
		e.asked = false
		n.exchangeSoon(m.peer())
	case e.recheck == 0:
		e.recheck = n.timers.arm(timerRecheck, m.ref, n.now+digestPatience)
	}
}

// recheck pings a member whose view differed and still did when it was last heard; the ack brings its digest.
func (n *Node) recheck(m *member) {
	e := m.edge
	e.recheck = 0
	if !e.differs || m.live == noRef {
		return
	}
	e.asked = true
	n.seq++
	n.send(m.peer(), &message{typ: messagePing, seq: n.seq}, nil)
}

// EmptyState is a state block that tells nothing; whoever gets it answers with its own.
func EmptyState() []byte { return []byte{wireVersion, 0} }

// FindInState returns what a state block says of id, if the block is well formed.
func FindInState(block []byte, id ID) (Member, bool) {
	body, ok := stateBody(block)
	if !ok {
		return Member{}, false
	}
	r := reader{b: body}
	var u update
	for len(r.b) > 0 && r.update(&u) {
		if string(u.id) == string(id) {
			return Member{ID: id, Addr: u.addr, Incarnation: u.claim.incarnation, State: u.claim.state, Tags: decodeTags(u.tags)}, true
		}
	}
	return Member{}, false
}
