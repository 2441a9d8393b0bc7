package swim

import (
	"cmp"
	"slices"
)

// unreachableFor is how long, in periods, an accusation that its subject has answered counts as a sign that the accuser cannot
// reach it. A refuted accuser holds back for 32 at most (holdBack); whoever still cannot has accused it again by then.
const unreachableFor = 60

// contest is what stands between one member and those who accused it wrongly of late: it lives, and they could not reach it.
// With a partition that the log spans nobody is failed, and this is the evidence that matters.
type contest struct {
	accusers []accuser // by id, accusersMax at most
	timer    uint64    // the earliest of them is over
}

// answered notes that m has answered its accusers.
func (n *Node) answered(m *member, accusers []accuser) {
	if len(accusers) == 0 {
		return
	}
	c := n.contests[m.ref]
	if c == nil {
		c = &contest{}
		n.contests[m.ref] = c
	}
	for _, a := range accusers {
		at, known := slices.BinarySearchFunc(c.accusers, a.id, func(a accuser, id ID) int { return cmp.Compare(a.id, id) })
		switch {
		case known:
			c.accusers[at].at = n.now
		case len(c.accusers) < accusersMax:
			c.accusers = slices.Insert(c.accusers, at, accuser{id: a.id, at: n.now})
		}
	}
	n.armContest(m, c)
}

func (n *Node) armContest(m *member, c *contest) {
	earliest := c.accusers[0].at
	for _, a := range c.accusers {
		earliest = min(earliest, a.at)
	}
	c.timer = n.timers.arm(timerContest, m.ref, earliest+unreachableFor*n.cfg.ProtocolPeriod)
}

// settle withdraws what is over.
func (n *Node) settle(m *member) {
	c := n.contests[m.ref]
	c.accusers = slices.DeleteFunc(c.accusers, func(a accuser) bool {
		return n.now-a.at >= unreachableFor*n.cfg.ProtocolPeriod
	})
	if len(c.accusers) == 0 {
		delete(n.contests, m.ref)
	} else {
		n.armContest(m, c)
	}
	n.emit(Effect{Kind: EffectMember, Member: n.export(m)})
}

// unreachableFrom lists the accusers that m has answered; nil, as a rule.
func (n *Node) unreachableFrom(m *member) []ID {
	c := n.contests[m.ref]
	if c == nil {
		return nil
	}
	ids := make([]ID, 0, len(c.accusers))
	for _, a := range c.accusers {
		ids = append(ids, a.id)
	}
	return ids
}

// unreachedSelf is answered for this member's own row, from the encoded accusers of a claim that it refutes.
func (n *Node) unreachedSelf(u *update) {
	var list []accuser
	for r := (reader{b: u.accusers}); len(r.b) > 0; {
		if id, silent := r.accuser(); !silent {
			list = append(list, accuser{id: n.nameOf(id)})
		}
	}
	n.answered(n.self, list)
}

// withdraw forgets the contest of a member that failed, left or is forgotten.
func (n *Node) withdraw(m *member) { delete(n.contests, m.ref) }
