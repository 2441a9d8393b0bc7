package swim

import (
	"encoding/binary"
	"math/bits"
	"time"
)

const (
	// gossipSpacing is the shortest time between two rounds.
	gossipSpacing = 10 * time.Millisecond
	// arenaSize holds the packets of an ordinary step; a larger step gets further blocks of this size.
	arenaSize = 16 << 10
	// updateBytes is more than the longest update takes: id, incarnation, address, and tags or accusers.
	updateBytes = 1280
)

// say queues m's claim and starts its first round at once rather than at the next tick (detection rule 9).
func (n *Node) say(m *member, priority priority) {
	n.queue.put(m.ref, priority)
	n.hurry(priority)
}

// hurry brings the next gossip round forward: to now, for the first news after a while of none; what follows on its heels
// waits for the regular round. The while is a GossipInterval, a quarter of it for what is urgent. A stream of news, as when
// many join, then costs two rounds an interval and not one for each packet.
func (n *Node) hurry(priority priority) {
	pause := n.cfg.GossipInterval
	if priority >= priorityHigh {
		pause /= 4
	}
	at := n.gossiped + n.cfg.GossipInterval
	if n.now-n.hurried >= pause {
		at = n.gossiped + gossipSpacing
		n.hurried = n.now
	}
	at = max(n.now, at)
	if n.gossipTimer != 0 && n.gossipAt <= at {
		return
	}
	n.gossipAt = at
	n.gossipTimer = n.timers.arm(timerGossip, noRef, at)
}

// gossipRound sends what is queued to a few members, and again every GossipInterval while there is something left.
func (n *Node) gossipRound() {
	n.gossipTimer = 0
	if n.queue.length == 0 {
		return
	}
	n.gossiped = n.now
	var chosen [fanoutMax]int32
	count := 0
	for range n.cfg.GossipFanout {
		m := n.warmPeer(func(m *member) bool { return !contains(chosen[:count], m.ref) })
		if m == nil || n.queue.length == 0 {
			break
		}
		chosen[count] = m.ref
		count++
		n.send(m.peer(), &message{typ: messageGossip}, nil)
	}
	if n.queue.length > 0 && count > 0 { // nobody there: the next newcomer starts the rounds again
		n.gossipAt = n.now + n.cfg.GossipInterval
		n.gossipTimer = n.timers.arm(timerGossip, noRef, n.gossipAt)
	}
}

// warmPeer is a random live member that accept takes, among those with a warm connection where there is one: this member's
// targets and its watchers. In a mesh, and without rings, all are alike. The targets and watchers of all members together form
// a random graph of degree 2K, through which news spreads as through random choice; and each stranger would cost a handshake, a
// cluster's worth of them with each piece of news. Strangers meet in the syncs, whose pings carry news too.
func (n *Node) warmPeer(accept func(*member) bool) *member {
	total := len(n.observed) + len(n.watchers)
	if n.cfg.Strategy == RingObservers && !n.mesh() && total > 0 {
		start := n.rng.IntN(total)
		for i := range total {
			at := (start + i) % total
			var ref int32
			if at < len(n.observed) {
				ref = n.observed[at]
			} else {
				ref = n.watchers[at-len(n.observed)]
			}
			if m := n.members[ref]; m != nil && m.live != noRef && m.ref != selfRef && accept(m) {
				return m
			}
		}
	}
	return n.randomLive(accept)
}

// warm reports whether this member keeps a connection with m.
func (n *Node) warm(m *member) bool {
	return n.cfg.Strategy == RoundRobin || n.mesh() || m.edge != nil && m.edge.observed || contains(n.watchers, m.ref)
}

// sendsOf is how often an update is sent: λ·⌈log2(n+1)⌉ times (SWIM, section 4.1).
func (n *Node) sendsOf() int { return n.cfg.GossipFactor * bits.Len(uint(len(n.live))) }

// send encodes a datagram with as many queued updates as fit and emits it. about, when not nil, is the subject of the
// matter: its claim goes first, queued or not. A receiver that is not held alive is told so before others are spoken of, so
// that it can answer (Lifeguard's buddy system, section 4.3). Gossip without a word is not sent. What goes to a member that
// this view holds failed or gone, to try it again or to answer it, carries the news and does not count as one of its sendings:
// nobody may be there to hear it.
func (n *Node) send(to Peer, msg *message, about *member) {
	if msg.typ == messagePing {
		msg.incarnation, msg.digest = n.self.incarnation, n.digest
	}
	if cap(n.arena)-len(n.arena) < DatagramMax+updateBytes {
		n.arena = make([]byte, 0, arenaSize)
	}
	start := len(n.arena)
	p := packet{b: appendMessage(n.arena[start:start:start+DatagramMax+updateBytes], msg)}
	receiver := n.find(to.ID)
	counts := receiver == nil || receiver.live != noRef
	if about != nil {
		p.put(n, about) // fits: it is the first
	}
	if receiver != nil && receiver.state != Alive && receiver != about && !p.put(n, receiver) {
		receiver = nil
	}
	var refs [UpdatesMax]int32
	limit := n.sendsOf()
	for _, ref := range refs[:n.queue.choose(refs[:UpdatesMax-p.count])] {
		m := n.members[ref]
		if m != receiver && m != about && !p.put(n, m) {
			break
		}
		if counts {
			n.queue.sent(ref, limit) // the receiver needs no word about itself; that counts as said
		}
	}
	if msg.typ == messageGossip && p.count == 0 {
		return
	}
	n.arena = n.arena[:start+len(p.b)]
	n.emit(Effect{Kind: EffectSend, To: to, Data: p.b})
}

// packet is a datagram being filled with updates.
type packet struct {
	b     []byte
	count int
}

// put adds m's claim, if it fits.
func (p *packet) put(n *Node, m *member) bool {
	size := len(p.b)
	p.b = n.appendUpdate(p.b, n.shown(m))
	if len(p.b) > DatagramMax {
		p.b = p.b[:size]
		return false
	}
	p.count++
	return true
}

// appendUpdate encodes what this view holds of m.
func (n *Node) appendUpdate(b []byte, m *member) []byte {
	head := byte(m.state) | updateHasAddr
	if m.state == Alive && len(m.tags()) > 0 {
		head |= updateHasTags
	}
	accusers := m.suspicion != nil && (m.state == Suspect || m.state == Failed)
	if accusers {
		head |= updateHasAccusers
	}
	b = append(b, head)
	b = appendID(b, m.id)
	b = binary.AppendUvarint(b, m.incarnation)
	b = appendAddr(b, m.addr())
	if head&updateHasTags != 0 {
		b = appendTags(b, m.tags())
	}
	if accusers {
		list := m.suspicion.accusers
		list = list[:min(len(list), accusersWireMax)]
		b = append(b, byte(len(list)))
		for i := range list {
			b = appendAccuser(b, list[i].id, list[i].silent)
		}
	}
	return b
}
