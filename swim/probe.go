package swim

import "time"

// purpose of a probe: what a miss means.
type purpose uint8

const (
	purposeRegular     purpose = iota + 1 // a miss is checked through relays, then an accusation
	purposeHint                           // the transport, or somebody's state, brought it forward; else like regular
	purposeCorroborate                    // somebody accused it: a miss is a further accusation
	purposeRetry                          // it is held failed: a miss says nothing new
	purposeBelieve                        // a verdict came from others: a miss is reason to believe it
)

// phase of a probe.
type phase uint8

const (
	phaseIdle     phase = iota
	phasePing           // pinged once
	phaseRepeat         // pinged again at 60 % of the wait
	phaseIndirect       // relays asked
)

const (
	relaysMax = 8
	fanoutMax = 16
)

// probe is one attempt to reach a member. A member has at most one.
type probe struct {
	phase       phase
	purpose     purpose
	ref         int32
	seq         uint32
	incarnation uint64 // of the target when it began
	sent        time.Duration
	wait        time.Duration // ack timeout it was given
	timer       uint64
	pings       int  // sent and unanswered
	excused     bool // its present wait was lengthened, because it ended late
	again       bool // it was given another wait, because others went unanswered with it
	reason      string
	relays      [relaysMax]relay
	asked       int
}

type relay struct {
	ref    int32
	answer Answer
}

// startProbe pings m, unless a probe of it is running: then the weightier purpose is what a miss will mean.
func (n *Node) startProbe(m *member, why purpose, reason string) {
	e := n.edgeOf(m)
	if e.probe != noRef {
		p := &n.probes[e.probe]
		if why == purposeBelieve || why == purposeCorroborate && p.purpose == purposeRegular && p.phase != phaseIndirect {
			p.purpose = why
		}
		return
	}
	slot := n.probeSlot()
	p := &n.probes[slot]
	n.seq++
	*p = probe{
		phase: phasePing, purpose: why, ref: m.ref, seq: n.seq, incarnation: m.incarnation,
		sent: n.now, wait: n.ackTimeout(e), reason: reason,
	}
	e.probe = slot
	n.counters.Probes++
	n.ping(m, p)
	p.timer = n.timers.arm(timerProbe, slot, n.now+e.repeatAfter(p.wait))
}

// probeSlot finds an idle slot. There are never more probes than members.
func (n *Node) probeSlot() int32 {
	for i := range n.probes {
		if n.probes[i].phase == phaseIdle {
			return int32(i)
		}
	}
	n.probes = append(n.probes, probe{})
	return int32(len(n.probes) - 1)
}

func (n *Node) ping(m *member, p *probe) {
	p.pings++
	msg := message{typ: messagePing, seq: p.seq}
	if p.purpose == purposeRegular && n.cfg.Strategy == RingObservers {
		msg.flags = flagRegular
	}
	n.send(m.peer(), &msg, nil)
}

// endProbe frees the probe's slot.
func (n *Node) endProbe(p *probe) {
	if m := n.members[p.ref]; m != nil && m.edge != nil {
		m.edge.probe = noRef
	}
	p.phase, p.timer = phaseIdle, 0
}

// abandonProbe drops the probe of a member that is live no more.
func (n *Node) abandonProbe(m *member) {
	if m.edge != nil && m.edge.probe != noRef {
		n.endProbe(&n.probes[m.edge.probe])
	}
}

// probeTimer carries a probe on when its present wait is over. A wait that ended late is lengthened by as much, once: the
// answer may lie unread.
func (n *Node) probeTimer(slot int32, late time.Duration) {
	p := &n.probes[slot]
	m := n.members[p.ref]
	if m == nil {
		n.endProbe(p)
		return
	}
	if late > 0 && !p.excused && p.phase != phasePing {
		p.excused = true
		p.timer = n.timers.arm(timerProbe, slot, n.now+min(late, n.cfg.AckTimeout))
		return
	}
	switch p.phase {
	case phasePing:
		p.phase = phaseRepeat
		n.ping(m, p)
		n.warmRelays(m, p)
		p.timer = n.timers.arm(timerProbe, slot, n.now+max(p.wait-m.edge.repeatAfter(p.wait), 1))
	case phaseRepeat:
		n.missed(m, slot)
	case phaseIndirect:
		n.judgeRelays(m, p)
	}
}

// missed decides what two unanswered pings mean.
func (n *Node) missed(m *member, slot int32) {
	p := &n.probes[slot]
	m.edge.missed, m.edge.unanswered = n.now, p.pings
	if (p.purpose == purposeRegular || p.purpose == purposeHint) && n.ownFault(p) {
		p.again, p.excused = true, false
		n.ping(m, p)
		p.timer = n.timers.arm(timerProbe, slot, n.now+n.ackTimeout(m.edge))
		return
	}
	n.counters.Missed++
	switch p.purpose {
	case purposeRetry:
		n.endProbe(p)
	case purposeBelieve:
		n.endProbe(p)
		n.believe(m)
	case purposeCorroborate:
		n.endProbe(p)
		if m.state == Suspect && m.incarnation == p.incarnation {
			n.accuse(m, n.evidenceOf(m, p))
		}
	default:
		n.askRelays(m, slot)
	}
}

// ownFault reports whether a missed probe is rather this member's own fault: another one went unanswered within the same
// wait, and nobody at all answered meanwhile. It is tried once more before relays are troubled. The health score is left alone:
// a rack that died looks the same, and longer waits would find it later.
func (n *Node) ownFault(p *probe) bool {
	other := n.now-n.unheard <= p.wait
	n.unheard = n.now
	return other && n.acked < p.sent && !p.again
}

// askRelays sends ping-reqs to the relays that it chooses.
func (n *Node) askRelays(m *member, slot int32) {
	p := &n.probes[slot]
	p.phase, p.excused = phaseIndirect, false
	n.chooseRelays(m, p)
	if p.asked == 0 {
		n.judgeRelays(m, p)
		return
	}
	for _, r := range p.relays[:p.asked] {
		to := n.members[r.ref].peer()
		n.send(to, &message{typ: messagePingReq, seq: p.seq, waitMS: uint64(p.wait / time.Millisecond), target: m.peer()}, nil)
	}
	wait := min(4*p.wait, n.cfg.IndirectTimeout*time.Duration(n.health+1))
	p.timer = n.timers.arm(timerProbe, slot, n.now+wait)
}

// chooseRelays takes observers of the target, which are warm towards it, and at least one random member, which is warm towards
// this one (detection rule 4). Of the observers those come first that are warm towards both.
func (n *Node) chooseRelays(m *member, p *probe) {
	p.asked = 0
	want := n.cfg.IndirectProbes
	able := func(c *member) bool { return c.state == Alive && c != m && !p.askedOf(c.ref) }
	if n.cfg.Strategy == RingObservers {
		observers := n.observersOf(m)
		n.rng.Shuffle(len(observers), func(i, j int) { observers[i], observers[j] = observers[j], observers[i] })
		for _, near := range []bool{true, false} {
			for _, ref := range observers {
				c := n.members[ref]
				if p.asked < want-1 && able(c) && n.near(c) == near && (near || n.mayDial()) {
					p.ask(c)
				}
			}
		}
	}
	for p.asked < want {
		c := n.warmPeer(func(c *member) bool { return able(c) && n.near(c) })
		if c == nil && n.mayDial() {
			c = n.randomLive(able)
		}
		if c == nil {
			c = n.warmPeer(able)
		}
		if c == nil {
			break
		}
		p.ask(c)
	}
}

// near reports whether a relay is worth asking before others: it is warm, and has been heard since it was last silent. Else
// the dead, when they are many, would be asked again and again for being near.
func (n *Node) near(c *member) bool {
	return n.warm(c) && (c.edge == nil || c.heard >= max(c.edge.missed, c.edge.mute))
}

// mayDial takes one of the period's cold relays, if there is one left.
func (n *Node) mayDial() bool { return n.cold.take(n.now, n.cfg.ProtocolPeriod) }

// ask takes c as a relay.
func (p *probe) ask(c *member) {
	p.relays[p.asked] = relay{ref: c.ref}
	p.asked++
}

func (p *probe) askedOf(ref int32) bool {
	for _, r := range p.relays[:p.asked] {
		if r.ref == ref {
			return true
		}
	}
	return false
}

// judgeRelays ends an indirect probe that no ack ended.
func (n *Node) judgeRelays(m *member, p *probe) {
	nacks, silent := 0, 0
	for _, r := range p.relays[:p.asked] {
		switch r.answer {
		case Nacked:
			nacks++
		case Silent:
			silent++
			if c := n.members[r.ref]; c != nil {
				n.edgeOf(c).mute = n.now
			}
		}
	}
	if silent == p.asked && n.acked < p.sent {
		n.damp.outage = n.now // nobody at all answers
	}
	evidence := n.evidenceOf(m, p)
	asked, unchanged := p.asked, m.incarnation == p.incarnation
	n.endProbe(p)
	if silent > nacks && n.now-n.acked >= n.cfg.ProtocolPeriod {
		// Relays that owe an answer keep silent, and so does everybody else: more likely our own fault (Lifeguard, section
		// 4.1). While others answer, it is the relays that are gone.
		n.feel(+1)
	}
	switch {
	case !unchanged || !m.state.Live():
	case asked > 0 && nacks == 0, n.health >= doubtfulHealth && nacks < min(asked, 2):
		n.probeSoon(m)
	default:
		n.accuse(m, evidence)
	}
}

// doubtfulHealth is the score from which this member wants two relays to agree before it accuses.
const doubtfulHealth = 3

// probeSoon tries a member again after a quarter of a period instead of a whole cycle or round.
func (n *Node) probeSoon(m *member) {
	if m.edge.observed || n.cfg.Strategy == RoundRobin {
		m.edge.timer = n.timers.arm(timerEdge, m.ref, n.now+n.cfg.ProtocolPeriod/4)
	}
}

// evidenceOf writes down what a probe found.
func (n *Node) evidenceOf(m *member, p *probe) Evidence {
	e := Evidence{
		Reason: p.reason, Probes: p.pings, Timeout: p.wait, RTT: m.edge.rtt.average(),
		LastHeard: n.wall(m.heard), LocalHealth: n.health,
	}
	for _, r := range p.relays[:p.asked] {
		if c := n.members[r.ref]; c != nil {
			e.Relays = append(e.Relays, RelayAnswer{c.id, r.answer})
		}
	}
	return e
}

// handleAck takes an ack of a ping: one of this member's own probes, or one that it sent as a relay.
func (n *Node) handleAck(m *member, msg *message) {
	n.known, n.acked = true, n.now
	n.proven(msg.seq)
	n.departureAck(m, msg.seq)
	for i := range n.probes {
		p := &n.probes[i]
		if p.phase == phaseIdle || p.seq != msg.seq {
			continue
		}
		target := n.members[p.ref]
		if m == target {
			// A repeated ping's ack could belong to either; taking it for the first one's errs on the patient side, and
			// follows a path that has become slower than every wait.
			m.edge.rtt.add(n.now - p.sent)
			if p.phase != phaseIndirect {
				n.feel(-1)
			}
			n.endProbe(p)
			n.reached(m)
			m.edge.arrived(n)
			n.reschedule(m, msg.dueMS)
		} else if p.phase == phaseIndirect && p.askedOf(m.ref) {
			n.endProbe(p)
			n.reached(target)
		}
		return
	}
	n.relayAck(m, msg.seq)
}

// nacksEnough is how many relays must agree before the slower ones are waited for no longer: what follows is a suspicion,
// which an ack that comes later still helps to refute.
const nacksEnough = 2

// handleNack takes a relay's word that it cannot reach the target either.
func (n *Node) handleNack(m *member, seq uint32) {
	n.proven(seq)
	for i := range n.probes {
		p := &n.probes[i]
		if p.phase != phaseIndirect || p.seq != seq {
			continue
		}
		waiting, nacks := 0, 0
		for j := range p.relays[:p.asked] {
			r := &p.relays[j]
			if r.ref == m.ref {
				r.answer = Nacked
			}
			switch r.answer {
			case Silent:
				waiting++
			case Nacked:
				nacks++
			}
		}
		if waiting == 0 || nacks == nacksEnough {
			n.judgeRelays(n.members[p.ref], p)
		}
		return
	}
}

// reached notes that a probe came through.
func (n *Node) reached(m *member) {
	m.edge.missed = never
	m.edge.believe = 0
}

// handleDown brings a probe forward on the transport's word: through relays at once where nothing listens, directly
// where the peer may just have been restarted (transport rule 4). It is never a verdict, and it is taken once in half a
// period: every packet to a dead port may bring one.
func (n *Node) handleDown(in Input) {
	m := n.find(in.From.ID)
	if m == nil || m.ref == selfRef || m.live == noRef || n.going.leaving {
		return
	}
	e := n.edgeOf(m)
	asRelay := in.Down == DownUnreachable && n.relayDown(m)
	if e.probe == noRef && (asRelay || n.now-e.hinted < n.cfg.ProtocolPeriod/2) {
		return
	}
	e.hinted = n.now
	n.startProbe(m, purposeHint, in.Down.String())
	if in.Down != DownUnreachable {
		return
	}
	slot := e.probe
	if p := &n.probes[slot]; p.phase == phasePing || p.phase == phaseRepeat {
		p.reason, p.again = in.Down.String(), true // no doubt about whose fault it is
		n.missed(m, slot)
	}
}
