package swim

import "time"

// coldRelays is how many relays without a warm connection this member asks in a period. Each costs a handshake, and when a
// host or a network is in trouble they are many at once, in the hour of need.
const coldRelays = 2

// haste is how late this member's timers may run while it still connects ahead of need. Past that somebody is short of CPU, which a
// handshake takes milliseconds of on both ends: the answer that is waited for would be later still, and so would everybody's on
// that host.
const haste = 10 * time.Millisecond

// ration lets coldRelays through in a period.
type ration struct {
	since time.Duration // when the period began
	taken int
}

func (r *ration) take(now, period time.Duration) bool {
	if now-r.since >= period {
		r.since, r.taken = now, 0
	}
	r.taken++
	return r.taken <= coldRelays
}

// warmRelays names the strangers to the host that would be asked as relays if the ping that is being repeated, the first
// that went unanswered, were the last: their handshakes are then over when it comes to that. It draws the relays as
// chooseRelays will, and puts everything back, so what the protocol does is the same whether the host connects or not; when
// other draws come in between, the relays are others.
func (n *Node) warmRelays(m *member, p *probe) {
	if p.purpose != purposeRegular && p.purpose != purposeHint {
		return // a miss of these asks no relays
	}
	if n.lateness() > haste {
		return
	}
	random, cold := n.pcg, n.cold
	n.chooseRelays(m, p)
	n.pcg, n.cold = random, cold
	for _, r := range p.relays[:p.asked] {
		if c := n.members[r.ref]; !n.warm(c) && n.warmed.take(n.now, n.cfg.ProtocolPeriod) {
			n.emit(Effect{Kind: EffectWarm, To: c.peer()})
		}
	}
	p.asked = 0
}
