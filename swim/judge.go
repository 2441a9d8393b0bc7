package swim

import "time"

// stall is a member's doubt about itself: it stood still, answers may lie unread in its receive queue, and until one
// fresh round trip through that queue shows that it has no backlog it judges nobody (detection rule 7).
type stall struct {
	timer uint64 // not 0 while in doubt; looks after two periods whether there is anybody who could end it
	since uint32 // an ack to a ping after this number is fresh
}

const (
	// stallPart of a protocol period is how late a due step may come before this member doubts itself.
	stallPart = 4
	// stallPings is how many members askWarm asks.
	stallPings = 3
)

// noticeStall compares when this step was due with when it came.
func (n *Node) noticeStall() {
	t, ok := n.due()
	if !ok || n.now <= t.at {
		return
	}
	late, most := n.now-t.at, n.cfg.ProtocolPeriod/stallPart
	if late > n.lateness() {
		n.late, n.lateSeen = min(late, most), n.now
	}
	if late <= most || len(n.live) < 2 {
		return
	}
	n.counters.Stalls++
	n.damp.outage = n.now
	n.stall.since = n.seq
	n.stall.timer = n.timers.arm(timerProof, noRef, n.now+2*n.cfg.ProtocolPeriod)
	for i := range n.probes {
		n.restart(int32(i))
	}
	for _, ref := range n.observed {
		if m := n.members[ref]; m != nil && m.edge != nil {
			m.edge.forgetRhythm()
		}
	}
	for i := range n.relayed {
		// Too old to say anything about the target; the requester counts this as silence.
		n.relayed[i].timer = 0
	}
	n.askWarm()
}

// askWarm pings a few members for a fresh round trip. Warm ones: many members that stood still together must not dial a
// cluster's worth of strangers.
func (n *Node) askWarm() {
	var asked [stallPings]int32
	for i := range asked {
		m := n.warmPeer(func(m *member) bool { return !contains(asked[:i], m.ref) })
		if m == nil {
			break
		}
		asked[i] = m.ref
		n.seq++
		n.send(m.peer(), &message{typ: messagePing, seq: n.seq}, nil)
	}
}

// lateness is how late this member's timers ran of late, at worst, stalls apart; half of it is forgotten each period. An
// answer may have lain unread as long, here or with a peer on the same host, and is waited for so much longer.
func (n *Node) lateness() time.Duration {
	return n.late >> min((n.now-n.lateSeen)/n.cfg.ProtocolPeriod, 62)
}

// restart begins a running probe anew, because its waits passed while this member stood still.
func (n *Node) restart(slot int32) {
	p := &n.probes[slot]
	m := n.members[p.ref]
	if p.phase == phaseIdle || m == nil {
		return
	}
	why, reason := p.purpose, p.reason
	n.endProbe(p)
	if why == purposeRegular && m.edge.observed || why == purposeBelieve || why == purposeRetry || m.live != noRef {
		n.startProbe(m, why, reason)
	}
}

// proven ends the doubt when seq belongs to a ping sent after this member stood still.
func (n *Node) proven(seq uint32) {
	if n.stall.timer != 0 && int32(seq-n.stall.since) > 0 {
		n.stall = stall{}
	}
	n.answeredFresh(seq)
}

// unproven runs when nothing ended the doubt for two periods. Among several members the doubt stays: what is read
// meanwhile may be the backlog itself. Of two, a dead partner could never end it.
func (n *Node) unproven() {
	if len(n.live) <= 2 {
		n.stall = stall{}
		return
	}
	n.stall.timer = n.timers.arm(timerProof, noRef, n.now+2*n.cfg.ProtocolPeriod)
}

// heardSomebody notes that somebody reached this member. If nobody had for two periods, it was cut off.
func (n *Node) heardSomebody() {
	silence := n.now - n.heardAny - 2*n.cfg.ProtocolPeriod
	if silence > 0 {
		n.damp.outage = n.now
	}
	if silence > n.cfg.SuspicionMin {
		n.damp.away = n.now
	}
	n.heardAny = n.now
}

// mayJudge reports whether this member may accuse or convict: somebody reached it within the last two periods, and it has
// no backlog, and it is not muted as part of a minority. Of two members, each has only the other to hear from.
func (n *Node) mayJudge() bool {
	if n.stall.timer != 0 || n.cfg.MinorityMute && n.inMinority() {
		return false
	}
	return len(n.live) <= 2 || n.now-n.heardAny <= 2*n.cfg.ProtocolPeriod
}
