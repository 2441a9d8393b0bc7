package swim

import "time"

// cycle is the time in which each edge is probed once: with one regular probe a member and period, as many periods as
// it has targets (detection rule 2).
func (n *Node) cycle() time.Duration {
	edges := n.cfg.Rings
	if n.mesh() {
		edges = max(len(n.live)-1, 1)
	}
	return time.Duration(edges) * n.cfg.ProtocolPeriod
}

// probeEdge sends the regular probe of an edge and, until its ack says otherwise, schedules the next one a cycle later. The
// round robin comes here only to try a member again soon.
func (n *Node) probeEdge(m *member) {
	m.edge.timer = 0
	if n.going.leaving || m.live == noRef {
		return
	}
	switch {
	case m.edge.observed:
		m.edge.timer = n.timers.arm(timerEdge, m.ref, n.now+n.cycle())
	case n.cfg.Strategy != RoundRobin:
		return
	}
	n.startProbe(m, purposeRegular, "probe timeout")
}

// reschedule moves an edge's next regular probe to where its target wants it, within a period (half a cycle,
// if that is less) to two cycles.
func (n *Node) reschedule(m *member, dueMS uint64) {
	if dueMS == 0 || !m.edge.observed || n.cfg.Strategy != RingObservers {
		return
	}
	cycle := n.cycle()
	wait := time.Duration(clampMS(dueMS)) * time.Millisecond
	wait = min(max(wait, n.leastWait()), 2*cycle)
	m.edge.timer = n.timers.arm(timerEdge, m.ref, n.now+wait)
}

// dueIn answers a regular ping: in how many milliseconds its sender is next due; 0 when this view knows no reason for it to
// ping. The slots of all observers divide the cycle evenly, so that somebody probes this member about every period. No
// clock is compared: the answer is a wait, to the next instant of the sender's slot.
func (n *Node) dueIn(m *member) uint64 {
	slot, slots := n.slotOf(m)
	if slot < 0 {
		return 0
	}
	cycle, least := n.cycle(), n.leastWait()
	phase := cycle * time.Duration(slot) / time.Duration(slots)
	wait := least + (phase-(n.now+least)%cycle+cycle)%cycle
	return uint64(max(wait/time.Millisecond, 1))
}

// slotOf returns the place of m among those that observe this member, or -1.
func (n *Node) slotOf(m *member) (slot, slots int) {
	if m.live == noRef || n.self.live != 0 {
		return -1, 0
	}
	if n.mesh() { // everybody but this member, which is the first of the live
		return int(m.live) - 1, len(n.live) - 1
	}
	for i, ref := range n.watchers {
		if ref == m.ref {
			return i, len(n.watchers)
		}
	}
	return -1, 0
}

// leastWait is the shortest time between two regular probes of one edge.
func (n *Node) leastWait() time.Duration { return min(n.cfg.ProtocolPeriod, n.cycle()/2) }

// period is one protocol period of the round robin: probe the next of a shuffled list of everybody, shuffled anew when
// it ends, with newcomers at random places (SWIM, section 4.3).
func (n *Node) period() {
	n.periodTimer = n.timers.arm(timerPeriod, noRef, n.now+n.cfg.ProtocolPeriod)
	if n.going.leaving {
		return
	}
	for range 2 {
		for n.orderAt < len(n.order) {
			m := n.members[n.order[n.orderAt]]
			n.orderAt++
			if m != nil && m.live != noRef && m.ref != selfRef {
				n.edgeOf(m)
				n.startProbe(m, purposeRegular, "probe timeout")
				return
			}
		}
		n.order = append(n.order[:0], n.live...)
		n.rng.Shuffle(len(n.order), func(i, j int) { n.order[i], n.order[j] = n.order[j], n.order[i] })
		n.orderAt = 0
	}
}

// orderJoin puts a newcomer at a random place of what is left of the shuffled list, unless it is there already. It takes a
// place that was passed, where there is one, so that members that come and go do not make the list grow.
func (n *Node) orderJoin(ref int32) {
	if contains(n.order[n.orderAt:], ref) {
		return
	}
	if n.orderAt > 0 {
		n.orderAt--
		n.order[n.orderAt] = ref
	} else {
		n.order = append(n.order, ref)
		last := len(n.order) - 1
		n.order[0], n.order[last] = n.order[last], n.order[0]
	}
	at := n.orderAt + n.rng.IntN(len(n.order)-n.orderAt)
	n.order[at], n.order[n.orderAt] = n.order[n.orderAt], n.order[at]
}

// retryFailed gives one failed member the chance to show that it is back. The chance of each member is such that the
// whole cluster makes about three attempts an interval (detection rule 10).
func (n *Node) retryFailed() {
	n.retryTimer = n.timers.arm(timerRetry, noRef, n.now+n.cfg.RetryInterval)
	n.forgetLeft()
	if n.going.leaving || n.rng.IntN(max(len(n.live), retriesWanted)) >= retriesWanted {
		return
	}
	start := n.rng.IntN(len(n.members))
	for i := range n.members {
		m := n.members[(start+i)%len(n.members)]
		if m != nil && m.state == Failed {
			n.edgeOf(m)
			n.startProbe(m, purposeRetry, "")
			return
		}
	}
}

// retriesWanted is how many failed members the whole cluster tries again each RetryInterval.
const retriesWanted = 3

// forgetLeft drops members that left long ago.
func (n *Node) forgetLeft() {
	for _, m := range n.members {
		if m != nil && m.ref != selfRef && m.state == Left && n.now-m.since > leftKept {
			n.forget(m)
		}
	}
}
