package swim

import (
	"math"
	"time"
)

const (
	quorumMax     = 3  // distinct accusers that a verdict needs, where there are so many members
	shrinkSteps   = 5  // accusers beyond the first after which a suspicion is as short as it gets
	accusersMax   = 16 // accusers remembered; more change nothing
	suspicionLeap = 4  // a suspicion's Max is 4·log10(n) periods, 4 s at least
)

// Reasons of a verdict: the one that a member reached itself, and the one that it was told of.
const (
	ReasonTimeOver = "suspicion time over"
	ReasonTold     = "told of the verdict"
)

// suspicionFloor is the shortest default for SuspicionMax.
const suspicionFloor = 4 * time.Second

// suspicion is what this view holds against one member at its present incarnation. Every member keeps it, not only those
// that accuse, and each reaches its verdict alone (Lifeguard, section 4.2).
type suspicion struct {
	began    time.Duration
	accusers []accuser
	timer    uint64
	mine     bool // this member is among the accusers
}

type accuser struct {
	id     ID
	at     time.Duration
	silent bool // it never accused; it was under suspicion itself when the verdict was reached
}

func (s *suspicion) named(id []byte) bool {
	for i := range s.accusers {
		if string(s.accusers[i].id) == string(id) {
			return true
		}
	}
	return false
}

// Quorum is the number of distinct accusers that a verdict needs among live members, the subject included.
func Quorum(live int) int { return max(min(quorumMax, live-1), 1) }

// accuse puts this member's own accusation of m on record and tells everybody whom it concerns (detection rule 5).
func (n *Node) accuse(m *member, evidence Evidence) {
	if !m.state.Live() || n.going.leaving || m.suspicion != nil && m.suspicion.mine {
		return
	}
	if n.now < m.edge.backoff || !n.mayJudge() {
		n.probeSoon(m)
		return
	}
	before := m.state
	s := n.suspect(m)
	s.mine = true
	n.addAccuser(s, n.self.id)
	n.counters.Accusations++
	n.report(Transition{Kind: TransitionSuspected, Own: true, Evidence: evidence}, m, before)
	n.say(m, priorityCritical)
	n.send(m.peer(), &message{typ: messageGossip}, m)
	if n.cfg.Strategy == RingObservers {
		for _, ref := range n.observersOf(m) {
			n.send(n.members[ref].peer(), &message{typ: messageGossip}, m)
		}
	}
	n.review(m)
}

// suspect makes m a suspect, if it is not one, and returns the suspicion.
func (n *Node) suspect(m *member) *suspicion {
	if m.suspicion == nil || m.state != Suspect {
		m.suspicion = &suspicion{began: n.now}
		n.adopt(m, claim{m.incarnation, Suspect})
	}
	n.alarm()
	return m.suspicion
}

// alarmAt is how many members under suspicion at once look like more than one failure.
const alarmAt = 3

// alarm brings regular probes forward when several members are under suspicion at once: those of members not heard for a
// period, within half a period, and not again for two. When a rack or a network goes, the last of its members is found
// three times sooner; in peace it costs nothing.
func (n *Node) alarm() {
	if n.suspects < alarmAt || n.now-n.alarmed < 2*n.cfg.ProtocolPeriod {
		return
	}
	n.alarmed = n.now
	for _, ref := range n.observed {
		m := n.members[ref]
		if m != nil && m.edge.observed && m.state == Alive && n.now-m.heard > n.cfg.ProtocolPeriod {
			m.edge.timer = n.timers.arm(timerEdge, ref, n.now+n.jitter(n.cfg.ProtocolPeriod/2))
		}
	}
}

func (n *Node) addAccuser(s *suspicion, id ID) {
	if len(s.accusers) < accusersMax {
		s.accusers = append(s.accusers, accuser{id: id, at: n.now})
	}
}

// accused takes others' accusations of m at its present incarnation. New ones are passed on; and whoever observes m, or
// just missed it, answers with its own (corroboration, detection rule 5).
func (n *Node) accused(m *member, u *update, o origin) {
	before := m.state
	s := n.suspect(m)
	fresh, known := before != Suspect, len(s.accusers)
	r := reader{b: u.accusers}
	for len(r.b) > 0 {
		// Who could not speak is no accuser here: whether it still cannot is for each view to see (standing).
		if id, silent := r.accuser(); !silent && !s.named(id) && string(id) != string(n.self.id) && string(id) != string(m.id) {
			n.addAccuser(s, n.nameOf(id))
			fresh = true
		}
	}
	if !fresh {
		return
	}
	if before != Suspect {
		author := n.self.id
		if len(s.accusers) > 0 {
			author = s.accusers[0].id
		}
		n.report(Transition{Kind: TransitionSuspected, Author: author}, m, before)
	}
	if o != byLog && (before != Suspect || known <= shrinkSteps) {
		n.say(m, priorityCritical) // accusers beyond those change nothing
	}
	n.corroborate(m, s)
	n.review(m)
}

// nameOf returns the id as a string, shared with the view's row where there is one.
func (n *Node) nameOf(id []byte) ID {
	if m := n.lookup(id); m != nil {
		return m.id
	}
	return ID(id)
}

func (n *Node) corroborate(m *member, s *suspicion) {
	if s.mine || m.edge == nil || n.going.leaving {
		return
	}
	e := m.edge
	recently := n.now-e.missed < 2*n.cfg.ProtocolPeriod
	switch {
	case recently && m.heard < e.missed:
		n.accuse(m, Evidence{
			Reason: "missed it too", Probes: e.unanswered, Timeout: n.ackTimeout(e), RTT: e.rtt.average(),
			LastHeard: n.wall(m.heard), LocalHealth: n.health,
		})
	case e.observed, n.cfg.Strategy == RoundRobin && n.rng.IntN(len(n.live)) < 2*quorumMax:
		n.startProbe(m, purposeCorroborate, "probe timeout")
	}
}

// standing counts the accusers of m: those that said so, and its observers that are under suspicion themselves and
// cannot speak (detection rule 6). With a list it also writes them down.
func (n *Node) standing(m *member, list *[]Accuser) int {
	s := m.suspicion
	count := len(s.accusers)
	for i := range s.accusers {
		if list != nil {
			*list = append(*list, Accuser{ID: s.accusers[i].id, At: n.wall(s.accusers[i].at)})
		}
	}
	if n.suspects < 2 {
		return count
	}
	for _, ref := range n.observersOf(m) {
		c := n.members[ref]
		if n.silent(c) && !s.named([]byte(c.id)) {
			count++
			if list != nil {
				*list = append(*list, Accuser{ID: c.id, At: n.wall(c.since), Implicit: true})
			}
		}
	}
	return count
}

// silent reports whether c is under suspicion by somebody besides this member: nobody's own accusations alone make him a
// quorum.
func (n *Node) silent(c *member) bool {
	if c.state != Suspect {
		return false
	}
	for i := range c.suspicion.accusers {
		if c.suspicion.accusers[i].id != n.self.id {
			return true
		}
	}
	return false
}

// suspicionTime is Max − (Max − Min)·ln(c+1)/ln(k+1) for c accusers beyond the first; it shrinks only once the quorum is
// there (Lifeguard, section 4.2; detection rule 6).
func (n *Node) suspicionTime(accusers int) time.Duration {
	live := len(n.live)
	longest := n.cfg.SuspicionMax
	if longest == 0 {
		longest = max(time.Duration(suspicionLeap*math.Log10(float64(max(live, 1)))*float64(n.cfg.ProtocolPeriod)), suspicionFloor)
		longest = max(longest, n.cfg.SuspicionMin)
	}
	steps := min(shrinkSteps, live-2)
	if accusers < Quorum(live) || steps < 1 {
		return longest
	}
	c := min(accusers-1, steps)
	part := math.Log(float64(c+1)) / math.Log(float64(steps+1))
	return longest - time.Duration(part*float64(longest-n.cfg.SuspicionMin))
}

// review looks at a suspicion again: when an accuser came, when its time may be over, and every half period between,
// since other members may have become silent accusers meanwhile.
func (n *Node) review(m *member) {
	s := m.suspicion
	if s == nil || m.state != Suspect {
		return
	}
	count := n.standing(m, nil)
	end := s.began + n.suspicionTime(count)
	if n.now < end {
		s.timer = n.timers.arm(timerSuspicion, m.ref, min(end, n.now+n.cfg.ProtocolPeriod/2))
		return
	}
	if !n.mayJudge() || n.going.leaving {
		s.timer = n.timers.arm(timerSuspicion, m.ref, n.now+n.cfg.ProtocolPeriod/4)
		return
	}
	if count < Quorum(len(n.live)) {
		// Time is up without a quorum: that is no verdict. Start over, and look again ourselves.
		s.began = n.now
		s.timer = n.timers.arm(timerSuspicion, m.ref, n.now+n.cfg.ProtocolPeriod/2)
		n.say(m, priorityCritical)
		if m.edge != nil && m.edge.observed {
			n.startProbe(m, purposeCorroborate, "probe timeout")
		}
		return
	}
	n.convict(m)
}

// convict declares m failed. Only accusers put the verdict on record: they have evidence of their own.
func (n *Node) convict(m *member) {
	s := m.suspicion
	evidence := Evidence{Reason: ReasonTimeOver, Since: n.wall(s.began), LocalHealth: n.health, LastHeard: n.wall(m.heard)}
	n.standing(m, &evidence.Accusers)
	for _, a := range evidence.Accusers {
		if a.Implicit {
			s.accusers = append(s.accusers, accuser{id: a.ID, at: n.now, silent: true}) // others shall see the quorum too
		}
	}
	before := m.state
	n.adopt(m, claim{m.incarnation, Failed})
	n.counters.Verdicts++
	n.report(Transition{Kind: TransitionFailed, Own: s.mine, Author: n.self.id, Evidence: evidence}, m, before)
	n.say(m, priorityHigh)
}
