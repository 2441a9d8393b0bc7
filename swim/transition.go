package swim

import (
	"net/netip"
	"time"
)

// TransitionKind says what a Transition reports.
type TransitionKind uint8

// The transitions.
const (
	TransitionJoined            TransitionKind = iota + 1 // a member came, or came back with a higher incarnation
	TransitionSuspected                                   // an accusation: the first that this view holds, or one of our own
	TransitionRefuted                                     // a suspect, or a member held failed, raised its incarnation
	TransitionFailed                                      // a verdict
	TransitionLeft                                        // a graceful departure
	TransitionTagged                                      // other tags, with a higher incarnation
	TransitionHealthCheckFailed                           // an observed member is silent for too long; no change of state, and none in RoundRobin
	TransitionPartitioned                                 // this member counts itself cut off; no change of state
	TransitionHealed                                      // the partition it reported is over, for the reason given if nobody is back; no change of state
)

func (k TransitionKind) String() string {
	switch k {
	case TransitionJoined:
		return "joined"
	case TransitionSuspected:
		return "suspected"
	case TransitionRefuted:
		return "refuted"
	case TransitionFailed:
		return "failed"
	case TransitionLeft:
		return "left"
	case TransitionTagged:
		return "tagged"
	case TransitionHealthCheckFailed:
		return "health_check_failed"
	case TransitionPartitioned:
		return "partitioned"
	case TransitionHealed:
		return "healed"
	default:
		return "unknown"
	}
}

// Transition is one change of a member's view, or one accusation of its own. Those with Own set are this member's to
// put on record: what it says of itself, whom it accuses, the verdicts that it reached. The others it learned.
type Transition struct {
	Kind        TransitionKind
	Own         bool
	Subject     ID // the member it is about
	Author      ID // who said so first, as far as this view knows
	Incarnation uint64
	Addr        netip.AddrPort
	Tags        Tags
	At          time.Time
	Before      State // of the subject in this view; 0 when it was not known
	Evidence    Evidence
}

// Evidence is what stands behind an accusation or a verdict.
type Evidence struct {
	Reason      string        // a constant text: "probe timeout", "peer closed", …; empty of a partition, and of its end with a return
	Probes      int           // direct pings unanswered
	Timeout     time.Duration // how long the last was waited for
	RTT         time.Duration // mean round trip on this edge before; 0 when never measured
	LastHeard   time.Time     // when the author last heard the subject itself; zero when never
	LocalHealth int           // the author's own score, 0 (well) to 8
	Relays      []RelayAnswer // in the order asked
	Accusers    []Accuser     // of a verdict, in the order heard
	Since       time.Time     // of a verdict: start of the suspicion; of a partition's end: when it was declared
	Phi         float64       // of a failed health check
	Side        Side          // of a partition, with the figures below
	Reachable   int           // members this one reaches, itself included
	Total       int           // members there should be
	Unreachable []ID          // some of those missing
	Previous    uint64        // of a join or refutation: the incarnation before; 0 when none
}

// RelayAnswer is what one relay said.
type RelayAnswer struct {
	ID     ID
	Answer Answer
}

// Answer of a relay.
type Answer uint8

// The answers.
const (
	Silent Answer = iota
	Acked
	Nacked
)

func (a Answer) String() string {
	switch a {
	case Acked:
		return "ack"
	case Nacked:
		return "nack"
	default:
		return "silent"
	}
}

// Accuser is one whose accusation a verdict stands on.
type Accuser struct {
	ID       ID
	At       time.Time // when this view heard of it
	Implicit bool      // under suspicion itself: it observes the subject and cannot speak
}
