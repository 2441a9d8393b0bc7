package swim

import "time"

// watcher is one member that regularly probes this one. Its place in the list is its slot in the cycle.
type watcher struct {
	ref int32
	due time.Duration // when its next regular ping is expected
}

// watchersMax bounds the watchers: more than meshFactor·ringsMax observers are never assigned.
const watchersMax = 64

// cycle is the time in which each edge is probed once: with one regular probe a member and period, as many periods as
// it has targets (detection rule 2).
func (n *Node) cycle() time.Duration {
	edges := n.cfg.Rings
	if n.mesh() {
		edges = max(len(n.live)-1, 1)
	}
	return time.Duration(edges) * n.cfg.ProtocolPeriod
}

// probeEdge sends the regular probe of an edge and, until its ack says otherwise, schedules the next one a cycle later.
func (n *Node) probeEdge(m *member) {
	if n.going.leaving || !m.edge.observed {
		return
	}
	m.edge.timer = n.timers.arm(timerEdge, m.ref, n.now+n.cycle())
	n.startProbe(m, purposeRegular, "probe timeout")
}

// reschedule moves an edge's next regular probe to where its target wants it, within half a period to two cycles.
func (n *Node) reschedule(m *member, dueMS uint64) {
	if dueMS == 0 || !m.edge.observed || n.cfg.Strategy != RingObservers {
		return
	}
	cycle := n.cycle()
	wait := time.Duration(clampMS(dueMS)) * time.Millisecond
	wait = min(max(wait, n.cfg.ProtocolPeriod/2), 2*cycle)
	m.edge.timer = n.timers.arm(timerEdge, m.ref, n.now+wait)
}

// watched notes a regular ping and returns in how many milliseconds its sender is next due. The slots of all watchers
// divide the cycle evenly, so that somebody probes this member about every period; each is moved into its slot by at most
// half a cycle. No clock is compared: the answer is a wait.
func (n *Node) watched(m *member) uint64 {
	cycle := n.cycle()
	slot := -1
	kept := n.watchers[:0]
	for _, w := range n.watchers {
		c := n.members[w.ref]
		if c == nil || c.live == noRef || w.ref != m.ref && n.now > w.due+cycle/2 {
			continue // gone, or it watches no more
		}
		if w.ref == m.ref {
			slot = len(kept)
		}
		kept = append(kept, w)
	}
	n.watchers = kept
	fresh := slot < 0
	if fresh {
		if m.live == noRef || len(n.watchers) == watchersMax {
			return 0
		}
		slot = len(n.watchers)
		n.watchers = append(n.watchers, watcher{ref: m.ref})
	}
	phase := cycle * time.Duration(slot) / time.Duration(len(n.watchers))
	// A newcomer goes into its slot at once, so that many of them do not leave a gap together; the others stay in step.
	least := cycle / 2
	if fresh {
		least = n.cfg.ProtocolPeriod / 2
	}
	wait := least + (phase-(n.now+least)%cycle+cycle)%cycle
	n.watchers[slot].due = n.now + wait
	return uint64(max(wait/time.Millisecond, 1))
}

// unwatched lets go of a watcher that said goodbye, so that its slot does not stay empty.
func (n *Node) unwatched(m *member) {
	for i, w := range n.watchers {
		if w.ref == m.ref {
			n.watchers = append(n.watchers[:i], n.watchers[i+1:]...)
			return
		}
	}
}

// unwatch tells a member that it is probed by this one no more.
func (n *Node) unwatch(m *member) {
	m.edge.observed, m.edge.timer = false, 0
	if m.live != noRef && !n.going.leaving {
		n.seq++
		n.send(m.peer(), &message{typ: messagePing, flags: flagLast, seq: n.seq}, nil)
	}
}

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

// orderJoin puts a newcomer at a random place of what is left of the shuffled list.
func (n *Node) orderJoin(ref int32) {
	n.order = append(n.order, ref)
	last := len(n.order) - 1
	at := n.orderAt + n.rng.IntN(last-n.orderAt+1)
	n.order[at], n.order[last] = n.order[last], n.order[at]
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
