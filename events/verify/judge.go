package verify

import (
	"fmt"
	"slices"

	"rollcall/events"
)

// judge says what the outcome of an event that the fold did not apply tells about its author. before is the node and author
// the state of the author, as the event found them.
func (v *Verifier) judge(rec events.Recorded, before events.Node, author events.State, out events.Outcome) (Finding, bool) {
	accusation := rec.Kind == events.Suspected || rec.Kind == events.Failed
	switch out.Result {
	case events.Refused:
		return v.refused(rec, before, out)
	case events.Late:
		// Late by its node's own history, which its author had read. Only evidence may say again, or say late, what holds.
		if rec.Kind == events.Accused || rec.Kind == events.HealthCheckFailed {
			return Finding{}, false
		}
		return finding(Violation, "I5", "%s, and its author had read so before it wrote this", out.Reason)
	case events.Evident:
		switch {
		case accusation && author == events.Unknown:
			return finding(Note, "I3", "its author never joined, so it accuses nobody")
		case rec.Kind == events.Suspected && author.Live() && before.State == events.StateSuspect:
			return finding(Violation, "I5", "%s: a further accusation is written as accused", out.Reason)
		}
	}
	return Finding{}, false
}

// refused finds out which rule an event broke, in the order in which the fold looks at them.
func (v *Verifier) refused(rec events.Recorded, before events.Node, out events.Outcome) (Finding, bool) {
	accusation := !rec.Kind.ByOwner()
	switch {
	case rec.Mismatch != "", rec.Cluster != v.roll.Cluster(), rec.Kind.ByOwner() != (rec.Author == rec.Node):
		return finding(Violation, "I3", "%s", out.Reason)
	case before.State == events.Unknown && rec.Kind == events.Accused:
		return finding(Note, "I5", "%s, as far as the log knows: kept as evidence", out.Reason)
	case before.State == events.Unknown:
		return finding(Violation, "I5", "%s", out.Reason)
	case accusation && rec.Incarnation > before.Incarnation:
		return finding(Violation, "I7", "it names incarnation %d, the log knows %d: %s",
			rec.Incarnation, before.Incarnation, out.Reason)
	case before.State == events.StateLeft:
		return finding(Violation, "I6", "%s", out.Reason)
	case rec.Kind != events.Failed:
		return finding(Violation, "I5", "%s", out.Reason)
	case before.State != events.StateSuspect, !slices.Contains(before.Accusers, rec.Author):
		return finding(Violation, "I8", "%s", out.Reason)
	}
	return v.quorumless(rec, before)
}

// quorumless judges a verdict by a member that accused, for which the fold saw no quorum.
func (v *Verifier) quorumless(rec events.Recorded, before events.Node) (Finding, bool) {
	needed := v.quorums.least(before.ID)
	silent := v.quorums.silentAtBest(v.roll, rec, before)
	if have := len(before.Accusers) + silent; have < needed {
		return finding(Violation, "I8", "%d accuse, and it needed %d at every moment since position %d",
			have, needed, before.LastPosition)
	}
	return finding(Note, "I8", "no quorum: it can have stood when this was decided, after position %d, and is gone",
		before.LastPosition)
}

func finding(severity Severity, rule, format string, args ...any) (Finding, bool) {
	return Finding{Severity: severity, Rule: rule, Text: fmt.Sprintf(format, args...)}, true
}
