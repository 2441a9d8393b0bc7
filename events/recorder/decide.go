package recorder

import (
	"fmt"
	"slices"
	"time"

	"rollcall/events"
)

// action is what to do with a draft now.
type action uint8

const (
	actAppend action = iota + 1 // append event, expecting expect
	actDerive                   // append event, which the draft builds on, and decide the draft again
	actWait                     // decide again when the roll has moved on, or a little later
	actDone                     // the log has it, or has no use for it
	actRenew                    // the log has it and could not use it when it came: say it again under a new id
	actAside                    // nobody can use it: put it aside with the reason
)

// Why a draft is dropped that the log does not have, see Stats.
const (
	reasonAgreed     = "agreed"
	reasonSuperseded = "superseded"
)

// decision is what the roll, as it stands, makes of a draft.
type decision struct {
	action action
	event  events.Event // of actAppend and actDerive
	expect uint64
	count  *counter // raised when the decision is carried out; nil for none
	reason string   // of actAside, and of actDone where the log does not have it
	stale  uint64   // not 0: the incarnation that this member must rise above
}

// judge is a draft before the roll. It is made and used under the recorder's lock.
type judge struct {
	r      *Recorder
	ev     events.Event
	node   events.Node
	waited time.Duration // how long the draft has waited for what it builds on
	alone  bool          // no draft about another node waits
}

// decide is a pure function of the roll, of what the feed found of ours, and of its arguments.
func (r *Recorder) decide(ev events.Event, waited time.Duration) decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.landing[ev.ID]; l != nil && l.found {
		if l.kind == events.Failed && (l.result == events.Refused || l.result == events.Evident) {
			// The quorum that the decision saw was gone when the event came: another node's event was between.
			return decision{action: actRenew, count: &r.counts.renewed}
		}
		return decision{action: actDone}
	}
	if r.newer.about(ev.Node) {
		return decision{action: actWait} // what a newer version said of the node cannot be decided upon
	}
	node, _ := r.roll.Node(ev.Node)
	j := judge{r: r, ev: ev, node: node, waited: waited, alone: len(r.lanes) <= 1}
	d := j.decide()
	d.expect = r.newest(ev.Node)
	return d
}

func (j *judge) decide() decision {
	switch j.ev.Kind {
	case events.Suspected:
		return j.suspected()
	case events.Failed:
		return j.failed()
	case events.Joined, events.Refuted, events.Tagged:
		return j.risen()
	case events.Left:
		return j.left()
	default: // evidence: it changes nothing, so it is never too late or too early
		return j.asIs()
	}
}

func (j *judge) asIs() decision { return decision{action: actAppend, event: j.ev} }

// suspected: the first accusation of an incarnation is said as such, every other as accused.
func (j *judge) suspected() decision {
	switch {
	case j.tooEarly():
		return j.await(func() decision { return j.lowered((*judge).suspected) })
	case j.overtaken():
		return j.accused(j.reason())
	case !j.speaks():
		return j.await(func() decision { return j.accused(j.reason()) })
	case j.node.State == events.StateSuspect:
		return j.accused("")
	default:
		return j.asIs()
	}
}

// failed: the first verdict of an incarnation that has its quorum in the log. It waits for the accusations that are still
// in other members' outboxes as long as the suspicion stands.
func (j *judge) failed() decision {
	switch {
	case j.tooEarly():
		return j.await(func() decision { return j.lowered((*judge).failed) })
	case j.overtaken():
		if j.r.said[j.ev.Node] >= j.ev.Incarnation {
			return decision{action: actDone, count: &j.r.counts.agreed, reason: reasonAgreed}
		}
		return j.accused(j.reason())
	case !j.speaks():
		return j.await(func() decision { return j.accused(j.reason()) })
	case !slices.Contains(j.node.Accusers, j.r.self):
		return j.derived()
	case j.r.roll.Judge(j.ev).Result == events.Applied:
		return j.asIs()
	default:
		return decision{action: actWait}
	}
}

// risen: joined, refuted or tagged, each with an incarnation of our own that must be new to the log.
func (j *judge) risen() decision {
	switch out := j.r.roll.Judge(j.ev); out.Result {
	case events.Applied:
		return j.asIs()
	case events.Late:
		return decision{action: actDone, count: &j.r.counts.superseded, reason: reasonSuperseded, stale: j.node.Incarnation}
	default:
		// The log does not know us, or as one that has left: whatever we raised our incarnation for, to the log we join.
		ev := j.ev
		ev.Kind = events.Joined
		if ev.Address == "" || j.r.roll.Judge(ev).Result != events.Applied {
			return decision{action: actAside, reason: out.Reason}
		}
		return decision{action: actAppend, event: ev}
	}
}

func (j *judge) left() decision {
	switch out := j.r.roll.Judge(j.ev); {
	case out.Result == events.Late:
		return decision{action: actDone, count: &j.r.counts.superseded, reason: reasonSuperseded}
	case out.Result != events.Applied:
		return decision{action: actAside, reason: out.Reason}
	case !j.alone && j.waited < leaveLimit:
		return decision{action: actWait} // who has left accuses nobody: say first what we have to say of others
	default:
		return j.asIs()
	}
}

// tooEarly: the log has not heard of the subject, or not of this incarnation. Its own events are on their way.
func (j *judge) tooEarly() bool {
	return j.node.State == events.Unknown || j.ev.Incarnation > j.node.Incarnation
}

// overtaken: the log is past what the draft says.
func (j *judge) overtaken() bool {
	return j.ev.Incarnation < j.node.Incarnation || !j.node.State.Live()
}

// speaks: our word counts in the log, for it holds us alive or suspect. It may not have our own joined or refuted yet.
func (j *judge) speaks() bool {
	n, _ := j.r.roll.Node(j.r.self)
	return n.State.Live()
}

// reason the log would have for not applying the draft.
func (j *judge) reason() string { return j.r.roll.Judge(j.ev).Reason }

// await waits for what the draft builds on, within bounds, and then does as otherwise says.
func (j *judge) await(otherwise func() decision) decision {
	if j.waited < precedingLimit {
		return decision{action: actWait}
	}
	return otherwise()
}

// accused is the draft kept as evidence. late says why it changes nothing; empty when it merely was not the first.
func (j *judge) accused(late string) decision {
	ev := amended(j.ev, func(e *events.Evidence) { e.Claim, e.Late = j.ev.Kind, late })
	ev.Kind = events.Accused
	return decision{action: actAppend, event: ev, count: &j.r.counts.accused}
}

// lowered is the draft about the newest incarnation that the log knows, decided anew. The subject raised its incarnation
// and died, or was cut off, before the log heard of it: who is gone at the higher one is gone at the lower, and if it is
// not gone, its refutation stands above this when it comes. Of a subject that never joined nothing can be said: evidence.
func (j *judge) lowered(decide func(*judge) decision) decision {
	if j.node.State == events.Unknown {
		return j.accused(j.reason())
	}
	lower := *j
	lower.ev = amended(j.ev, func(e *events.Evidence) {
		e.Reason = fmt.Sprintf("%s (observed at incarnation %d)", e.Reason, j.ev.Incarnation)
	})
	lower.ev.Incarnation = j.node.Incarnation
	return decide(&lower)
}

// derived is the accusation that our verdict implies and the log lacks: ours came when we did not count, or was put aside.
func (j *judge) derived() decision {
	ev := amended(j.ev, func(e *events.Evidence) { e.Accusers, e.Since = nil, nil })
	ev.ID, ev.Kind = events.NewID(), events.Suspected
	if j.node.State == events.StateSuspect {
		ev = amended(ev, func(e *events.Evidence) { e.Claim = events.Failed })
		ev.Kind = events.Accused
	}
	return decision{action: actDerive, event: ev}
}
