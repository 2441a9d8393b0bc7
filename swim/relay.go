package swim

import "time"

// relayedMax bounds the indirect probes that a member serves for others at a time; further ones get no answer.
const relayedMax = 256

// relayed is one indirect probe that this member serves: it pings the target and tells the requester what came of it.
type relayed struct {
	timer     uint64 // 0: the slot is free
	seq       uint32 // of the own ping
	target    Peer
	requester Peer
	theirs    uint32 // the requester's number
	pings     int
	excused   bool // its wait was lengthened, because it ended late
	began     time.Duration
	wait      time.Duration
}

// handlePingReq pings the target on the requester's behalf.
func (n *Node) handlePingReq(from Peer, msg *message) {
	if msg.target.ID == n.self.id {
		n.send(from, &message{typ: messageAck, seq: msg.seq, incarnation: n.self.incarnation, digest: n.digest}, nil)
		return
	}
	slot := n.relaySlot()
	if slot == noRef {
		n.counters.RelaysFull++ // and no answer: a nack would say that the target was tried
		return
	}
	// On an edge of its own a relay waits as long as for itself. Without one it takes twice the requester's wait, for the
	// handshake that comes first.
	target, repeat := msg.target, time.Duration(0)
	wait := min(2*time.Duration(clampMS(msg.waitMS))*time.Millisecond, n.cfg.AckTimeout)
	wait = max(wait, n.cfg.AckTimeoutMin) * time.Duration(n.health+1)
	if m := n.find(target.ID); m != nil {
		target = m.peer() // where this view knows it to be, not where the requester says
		if e := n.edgeOf(m); e.rtt.samples > 0 {
			wait = n.ackTimeout(e)
			repeat = e.repeatAfter(wait)
		}
	}
	if repeat == 0 {
		repeat = time.Duration(repeatPart * float64(wait))
	}
	n.seq++
	r := &n.relayed[slot]
	*r = relayed{seq: n.seq, target: target, requester: from, theirs: msg.seq, began: n.now, wait: wait}
	r.timer = n.timers.arm(timerRelay, slot, n.now+repeat)
	n.pingFor(r)
}

func (n *Node) pingFor(r *relayed) {
	r.pings++
	n.send(r.target, &message{typ: messagePing, seq: r.seq}, nil)
}

func (n *Node) relaySlot() int32 {
	for i := range n.relayed {
		if n.relayed[i].timer == 0 {
			return int32(i)
		}
	}
	if len(n.relayed) == relayedMax {
		return noRef
	}
	n.relayed = append(n.relayed, relayed{})
	return int32(len(n.relayed) - 1)
}

// relayTimer repeats the ping once and then says nack. A nack tells the requester that this member is well and the target
// is not; it becomes this member's own accusation when the requester accuses (detection rule 4).
// As with a probe, the repeated ping gets its whole wait, and one that ended late is lengthened by as much, once.
func (n *Node) relayTimer(slot int32, late time.Duration) {
	r := &n.relayed[slot]
	switch {
	case r.pings == 1:
		r.timer = n.timers.arm(timerRelay, slot, max(r.began+r.wait+late, n.now+1))
		n.pingFor(r)
		return
	case late > 0 && !r.excused:
		r.excused = true
		r.timer = n.timers.arm(timerRelay, slot, n.now+min(late, n.cfg.AckTimeout))
		return
	}
	n.relayMissed(r)
}

func (n *Node) relayMissed(r *relayed) {
	if m := n.find(r.target.ID); m != nil && m.heard < r.began {
		e := n.edgeOf(m)
		e.missed, e.unanswered = n.now, r.pings
	}
	n.send(r.requester, &message{typ: messageNack, seq: r.theirs}, nil)
	r.timer = 0
}

// relayAck passes an ack of a relayed ping on to whoever asked.
func (n *Node) relayAck(m *member, seq uint32) {
	for i := range n.relayed {
		r := &n.relayed[i]
		if r.timer == 0 || r.seq != seq || r.target.ID != m.id {
			continue
		}
		r.timer = 0
		if r.pings == 1 {
			n.edgeOf(m).rtt.add(n.now - r.began)
		}
		n.send(r.requester, &message{typ: messageAck, seq: r.theirs, incarnation: n.self.incarnation, digest: n.digest}, nil)
		return
	}
}

// relayDown nacks what is served for a target whose port is closed, and reports whether there was anything.
func (n *Node) relayDown(m *member) bool {
	served := false
	for i := range n.relayed {
		if r := &n.relayed[i]; r.timer != 0 && r.target.ID == m.id {
			n.relayMissed(r)
			served = true
		}
	}
	return served
}
