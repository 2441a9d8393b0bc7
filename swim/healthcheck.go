package swim

// checkHealth looks at the silence of every member that this one observes. A silence that is too unlikely is put on record
// with its φ and brings a probe forward; suspicion still takes what probes and relays say (requirements 1.10). Each
// silence is reported once, and a member that is heard by other means than its acks is not silent.
func (n *Node) checkHealth() {
	n.healthTimer = n.timers.arm(timerHealth, noRef, n.now+n.cfg.HealthInterval)
	if n.going.leaving || !n.mayJudge() {
		return
	}
	for _, ref := range n.observed {
		m := n.members[ref]
		if m == nil || m.state != Alive || m.edge.phi == nil || m.edge.silent || n.offbeat(m.edge) {
			continue
		}
		level := m.edge.phi.Phi(n.now, n.cfg.ProtocolPeriod/2)
		if level < PhiThreshold || n.now-m.heard < n.cycle() {
			continue
		}
		m.edge.silent = true
		n.report(Transition{Kind: TransitionHealthCheckFailed, Own: true, Evidence: Evidence{
			Reason: "phi over threshold", Phi: level, RTT: m.edge.rtt.average(), LastHeard: n.wall(m.heard), LocalHealth: n.health,
		}}, m, m.state)
		n.startProbe(m, purposeHint, "phi over threshold")
	}
}

// arrived feeds the φ detector of an edge: an observer hears its target's acks at a steady rate. What was learned before a
// silence that was reported, or to another beat, says nothing of the next intervals, and a gap is none.
func (e *edge) arrived(n *Node) {
	if !e.observed {
		return
	}
	if e.phi == nil {
		e.phi = new(PhiDetector)
	}
	if e.silent || n.offbeat(e) {
		e.forgetRhythm()
	}
	if e.beat == 0 {
		e.beat = n.cycle()
	}
	e.phi.Heard(n.now)
}

// offbeat reports whether an edge is probed at another rate than the one that its detector has learned: in a mesh the rate
// follows the number of members. One member more or less is within the deviation that φ allows.
func (n *Node) offbeat(e *edge) bool {
	return e.beat != 0 && (n.cycle()-e.beat).Abs() > n.cfg.ProtocolPeriod
}

// forgetRhythm makes the φ detector of an edge learn anew: the acks were interrupted, and a gap that counted as an interval
// would hide every silence for as long as it is in the window.
func (e *edge) forgetRhythm() {
	if e.phi != nil {
		*e.phi = PhiDetector{}
	}
	e.beat, e.silent = 0, false
}
