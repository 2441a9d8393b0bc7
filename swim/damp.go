package swim

import "time"

// damping keeps a member that comes and goes away for longer each time. It is the member itself that waits, before it claims
// the next incarnation: a view or a log that holds it failed needs to agree on nothing, and all of them turn together when
// it speaks. A new process is a new life and is not damped: whoever restarts it decides how often.
//
// Only verdicts that were right count, as far as the member can tell: since it last rose, it stood still, or found nobody who
// answered it. Members on the far side of a partition do not keep each other out by failing each other again and again.
type damping struct {
	verdicts int           // right ones, less those forgotten
	last     time.Duration // the latest of them
	outage   time.Duration // when it last stood still, or found nobody who answered
	timer    uint64        // not 0 while its return is held back
	until    time.Duration // and for how long
	retagged bool          // its tags changed meanwhile
	evidence Evidence      // what its return will say
}

const (
	returnsFree   = 2   // returns at once
	returnHold    = 20  // periods that the next one waits; each further one waits twice as long
	returnHoldMax = 60  // but no more periods than this
	returnMemory  = 300 // one verdict is forgotten for so many periods without another
)

// holdBackReturn reports whether a claim against this member is not to be answered now, because it has failed too often.
func (n *Node) holdBackReturn(u *update) bool {
	d := &n.damp
	if d.timer != 0 {
		return true
	}
	if u.claim.state != Failed || d.outage <= n.risen {
		return false
	}
	period := n.cfg.ProtocolPeriod
	if d.verdicts > 0 {
		d.verdicts = max(d.verdicts-int((n.now-d.last)/(returnMemory*period)), 0)
	}
	d.verdicts, d.last = d.verdicts+1, n.now
	if d.verdicts <= returnsFree {
		return false
	}
	periods := min(returnHold<<min(d.verdicts-returnsFree-1, 8), returnHoldMax)
	d.until = n.now + time.Duration(periods)*period
	d.timer = n.timers.arm(timerReturn, noRef, d.until)
	d.retagged = false
	d.evidence = n.heldAgainst(u)
	d.evidence.Reason, d.evidence.Since = "held failed, too often to come back at once", n.wall(n.now)
	n.digest ^= digestOf(n.self.hash, n.self.incarnation) // as in the views of the others
	n.counters.Held++
	return true
}

// comeBack ends a hold when it is over and somebody has answered just now: whoever comes back cut off fails again.
func (n *Node) comeBack() {
	d := &n.damp
	if len(n.live) > 1 && n.now-n.acked > 2*n.cfg.ProtocolPeriod {
		d.timer = n.timers.arm(timerReturn, noRef, n.now+n.cfg.ProtocolPeriod/2)
		return
	}
	kind := TransitionRefuted
	if d.retagged {
		kind = TransitionTagged
	}
	n.rise(n.self.incarnation, kind, d.evidence)
}

// release ends the hold, whatever comes next.
func (n *Node) release() {
	if d := &n.damp; d.timer != 0 {
		d.timer, d.evidence = 0, Evidence{}
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
