package swim

import (
	"fmt"
	"time"
)

// PartitionState is a member's own judgement of whether it is cut off.
type PartitionState uint8

// The states, in the order in which an episode passes through them.
const (
	PartitionUnknown PartitionState = iota // alone, so far: there is nobody to be cut off from
	PartitionHealthy                       // at most a third of the members are unreachable
	PartitionSuspect                       // more are, but not yet for the grace period
	Partitioned                            // more are, and stay so
	PartitionHealed                        // they are back; becomes healthy after the grace period
)

func (s PartitionState) String() string {
	names := [...]string{"unknown", "healthy", "suspect", "partitioned", "healed"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Side of a split on which a member finds itself.
type Side uint8

// The sides. An even split has a majority too: the half with the lowest id.
const (
	NoSide Side = iota
	Minority
	Majority
)

func (s Side) String() string {
	switch s {
	case Minority:
		return "minority"
	case Majority:
		return "majority"
	default:
		return ""
	}
}

// Partition is what a member makes of the members it cannot reach.
type Partition struct {
	State     PartitionState
	Side      Side          // while suspect or partitioned
	Grace     time.Duration // while suspect: what is left of it
	Reachable int           // members alive in this view, this one included
	Total     int           // these, and those unreachable and not yet forgotten
}

func (p Partition) String() string {
	if p.Side == NoSide {
		return p.State.String()
	}
	return fmt.Sprintf("%v (%v, %d of %d reachable)", p.State, p.Side, p.Reachable, p.Total)
}

const (
	// A partition is when more than 1/partitionShare of the members are unreachable together.
	partitionShare = 3
	// partitionMemory is how long a failed member counts as missing. After that it is one that no longer exists.
	partitionMemory = 10 * time.Minute
	// unreachableListed is how many missing members the evidence of a partition names.
	unreachableListed = 16
)

// partition is the detector. It sees only the view; a partition and a mass crash look the same from inside.
type partition struct {
	Partition
	changed time.Duration // when State was entered
	fewest  int           // reachable members when the partition was declared
	timer   uint64
}

// checkPartition looks at the view once a period.
func (n *Node) checkPartition() {
	p := &n.split
	p.timer = n.timers.arm(timerPartition, noRef, n.now+n.cfg.ProtocolPeriod)
	var missing []ID
	p.Reachable, p.Total, missing = n.reach()
	cut := isCut(p.Reachable, p.Total)
	side := p.Side
	if cut {
		p.Side = sideOf(p.Reachable, p.Total, n.reachesLowest)
	}
	held := n.now - p.changed
	switch p.State {
	case PartitionUnknown, PartitionHealthy:
		switch {
		case cut:
			p.enter(PartitionSuspect, n.now)
		case p.Total > 1:
			p.State = PartitionHealthy
		}
	case PartitionSuspect:
		switch {
		case !cut:
			p.enter(PartitionHealthy, n.now)
		case held >= n.cfg.PartitionGrace:
			p.enter(Partitioned, n.now)
			p.fewest = p.Reachable
			n.reportPartition(TransitionPartitioned, missing)
		}
	case Partitioned:
		p.fewest = min(p.fewest, p.Reachable)
		switch {
		case !cut:
			n.endPartition()
		case p.Side != side:
			n.reportPartition(TransitionPartitioned, missing)
		}
	case PartitionHealed:
		switch {
		case cut:
			p.enter(PartitionSuspect, n.now)
		case held >= n.cfg.PartitionGrace:
			p.enter(PartitionHealthy, n.now)
		}
	}
	p.Grace = 0
	if p.State == PartitionSuspect {
		p.Grace = max(n.cfg.PartitionGrace-(n.now-p.changed), 0)
	}
	if p.State != PartitionSuspect && p.State != Partitioned {
		p.Side = NoSide
	}
}

// endPartition tells a heal, where missing members came back, from forgetting, where they were given up.
func (n *Node) endPartition() {
	p := &n.split
	if p.Reachable > p.fewest {
		p.enter(PartitionHealed, n.now)
		n.reportPartition(TransitionHealed, nil)
		return
	}
	p.enter(PartitionHealthy, n.now)
}

func (p *partition) enter(s PartitionState, now time.Duration) {
	p.State, p.changed = s, now
}

func isCut(reachable, total int) bool { return (total-reachable)*partitionShare > total }

// inMinority looks anew: the detector's own look may be a period old, as long as a suspicion that ripened meanwhile.
func (n *Node) inMinority() bool {
	reachable, total, _ := n.reach()
	return isCut(reachable, total) && sideOf(reachable, total, n.reachesLowest) == Minority
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

// A footing is what a member counts as for the partition detector.
type footing uint8

const (
	uncounted footing = iota
	reached
	missed
)

// footing says what m counts as. Whoever is alone, hearing nobody, accuses nobody and yet reaches nobody.
func (n *Node) footing(m *member, alone bool) footing {
	switch {
	case m == nil:
		return uncounted
	case m.state == Alive && (!alone || m.ref == selfRef):
		return reached
	case m.state.Live(), m.state == Failed && m.lost && n.now-m.since < partitionMemory:
		return missed
	default:
		return uncounted
	}
}

// alone says whether nobody was heard in a whole cycle of probes.
func (n *Node) alone() bool {
	return len(n.live) > 1 && n.now-n.heardAny > n.cycle()+2*n.cfg.ProtocolPeriod
}

// reach counts the reachable members and all that should be, and names some that are missing.
func (n *Node) reach() (reachable, total int, missing []ID) {
	alone := n.alone()
	for _, m := range n.members {
		switch n.footing(m, alone) {
		case reached:
			reachable++
		case missed:
			total++
			if len(missing) < unreachableListed {
				missing = append(missing, m.id)
			}
		}
	}
	return reachable, total + reachable, missing
}

// reachesLowest says whether the lowest id of all that count is among the reachable. It compares every id, a fifth of a member's
// CPU where a thousand do it each period.
func (n *Node) reachesLowest() bool {
	alone := n.alone()
	var lowest ID
	var is footing
	for _, m := range n.members {
		if s := n.footing(m, alone); s != uncounted && (lowest == "" || m.id < lowest) {
			lowest, is = m.id, s
		}
	}
	return is == reached
}

func (n *Node) reportPartition(kind TransitionKind, missing []ID) {
	p := &n.split
	n.report(Transition{Kind: kind, Own: true, Evidence: Evidence{
		Side: p.Side, Reachable: p.Reachable, Total: p.Total, Unreachable: missing,
	}}, n.self, n.self.state)
}

// Partition is what this member makes of the members it cannot reach.
func (n *Node) Partition() Partition { return n.split.Partition }
