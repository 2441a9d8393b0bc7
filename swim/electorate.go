package swim

import (
	"slices"
	"time"
)

// tally is one look at the members that count.
type tally struct {
	by        time.Duration // members that came later are left out
	alone     bool          // nobody was heard for so long that somebody should have been
	reachable int
	total     int  // these, and the missing
	missing   []ID // some of them
	awaited   bool // one is not failed, or not for long: it may be back
	back      bool // one that was missing when the partition was declared is reached
	had       bool // one was heard, or known alive for a whole cycle; or the electorate is settled
}

// cut reports whether so many are missing that it looks like a partition. Whoever comes after a cut is told of the members on
// the other side and never hears one: it has lost nobody, and does not know who was there.
func (t *tally) cut() bool { return t.had && tooMany(t.total-t.reachable, t.total) }

func tooMany(missing, total int) bool { return missing*partitionShare > total }

// look counts the electorate, where it is settled. Else it counts everybody, or, if that makes a cut, those alone that had come
// when it began: it takes seconds until so many are missed, and who joins meanwhile is known on one side alone.
func (n *Node) look() tally {
	t := n.tally(n.now)
	if t.reachable == t.total || n.split.open() {
		return t
	}
	if began, is := n.cutBegan(&t); is {
		if then := n.tally(began); then.cut() {
			return then
		}
	}
	t.had = false
	return t
}

// cutBegan finds the first moment by which so many of those that had come were heard for the last time that it looked like a cut.
// Whoever is missed besides and was heard later does not move it: that one may be a suspect on this side, for an instant. Nor do
// newcomers, however many. It is at most a cycle of probes ago.
func (n *Node) cutBegan(t *tally) (at time.Duration, is bool) {
	earliest := n.now - n.noticing()
	total := 0
	var came, lost []time.Duration // after that; when each of the missing was last heard, before it was missed
	for _, m := range n.members {
		f := n.footing(m, t)
		switch {
		case f == uncounted:
			continue
		case m.came > earliest:
			came = append(came, m.came)
		default:
			total++
		}
		if f == missed {
			lost = append(lost, max(min(m.heard, n.missedSince(m)), m.came, earliest))
		}
	}
	slices.Sort(came)
	slices.Sort(lost)
	for i, at := range lost {
		for len(came) > 0 && came[0] <= at {
			came, total = came[1:], total+1
		}
		if tooMany(i+1, total) {
			return at, true
		}
	}
	return 0, false
}

// tally counts the members that came by then.
func (n *Node) tally(by time.Duration) tally {
	t := tally{by: by, alone: n.alone(), had: n.split.open()}
	for _, m := range n.members {
		switch n.footing(m, &t) {
		case reached:
			t.reachable++
			t.total++
			t.back = t.back || m.lost
		case missed:
			t.total++
			t.awaited = t.awaited || m.state != Failed || n.lately(m)
			t.had = t.had || m.heard != never || n.missedSince(m)-m.came > n.noticing()
			if len(t.missing) < unreachableListed {
				t.missing = append(t.missing, m.id)
			}
		}
	}
	return t
}

// suspectPartition settles the electorate: those that t counted.
func (n *Node) suspectPartition(t *tally) {
	for _, m := range n.members {
		if m != nil {
			m.elector, m.lost = n.footing(m, t) != uncounted, false
		}
	}
	n.split.enter(PartitionSuspect, n.now)
}

// declarePartition marks the missing, of whom one at least must be back for the partition to be healed.
func (n *Node) declarePartition(t *tally) {
	for _, m := range n.members {
		if m != nil {
			m.lost = n.footing(m, t) == missed
		}
	}
	n.split.enter(Partitioned, n.now)
	n.reportPartition(TransitionPartitioned, Evidence{Unreachable: t.missing})
}

// A footing is what a member counts as for the partition detector.
type footing uint8

const (
	uncounted footing = iota
	reached
	missed
)

// footing says what m counts as. Whoever is alone, hearing nobody, accuses nobody and yet reaches nobody.
func (n *Node) footing(m *member, t *tally) footing {
	settled := n.split.open()
	switch {
	case m == nil || m.came == never || m.came > t.by || settled && !m.elector:
		return uncounted
	case m.state == Alive && (!t.alone || m.ref == selfRef):
		return reached
	case m.state.Live(), m.state == Failed && (settled || n.lately(m)):
		return missed
	default:
		return uncounted
	}
}

// lately reports whether m, which is failed, has not been so for long.
func (n *Node) lately(m *member) bool { return n.now-m.since < partitionMemory }

// missedSince is when m was first accused; now, when it is not.
func (n *Node) missedSince(m *member) time.Duration {
	switch {
	case m.state == Alive:
		return n.now
	case m.suspicion != nil:
		return min(m.since, m.suspicion.began)
	default:
		return m.since
	}
}

// noticing is about how long it takes at most, in a cycle of probes, until each member on the far side of a cut is missed. A small side
// of more members than a mesh holds takes longer: it probes some of them, and the others once its rings have closed over those.
func (n *Node) noticing() time.Duration { return n.cycle() + 2*n.cfg.ProtocolPeriod }

func (n *Node) alone() bool { return len(n.live) > 1 && n.now-n.heardAny > n.noticing() }

// inMinority looks anew: the detector's own look may be a period old, as long as a suspicion that ripened meanwhile.
func (n *Node) inMinority() bool {
	t := n.look()
	return t.cut() && n.sideOf(&t) == Minority
}

// sideOf says on which side of a cut this member is.
func (n *Node) sideOf(t *tally) Side {
	return sideOf(t.reachable, t.total, func() bool { return n.reachesLowest(t) })
}

// sideOf says on which side of a cut a member is that reaches so many of all. Of two equal halves the majority is the one that
// reaches the lowest id, which is asked of them alone.
func sideOf(reachable, total int, reachesLowest func() bool) Side {
	switch {
	case 2*reachable > total, 2*reachable == total && reachesLowest():
		return Majority
	default:
		return Minority
	}
}

// reachesLowest says whether the lowest id of all that count is among the reachable. It compares every id, a fifth of a member's
// CPU where a thousand do it each period.
func (n *Node) reachesLowest(t *tally) bool {
	var lowest ID
	var is footing
	for _, m := range n.members {
		if s := n.footing(m, t); s != uncounted && (lowest == "" || m.id < lowest) {
			lowest, is = m.id, s
		}
	}
	return is == reached
}
