package swim

import (
	"math"
	"time"
)

// newEdgeDelay is the longest wait before a new edge's first probe.
const newEdgeDelay = 100 * time.Millisecond

// edge is what this member knows of the way to one peer that it probes, or probed.
type edge struct {
	observed bool   // on the regular schedule
	mark     uint64 // of the last refresh that wanted it
	timer    uint64 // its next regular probe
	probe    int32  // its running probe; noRef when none
	rtt      roundTrip
	phi      *PhiDetector  // of its acks; nil until the first
	beat     time.Duration // the cycle at which phi learned; 0: nothing learned
	silent   bool          // its present silence was reported

	missed     time.Duration // when a ping of ours last went unanswered, with nothing heard since
	unanswered int           // pings of that probe
	mute       time.Duration // when it was last asked as a relay and kept silent
	backoff    time.Duration // no accusation until then: the last ones were refuted
	refutedAt  time.Duration // the last of them
	refuted    uint8         // how many of ours were, less those forgotten
	recheck    uint64        // timer: does its digest still differ
	hinted     time.Duration // when the transport's last hint was followed
	believe    uint64        // timer: its verdict, heard from others, waits for our own probe
	verdict    uint64        // incarnation of that verdict
	informed   time.Duration // when it was last told that it is held suspect or failed
	differs    bool          // its digest differed when it was last heard
	asked      bool          // and it was asked again
	verdictBy  origin        // and how it came
	verdictOf  []byte        // its accusers, encoded
}

func (n *Node) edgeOf(m *member) *edge {
	if m.edge == nil {
		m.edge = &edge{probe: noRef, missed: never, mute: never, backoff: never, hinted: never, informed: never}
	}
	return m.edge
}

// roundTrip estimates mean and deviation of an edge's round trips, exponentially weighted by 1/8 (as RFC 6298 does for
// the mean; the deviation here is a standard deviation).
type roundTrip struct {
	mean, variance float64 // seconds, seconds²
	samples        int
}

func (r *roundTrip) add(d time.Duration) {
	x := d.Seconds()
	if r.samples < 2 {
		// Half the first sample as deviation, like RFC 6298, so that the next is not held to an exact repeat. The second
		// replaces the first, which holds the handshake of a new connection as a rule.
		r.mean, r.variance = x, x*x/4
	} else {
		diff := x - r.mean
		r.mean += diff / 8
		r.variance += (diff*diff - r.variance) / 8
	}
	r.samples++
}

func (r *roundTrip) average() time.Duration { return time.Duration(r.mean * float64(time.Second)) }

// ackTimeout is how long a ping on this edge is waited for: the mean round trip and 6σ more, but AckTimeoutMin more at
// least, and what this member's own timers are late; AckTimeout in all at most; widened by its health score (detection
// rule 3; Lifeguard, section 4.1).
func (n *Node) ackTimeout(e *edge) time.Duration {
	wait := n.cfg.AckTimeout
	if e.rtt.samples > 0 {
		slack := time.Duration(6 * math.Sqrt(e.rtt.variance) * float64(time.Second))
		wait = min(e.rtt.average()+max(slack, n.cfg.AckTimeoutMin)+n.lateness(), n.cfg.AckTimeout)
	}
	return wait * time.Duration(n.health+1)
}

// repeatPart of the wait beyond the mean round trip is over when an unanswered ping is sent once more.
const repeatPart = 0.6

// repeatAfter is when, of a wait, an unanswered ping is sent once more: never before the ack is due.
func (e *edge) repeatAfter(wait time.Duration) time.Duration {
	due := min(e.rtt.average(), wait)
	return due + time.Duration(repeatPart*float64(wait-due))
}

// healthMax is the worst local health score (Lifeguard, section 4.1).
const healthMax = 8

// feel moves the local health score: up when this member seems slow itself, down when a probe went well.
func (n *Node) feel(delta int) {
	if !n.cfg.NoLocalHealth {
		n.health = min(max(n.health+delta, 0), healthMax)
	}
}
