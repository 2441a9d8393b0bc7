package swim

// handleDatagram takes one packet from an authenticated peer.
func (n *Node) handleDatagram(in Input) {
	var msg message
	if err := decodeMessage(in.Data, &msg); err != nil || in.From.ID == n.self.id {
		n.counters.Malformed++
		return
	}
	n.heardSomebody()
	m := n.find(in.From.ID)
	if m != nil {
		m.heard = n.now
	}
	// Updates first: they may introduce the sender, raise its incarnation or clear it.
	n.applyBlock(msg.updates, in.From)
	if m == nil {
		m = n.find(in.From.ID)
	}
	if m == nil {
		n.counters.Strangers++
		n.exchangeSoon(in.From)
	}
	switch msg.typ {
	case messagePing:
		n.handlePing(in.From, m, &msg)
	case messageAck:
		if m != nil {
			n.compare(m, msg.digest)
			n.synced(m, &msg)
			n.handleAck(m, &msg)
		}
	case messagePingReq:
		n.handlePingReq(in.From, &msg)
	case messageNack:
		if m != nil {
			n.handleNack(m, msg.seq)
		}
	}
	if m != nil && m.state != Alive && m.state != Left && (msg.typ == messageGossip || msg.typ == messageNack) {
		n.inform(m)
	}
}

// handlePing answers a ping; of a regular one it says when the next is due.
func (n *Node) handlePing(from Peer, m *member, msg *message) {
	ack := message{typ: messageAck, seq: msg.seq, incarnation: n.self.incarnation, digest: n.digest}
	if m != nil {
		n.compare(m, msg.digest)
		if msg.flags&flagRegular != 0 {
			ack.dueMS = n.dueIn(m)
		}
	}
	var about *member
	if n.damp.timer != 0 {
		about = n.self // it answers, but stays away: who missed the verdict would go on holding it alive
	}
	n.send(from, &ack, about)
}

// inform tells a member that is heard although it is held suspect or failed, so that it can refute.
func (n *Node) inform(m *member) {
	e := n.edgeOf(m)
	if n.now-e.informed < gossipSpacing*10 {
		return
	}
	e.informed = n.now
	n.send(m.peer(), &message{typ: messageGossip}, m)
}

// applyBlock applies a checked block of updates.
func (n *Node) applyBlock(block []byte, from Peer) {
	r := reader{b: block}
	var u update
	for len(r.b) > 0 && r.update(&u) {
		n.apply(&u, from, byGossip)
	}
}

// origin says how a claim came to this member, and so how far it is believed and passed on.
type origin uint8

const (
	byGossip origin = iota // news: passed on as such
	byState                // from a state exchange: old news to most; a verdict is checked first and not passed on
	byLog                  // from the log, which tells everybody itself
)

// apply merges one claim into the view.
func (n *Node) apply(u *update, from Peer, o origin) {
	m := n.lookup(u.id)
	if m == n.self {
		n.aboutSelf(u, from, o)
		return
	}
	if m == nil {
		n.introduce(u, o)
		return
	}
	switch u.claim.state {
	case Alive:
		n.applyAlive(m, u, o)
	case Suspect:
		n.applySuspect(m, u, from, o)
	case Failed:
		n.applyFailed(m, u, from, o)
	case Left:
		if u.claim.overrides(m.claim()) {
			before := m.state
			n.adopt(m, u.claim)
			n.report(Transition{Kind: TransitionLeft, Author: m.id}, m, before)
			n.spread(m, priorityHigh, o)
		}
	}
}

// introduce takes a claim about a member that this view does not know.
func (n *Node) introduce(u *update, o origin) {
	if !u.addr.IsValid() {
		return
	}
	m := n.add(ID(u.id), u.addr)
	if m == nil {
		return
	}
	m.setTags(decodeTags(u.tags))
	switch u.claim.state {
	case Alive, Suspect:
		n.adopt(m, claim{u.claim.incarnation, Alive})
		n.report(Transition{Kind: TransitionJoined, Author: m.id}, m, 0)
		n.spread(m, priorityMedium, o)
		if u.claim.state == Suspect {
			m.came = never // it may have been gone before
			n.applySuspect(m, u, Peer{}, o)
		}
	default: // remembered, so that it can be tried again and late rumours find it final; no news
		n.adopt(m, u.claim)
		m.hearsay = o == byState && m.state == Left
	}
}

// spread queues a claim for gossip, as news or after all news.
func (n *Node) spread(m *member, priority priority, o origin) {
	switch {
	case o == byGossip:
		n.say(m, priority)
	case o == byState && m.state.Live() && n.known: // the first state of a life is news to nobody else
		n.say(m, priorityLow)
	}
}

func (n *Node) applyAlive(m *member, u *update, o origin) {
	if u.claim.incarnation <= m.incarnation {
		return
	}
	before, retagged := m.state, !equalTags(u.tags, m.tags())
	answers := before == Suspect && m.suspicion.mine // our own accusation, still open
	moved := m.addr() != u.addr
	m.place = placeOf(u.addr)
	if retagged {
		m.setTags(decodeTags(u.tags))
	}
	previous := m.incarnation
	if moved { // a new process: those who accused the one before were right, and nobody has answered them
		n.withdraw(m)
		m.suspicion = nil
	}
	n.adopt(m, u.claim)
	if m.edge != nil && (moved || before != Alive) {
		m.edge.rtt = roundTrip{} // perhaps another process; its first round trip is a handshake again
		m.edge.forgetRhythm()
	}
	if answers && !moved {
		n.holdBack(m)
	}
	t := Transition{Author: m.id, Evidence: Evidence{Previous: previous}}
	switch {
	case moved, before == Left, before == Failed && retagged:
		t.Kind = TransitionJoined
	case retagged:
		t.Kind = TransitionTagged
	default:
		t.Kind = TransitionRefuted
	}
	n.report(t, m, before)
	priority := priorityMedium
	if before != Alive {
		priority = priorityCritical
	}
	n.spread(m, priority, o)
}

func (n *Node) applySuspect(m *member, u *update, from Peer, o origin) {
	c := u.claim
	if c.incarnation < m.incarnation || c.incarnation == m.incarnation && !m.state.Live() {
		if teller := n.find(from.ID); teller != nil && m.state == Left {
			// Its accusers may be too few to ever convict it, and who knows better says so in no state exchange (hearsay).
			n.send(teller.peer(), &message{typ: messageGossip}, m)
		}
		return
	}
	if o == byState && m.state == Alive && n.now-m.heard < n.cfg.ProtocolPeriod {
		return // heard it since; gossip will say more
	}
	if c.incarnation > m.incarnation { // it came back in between, or refuted, and that news was overtaken
		raised := update{claim: claim{c.incarnation, Alive}, addr: m.addr(), tags: appendTags(nil, m.tags())[2:]}
		if u.addr.IsValid() {
			raised.addr = u.addr
		}
		n.applyAlive(m, &raised, o)
	}
	n.accused(m, u, o)
}

// applyFailed takes a verdict that others reached. Somebody heard moments ago is probed before it is believed, and what a
// state exchange says is always checked first (detection, pitfalls: a stale verdict after a heal); but who says so of himself
// stays away (damping), and is believed.
func (n *Node) applyFailed(m *member, u *update, from Peer, o origin) {
	if !u.claim.overrides(m.claim()) {
		return
	}
	if from.ID == m.id {
		n.convicted(m, u.claim, u.accusers, o)
		return
	}
	if o == byGossip && m.live != noRef && countAccusers(u.accusers, m.id) < Quorum(len(n.live)) {
		// A verdict that names no quorum, as this view has it, is no more than an accusation: it comes from a smaller
		// cluster, the other half of a partition perhaps, or from a liar.
		n.applySuspect(m, &update{id: u.id, claim: claim{u.claim.incarnation, Suspect}, addr: u.addr, accusers: u.accusers}, from, o)
		return
	}
	e := n.edgeOf(m)
	heard := m.state == Alive && n.now-m.heard < n.cfg.SuspicionMin/2
	if (o == byState || heard) && m.live != noRef && !n.going.leaving {
		if e.believe == 0 {
			e.verdict, e.verdictBy = u.claim.incarnation, o
			e.verdictOf = append(e.verdictOf[:0], u.accusers...)
			e.believe = n.timers.arm(timerBelieve, m.ref, n.now+n.ackTimeout(e)+n.cfg.AckTimeoutMin)
			n.startProbe(m, purposeBelieve, "")
		}
		return
	}
	n.convicted(m, u.claim, u.accusers, o)
}

// countAccusers counts a checked, encoded list, without the accused.
func countAccusers(b []byte, accused ID) int {
	count := 0
	for r := (reader{b: b}); len(r.b) > 0; {
		if id, _ := r.accuser(); string(id) != string(accused) {
			count++
		}
	}
	return count
}

// believe adopts a verdict of others that this member's own probe has not contradicted.
func (n *Node) believe(m *member) {
	e := m.edge
	if e.believe == 0 {
		return
	}
	e.believe = 0
	if c := (claim{e.verdict, Failed}); c.overrides(m.claim()) && m.live != noRef && n.mayJudge() {
		n.convicted(m, c, e.verdictOf, e.verdictBy)
	}
}

// convicted adopts a verdict c that others reached on the word of the encoded accusers.
func (n *Node) convicted(m *member, c claim, accusers []byte, o origin) {
	before := m.state
	s := m.suspicion
	n.adopt(m, c)
	if s == nil || m.suspicion == nil {
		s = &suspicion{began: n.now}
		m.suspicion = s
	}
	r := reader{b: accusers}
	for len(r.b) > 0 {
		id, silent := r.accuser()
		if !s.named(id) && string(id) != string(m.id) && len(s.accusers) < accusersMax {
			s.accusers = append(s.accusers, accuser{id: n.nameOf(id), at: n.now, silent: silent})
		}
	}
	evidence := Evidence{Reason: ReasonTold, Since: n.wall(s.began), LastHeard: n.wall(m.heard), LocalHealth: n.health}
	author := n.self.id
	for i := range s.accusers {
		evidence.Accusers = append(evidence.Accusers, Accuser{ID: s.accusers[i].id, At: n.wall(s.accusers[i].at), Implicit: s.accusers[i].silent})
		author = s.accusers[0].id
	}
	// An accuser that learns the verdict from another is of the same opinion: it puts it on record too, in case the other
	// cannot. The log takes one.
	n.report(Transition{Kind: TransitionFailed, Own: s.mine && o != byLog, Author: author, Evidence: evidence}, m, before)
	if o == byGossip {
		n.say(m, priorityHigh)
	}
}
