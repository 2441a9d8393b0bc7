package swim

import "time"

// aboutSelf answers a claim about this member. Nobody but its owner raises an incarnation, so any claim that is not
// simply the present one is answered by a higher one (SWIM, section 4.2).
func (n *Node) aboutSelf(u *update, from Peer, o origin) {
	c := u.claim
	switch {
	case n.going.leaving:
		return // whatever they say, it is about to be Left
	case c.incarnation < n.self.incarnation:
		if c.state != Alive {
			n.overtaken(u, o)
			n.say(n.self, priorityCritical) // its author may have missed the refutation
		}
	case c.state == Suspect, c.state == Failed:
		if !n.refute(u, from, o) {
			return // it says nothing for now
		}
	default:
		n.remembered(u, o)
	}
	if m := n.find(from.ID); m != nil && c.state != Alive {
		n.send(m.peer(), &message{typ: messageGossip}, n.self)
	}
}

// refute answers an accusation or a verdict, now or, reporting false, later. In a life that nobody has answered yet it is an
// earlier one that is accused.
func (n *Node) refute(u *update, from Peer, o origin) bool {
	switch {
	case !n.known:
		n.rise(u.claim.incarnation, TransitionJoined, Evidence{Reason: "an earlier life is remembered"})
	case n.holdBackReturn(u, from, o):
		return false
	default:
		n.answer(u)
	}
	return true
}

// answer claims an incarnation above an accusation or a verdict.
func (n *Node) answer(u *update) {
	c := u.claim
	if c.incarnation < n.self.incarnation || c.incarnation >= IncarnationMax-1 {
		return // answered meanwhile, or there is no answer
	}
	if c.state == Suspect {
		n.unreachedSelf(u)
	}
	n.rise(c.incarnation, TransitionRefuted, n.heldAgainst(u))
}

// remembersMax is how many times a period a member rises above lives that others remember. More often, it is no memory but
// another process that runs under the same id, and the host is asked to look.
const remembersMax = 3

// remembered answers a claim that this member is alive, or has left, other than as it is: an earlier life, or a second
// process with its id.
func (n *Node) remembered(u *update, o origin) {
	c := u.claim
	if c.incarnation == n.self.incarnation && c.state == Alive {
		// An earlier life that ended at the same incarnation would look like this. The log is not asked: it may keep
		// details in another form.
		if o == byLog || u.addr == n.self.addr() && equalTags(u.tags, n.self.tags()) {
			return
		}
	}
	if c.state == Alive && u.addr.IsValid() && u.addr != n.self.addr() {
		n.emit(Effect{Kind: EffectDouble, To: Peer{ID: n.self.id, Addr: u.addr}})
	}
	if n.now-n.risen > n.cfg.ProtocolPeriod {
		n.rises = 0
	}
	if n.rises < remembersMax { // what is passed over now will be said again
		n.rises++
		n.rise(c.incarnation, TransitionJoined, Evidence{Reason: "an earlier life is remembered"})
	}
}

// heldAgainst writes down who accused this member of what.
func (n *Node) heldAgainst(u *update) Evidence {
	evidence := Evidence{Reason: "held " + u.claim.state.String()}
	r := reader{b: u.accusers}
	for len(r.b) > 0 {
		id, silent := r.accuser()
		evidence.Accusers = append(evidence.Accusers, Accuser{ID: n.nameOf(id), At: n.wall(n.now), Implicit: silent})
	}
	return evidence
}

// rise puts this member's incarnation above incarnation.
func (n *Node) rise(incarnation uint64, kind TransitionKind, evidence Evidence) {
	if incarnation < n.self.incarnation || incarnation >= IncarnationMax-1 || n.going.leaving {
		return
	}
	if kind == TransitionRefuted {
		n.counters.Refutations++
		n.feel(+1) // somebody could not reach us: perhaps we are slow (Lifeguard, section 4.1)
	}
	n.release()
	n.damp.overtook = 0
	if kind == TransitionRefuted && n.damp.outage > n.risen && n.damp.counted != n.self.incarnation {
		n.damp.overtook = n.self.incarnation
	}
	evidence.Previous, n.risen = n.self.incarnation, n.now
	n.adopt(n.self, claim{incarnation + 1, Alive})
	n.report(Transition{Kind: kind, Own: true, Evidence: evidence}, n.self, Alive)
	n.say(n.self, priorityCritical)
}

// setTags replaces this member's tags under a higher incarnation.
func (n *Node) setTags(tags Tags) {
	switch {
	case n.going.leaving, tags.Validate() != nil, n.self.incarnation >= IncarnationMax-1:
		n.emit(Effect{Kind: EffectRefused})
		return
	case tags.Equal(n.self.tags()):
		return
	}
	n.self.setTags(tags)
	if n.damp.timer != 0 { // the others hear of them when it comes back
		n.damp.retagged = true
		n.emit(Effect{Kind: EffectMember, Member: n.export(n.self)})
		return
	}
	previous := n.self.incarnation
	n.adopt(n.self, claim{previous + 1, Alive})
	n.report(Transition{Kind: TransitionTagged, Own: true, Evidence: Evidence{Previous: previous}}, n.self, Alive)
	n.say(n.self, priorityMedium)
}

// departure is a graceful leave under way.
type departure struct {
	leaving bool
	timer   uint64
	since   uint32 // acks of pings after this number know of the departure
	acks    int    // of distinct members
	acked   [leaveAcks]int32
	until   time.Duration
}

const (
	// LeaveWait is how long a departure waits for acknowledgement at most.
	LeaveWait = 5 * time.Second
	// leaveAcks is how many members must acknowledge a departure, where there are so many.
	leaveAcks = 3
	// leaveFanout is how many members are told directly in each round of a departure.
	leaveFanout = 8
)

// leave declares this member Left and makes sure that some others know before it goes.
func (n *Node) leave() {
	if n.going.leaving {
		return
	}
	n.going = departure{leaving: true, since: n.seq, until: n.now + LeaveWait}
	before := n.self.state
	n.release()
	n.adopt(n.self, claim{n.self.incarnation, Left})
	n.report(Transition{Kind: TransitionLeft, Own: true}, n.self, before)
	n.say(n.self, priorityCritical)
	n.departing()
}

// departing tells a round of members, until enough of them acknowledged or the time is up.
func (n *Node) departing() {
	n.going.timer = 0
	if n.now >= n.going.until || n.departed() {
		n.emit(Effect{Kind: EffectGone})
		return
	}
	var told [leaveFanout]int32
	for i := range told {
		m := n.warmPeer(func(m *member) bool { return !contains(told[:i], m.ref) })
		if m == nil {
			break
		}
		told[i] = m.ref
		n.seq++
		n.send(m.peer(), &message{typ: messagePing, seq: n.seq}, n.self)
	}
	n.going.timer = n.timers.arm(timerGone, noRef, min(n.now+n.cfg.AckTimeout, n.going.until))
}

// departed reports whether enough members know. This member no longer counts as live itself.
func (n *Node) departed() bool { return n.going.acks >= min(leaveAcks, len(n.live)) }

// departureAck counts an ack of a ping that carried the departure.
func (n *Node) departureAck(m *member, seq uint32) {
	g := &n.going
	if g.timer == 0 || int32(seq-g.since) <= 0 || contains(g.acked[:g.acks], m.ref) {
		return
	}
	g.acked[g.acks] = m.ref
	if g.acks++; n.departed() {
		n.going.timer = 0
		n.emit(Effect{Kind: EffectGone})
	}
}
