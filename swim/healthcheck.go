package swim

// checkHealth looks at the silence of every member that this one observes. A silence that is too unlikely is put on record
// with its φ and brings a probe forward; suspicion still takes what probes and relays say (requirements 1.10). Each
// silence is reported once.
func (n *Node) checkHealth() {
	n.healthTimer = n.timers.arm(timerHealth, noRef, n.now+n.cfg.HealthInterval)
	if n.going.leaving || !n.mayJudge() {
		return
	}
	for _, ref := range n.observed {
		m := n.members[ref]
		if m == nil || m.state != Alive || m.edge.phi == nil || m.edge.silent {
			continue
		}
		level := m.edge.phi.Phi(n.now, n.cfg.ProtocolPeriod/2)
		if level < PhiThreshold {
			continue
		}
		m.edge.silent = true
		n.report(Transition{Kind: TransitionHealthCheckFailed, Own: true, Evidence: Evidence{
			Reason: "phi over threshold", Phi: level, RTT: m.edge.rtt.average(), LastHeard: n.wall(m.heard), LocalHealth: n.health,
		}}, m, m.state)
		n.startProbe(m, purposeHint, "phi over threshold")
	}
}

// arrived feeds the φ detector of an edge: an observer hears its target's acks at a steady rate.
func (e *edge) arrived(n *Node) {
	if !e.observed {
		return
	}
	if e.phi == nil {
		e.phi = new(PhiDetector)
	}
	e.phi.Heard(n.now)
	e.silent = false
}
