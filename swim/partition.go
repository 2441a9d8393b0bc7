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

// Partition is what a member makes of the members it cannot reach. While suspect or partitioned it speaks of the electorate alone:
// the members that this one knew when the cut began, as far as it can tell from when it last heard the missing. Who joins later
// counts for nothing until that is over, or each side could make itself a majority out of newcomers that the other does not know.
type Partition struct {
	State     PartitionState
	Side      Side          // while suspect or partitioned
	Grace     time.Duration // while suspect: what is left of it
	Reachable int           // members alive in this view, this one included
	Total     int           // these, and those unreachable and not yet given up
}

func (p Partition) String() string {
	if p.Side == NoSide {
		return p.State.String()
	}
	return fmt.Sprintf("%v (%v, %d of %d reachable)", p.State, p.Side, p.Reachable, p.Total)
}

// Reasons of a partition's end with which nobody came back.
const (
	ReasonGivenUp     = "the missing are given up"
	ReasonMissingLeft = "the missing left"
)

const (
	// A partition is when more than 1/partitionShare of the members are unreachable together.
	partitionShare = 3
	// partitionMemory is how long a failed member counts as missing. After that it is one that no longer exists. In a partition they
	// are given up all at once, when that is true of each, or the sides would change with every one of them; and whoever is mute in a
	// minority gives up nobody, for it would speak again while it is cut off as before.
	partitionMemory = 10 * time.Minute
	// unreachableListed is how many missing members the evidence of a partition names.
	unreachableListed = 16
)

// partition is the detector. It sees only the view; a partition and a mass crash look the same from inside.
type partition struct {
	Partition
	changed time.Duration // when State was entered
	timer   uint64
}

// open reports whether members are missing, so that the electorate is settled.
func (p *partition) open() bool { return p.State == PartitionSuspect || p.State == Partitioned }

// checkPartition looks at the view once a period.
func (n *Node) checkPartition() {
	p := &n.split
	p.timer = n.timers.arm(timerPartition, noRef, n.now+n.cfg.ProtocolPeriod)
	t := n.look()
	p.Reachable, p.Total = t.reachable, t.total
	cut, side := t.cut(), p.Side
	if cut {
		p.Side = n.sideOf(&t)
	}
	held := n.now - p.changed
	switch p.State {
	case PartitionUnknown, PartitionHealthy:
		switch {
		case cut:
			n.suspectPartition(&t)
		case p.Total > 1:
			p.State = PartitionHealthy
		}
	case PartitionSuspect:
		switch {
		case !cut:
			p.enter(PartitionHealthy, n.now)
		case held >= n.cfg.PartitionGrace:
			n.declarePartition(&t)
		}
	case Partitioned:
		switch {
		case !cut && t.back:
			n.endPartition(PartitionHealed, "")
		case !cut:
			n.endPartition(PartitionHealthy, ReasonMissingLeft)
		case !t.awaited && !(n.cfg.MinorityMute && p.Side == Minority):
			n.endPartition(PartitionHealthy, ReasonGivenUp)
		case p.Side != side:
			n.reportPartition(TransitionPartitioned, Evidence{Unreachable: t.missing})
		}
	case PartitionHealed:
		switch {
		case cut:
			n.suspectPartition(&t)
		case held >= n.cfg.PartitionGrace:
			p.enter(PartitionHealthy, n.now)
		}
	}
	p.Grace = 0
	if p.State == PartitionSuspect {
		p.Grace = max(n.cfg.PartitionGrace-(n.now-p.changed), 0)
	}
	if !p.open() {
		p.Side = NoSide
	}
}

func (p *partition) enter(s PartitionState, now time.Duration) {
	p.State, p.changed = s, now
}

// endPartition reports the end, with the figures of the last look.
func (n *Node) endPartition(s PartitionState, reason string) {
	n.reportPartition(TransitionHealed, Evidence{Reason: reason, Since: n.wall(n.split.changed)})
	n.split.enter(s, n.now)
}

// reportPartition completes e with the figures.
func (n *Node) reportPartition(kind TransitionKind, e Evidence) {
	p := &n.split
	e.Side, e.Reachable, e.Total = p.Side, p.Reachable, p.Total
	n.report(Transition{Kind: kind, Own: true, Evidence: e}, n.self, n.self.state)
}

// Partition is what this member makes of the members it cannot reach.
func (n *Node) Partition() Partition { return n.split.Partition }
