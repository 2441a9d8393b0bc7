package swim

import "time"

// damping keeps a member that comes and goes away for longer each time. It is the member itself that waits, before it claims
// the next incarnation: a view or a log that holds it failed needs to agree on nothing, and all of them turn together when
// it speaks. A new process is a new life and is not damped: whoever restarts it decides how often.
//
// Only verdicts that were right count, as far as the member can tell: a quorum accused it, and since it last rose it stood
// still, heard nobody for two periods, or found nobody who answered it. Members on the far side of a partition do not keep each other out by failing each
// other again and again.
//
// Whoever works off a backlog meets the accusation before the verdict that it led to. Answered, it is overtaken, and the verdict
// is about an incarnation that is over: it counts all the same, once. And a member whose next return would be held back asks
// what is held against it before it answers an accusation.
type damping struct {
	verdicts int           // right ones, less those forgotten
	last     time.Duration // the latest of them
	counted  uint64        // the incarnation that it was about
	overtook uint64        // the incarnation that the last rise left, if a verdict about it would be right; else 0
	outage   time.Duration // when it last stood still, came back from silence, or found nobody who answered
	away     time.Duration // when it last came back after so long that a verdict is likely
	timer    uint64        // not 0 while its return is held back
	until    time.Duration // and for how long
	retagged bool          // its tags changed meanwhile
	evidence Evidence      // what its return will say
	failed   member        // what it says of itself until then: that it is held failed
	asking   uint64        // timer; not 0 while its return, or else its answer to a charge, waits for a fresh ack
	asked    uint32        // one to a ping after this number
	charge   update        // an accusation
	by       ID            // who passed it on
}

const (
	returnsFree   = 2   // returns at once
	returnHold    = 20  // periods that the next one waits; each further one waits twice as long
	returnHoldMax = 60  // but no more periods than this
	returnMemory  = 300 // one verdict is forgotten for so many periods without another
)

// holdBackReturn reports whether a claim against this member is not to be answered now: it has failed too often, or may have.
func (n *Node) holdBackReturn(u *update, from Peer, o origin) bool {
	d := &n.damp
	if d.timer != 0 {
		return true
	}
	if d.outage <= n.risen {
		return false
	}
	if !n.verdict(u, o) {
		return n.askFirst(u, from)
	}
	d.count(n.self.incarnation, n.now, n.returnMemory())
	if d.verdicts <= returnsFree {
		return false
	}
	n.release()
	period := n.cfg.ProtocolPeriod
	periods := min(returnHold<<min(d.verdicts-returnsFree-1, 8), returnHoldMax)
	d.until = n.now + time.Duration(periods)*period
	d.timer = n.timers.arm(timerReturn, noRef, d.until)
	d.retagged = false
	d.evidence = n.heldAgainst(u)
	d.evidence.Reason, d.evidence.Since = "held failed, too often to come back at once", n.wall(n.now)
	d.failed = *n.self
	d.failed.state, d.failed.suspicion = Failed, &suspicion{}
	for r := (reader{b: u.accusers}); len(r.b) > 0; {
		id, silent := r.accuser()
		d.failed.suspicion.accusers = append(d.failed.suspicion.accusers, accuser{id: n.nameOf(id), at: n.now, silent: silent})
	}
	n.digest ^= digestOf(n.self.hash, n.self.incarnation) // as in the views of the others
	n.counters.Held++
	return true
}

// verdict reports whether a claim against this member is a verdict on the word of a quorum, as its own view has it. The log
// has seen to that itself.
func (n *Node) verdict(u *update, o origin) bool {
	return u.claim.state == Failed && (o == byLog || countAccusers(u.accusers, n.self.id) >= Quorum(len(n.live)))
}

// shown is the row that others are told of for m.
func (n *Node) shown(m *member) *member {
	if m == n.self && n.damp.timer != 0 {
		return &n.damp.failed
	}
	return m
}

func (n *Node) returnMemory() time.Duration { return returnMemory * n.cfg.ProtocolPeriod }

// remembered is how many verdicts are not forgotten at a time.
func (d *damping) remembered(at, memory time.Duration) int {
	if d.verdicts == 0 {
		return 0
	}
	return max(d.verdicts-int((at-d.last)/memory), 0)
}

// count adds the verdict about an incarnation.
func (d *damping) count(incarnation uint64, at, memory time.Duration) {
	d.verdicts, d.last, d.counted = d.remembered(at, memory)+1, at, incarnation
}

// overtaken counts a verdict about the incarnation that this member has just left. It was reached before the answer; when it
// is heard, from a log that was away perhaps, does not matter.
func (n *Node) overtaken(u *update, o origin) {
	if d := &n.damp; u.claim.incarnation == d.overtook && n.verdict(u, o) {
		d.overtook = 0
		d.count(u.claim.incarnation, n.risen, n.returnMemory())
	}
}

// askFirst puts off the answer to an accusation, if a verdict is likely and would keep this member away, until somebody has
// answered a fresh ping and so has said what he holds against it.
func (n *Node) askFirst(u *update, from Peer) bool {
	d := &n.damp
	if d.asking == 0 {
		if d.away <= n.risen || d.remembered(n.now, n.returnMemory()) < returnsFree || len(n.live) < 2 {
			return false
		}
		d.charge, d.by = update{claim: u.claim, accusers: append([]byte(nil), u.accusers...)}, from.ID
		n.askAround(n.cfg.AckTimeout)
	}
	return true
}

// comeBack runs when a hold is over: this member returns with the first fresh ack, for whoever comes back cut off fails again.
func (n *Node) comeBack() {
	if len(n.live) < 2 {
		n.returned()
		return
	}
	n.askAround(n.cfg.ProtocolPeriod)
}

func (n *Node) askAround(wait time.Duration) {
	n.damp.asked = n.seq
	n.damp.asking = n.timers.arm(timerAsked, noRef, n.now+wait)
	n.askWarm()
}

// answeredFresh runs when a ping with this number was answered.
func (n *Node) answeredFresh(seq uint32) {
	switch d := &n.damp; {
	case d.asking == 0 || int32(seq-d.asked) <= 0:
	case d.timer != 0:
		n.returned()
	default:
		n.answerCharge()
	}
}

// unanswered runs when nobody answers: then a return goes on waiting, and an accusation does not.
func (n *Node) unanswered() {
	if n.damp.timer != 0 {
		n.comeBack()
	} else {
		n.answerCharge()
	}
}

// answerCharge answers an accusation from which no verdict has come, as far as can be known. It has waited long enough: its
// round of gossip does not wait for other news.
func (n *Node) answerCharge() {
	charge, by := n.damp.charge, n.find(n.damp.by)
	n.damp.asking, n.damp.charge = 0, update{}
	n.answer(&charge)
	if by != nil {
		n.send(by.peer(), &message{typ: messageGossip}, n.self)
	}
	n.gossipRound()
}

// returned ends a hold.
func (n *Node) returned() {
	kind := TransitionRefuted
	if n.damp.retagged {
		kind = TransitionTagged
	}
	n.rise(n.self.incarnation, kind, n.damp.evidence)
}

// release ends whatever holds an answer back, whatever comes next.
func (n *Node) release() {
	d := &n.damp
	d.asking, d.charge = 0, update{}
	if d.timer != 0 {
		d.timer, d.evidence, d.failed = 0, Evidence{}, member{}
		n.digest ^= digestOf(n.self.hash, n.self.incarnation)
	}
}

// ReturnsIn is how much longer this member stays away although it is well, because it has failed too often of late; 0 when it
// does not. The others hold it failed meanwhile.
func (n *Node) ReturnsIn() time.Duration {
	if n.damp.timer == 0 {
		return 0
	}
	return max(n.damp.until-n.now, 1)
}
