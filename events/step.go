package events

import "slices"

// Why an event changed nothing. They are part of what a view shows, so they say it to people.
const (
	reasonCluster     = "it is of another cluster"
	reasonKind        = "its kind is not in the vocabulary"
	reasonGroup       = "it is of a group and says nothing about nodes"
	reasonOwner       = "only the node itself may say this"
	reasonObserver    = "only another member may say this"
	reasonNeverJoined = "the node never joined"
	reasonRaised      = "only the owner raises its incarnation"
	reasonOld         = "the log knows a newer incarnation"
	reasonKnown       = "the log knows this incarnation already"
	reasonLeft        = "left is final until the node joins again"
	reasonHasLeft     = "the node has left"
	reasonHasFailed   = "the node has failed already"
	reasonNotLive     = "its author is not a live member"
	reasonSuspect     = "the node is suspect already"
	reasonEvidence    = "evidence only"
	reasonUnopened    = "no suspicion stands that it could add to"
	reasonNoSuspicion = "no suspicion stands"
	reasonNotAccuser  = "its author did not accuse"
	reasonNoQuorum    = "no quorum"
)

// quorumMax is how many accusers a verdict needs where the cluster has as many.
const quorumMax = 3

// Quorum is the number of distinct accusers that a failed verdict needs in a cluster of live alive and suspect members,
// the accused included: everybody else, but never more than 3 nor fewer than 1.
func Quorum(live int) int { return max(1, min(quorumMax, live-1)) }

// step is the whole law: what ev makes of its node cur. It changes nothing, neither r nor anything that cur refers to.
func (r *Roll) step(cur Node, ev *Event, mismatch string) (Node, Outcome) {
	next, result, reason := r.decide(cur, ev, mismatch)
	if result != Applied && result != Evident {
		next = cur
	}
	return next, Outcome{Result: result, Reason: reason, Before: cur.State, After: next.State}
}

func (r *Roll) decide(cur Node, ev *Event, mismatch string) (Node, Result, string) {
	switch {
	case mismatch != "":
		return cur, Refused, mismatch
	case !ev.Kind.Valid() || ev.Kind.OfGroup():
		return cur, Refused, reasonKind
	case ev.Kind.ByOwner() && ev.Author != ev.Node:
		return cur, Refused, reasonOwner
	case !ev.Kind.ByOwner() && ev.Author == ev.Node:
		return cur, Refused, reasonObserver
	}
	switch ev.Kind {
	case Joined:
		return join(cur, ev)
	case Refuted:
		return refute(cur, ev)
	case Tagged:
		return tag(cur, ev)
	case Left:
		return leave(cur, ev)
	case Suspected, Accused, Failed:
		return r.accuse(cur, ev)
	case HealthCheckFailed:
		if ev.Incarnation < cur.Incarnation {
			return cur, Late, reasonOld
		}
	}
	return cur, Evident, reasonEvidence
}

// alive is cur shown to be alive at a higher incarnation: whatever was held against it is answered.
func alive(cur Node, ev *Event) Node {
	cur.State, cur.Incarnation, cur.Accusers = StateAlive, ev.Incarnation, nil
	return cur
}

func join(cur Node, ev *Event) (Node, Result, string) {
	if ev.Incarnation <= cur.Incarnation {
		return cur, Late, reasonKnown
	}
	next := alive(cur, ev)
	next.Address, next.Tags = ev.Address, ev.Tags
	return next, Applied, ""
}

func refute(cur Node, ev *Event) (Node, Result, string) {
	next, result, reason := raise(cur, ev)
	if result == Applied && ev.Address != "" {
		next.Address = ev.Address
	}
	if result == Applied && ev.SetsTags() {
		next.Tags = ev.Tags
	}
	return next, result, reason
}

func tag(cur Node, ev *Event) (Node, Result, string) {
	next, result, reason := raise(cur, ev)
	if result == Applied {
		next.Tags = ev.Tags
	}
	return next, result, reason
}

// SetsTags reports whether the event says which tags its node has from then on, if it is applied.
func (ev *Event) SetsTags() bool {
	return ev.Kind == Joined || ev.Kind == Tagged || ev.Kind == Refuted && len(ev.Tags) > 0
}

// raise is what refuted and tagged have in common: the owner of a node that is on the roll raises its incarnation.
func raise(cur Node, ev *Event) (Node, Result, string) {
	switch {
	case cur.State == Unknown:
		return cur, Refused, reasonNeverJoined
	case ev.Incarnation <= cur.Incarnation:
		return cur, Late, reasonKnown
	case cur.State == StateLeft:
		return cur, Refused, reasonLeft
	}
	return alive(cur, ev), Applied, ""
}

// leave prevails over a verdict of the same incarnation: it is the owner's last word.
func leave(cur Node, ev *Event) (Node, Result, string) {
	switch {
	case cur.State == Unknown:
		return cur, Refused, reasonNeverJoined
	case ev.Incarnation < cur.Incarnation:
		return cur, Late, reasonOld
	case cur.State == StateLeft && ev.Incarnation == cur.Incarnation:
		return cur, Late, reasonHasLeft
	case cur.State == StateLeft:
		return cur, Refused, reasonLeft
	}
	cur.State, cur.Incarnation, cur.Accusers = StateLeft, ev.Incarnation, nil
	return cur, Applied, ""
}

// accuse judges suspected, accused and failed.
func (r *Roll) accuse(cur Node, ev *Event) (Node, Result, string) {
	switch {
	case cur.State == Unknown:
		return cur, Refused, reasonNeverJoined
	case ev.Incarnation > cur.Incarnation:
		return cur, Refused, reasonRaised // I7
	case ev.Incarnation < cur.Incarnation:
		return cur, Late, reasonOld
	case !r.state(ev.Author).Live():
		return cur, Evident, reasonNotLive
	case cur.State == StateLeft:
		return cur, Late, reasonHasLeft
	case cur.State == StateFailed && ev.Kind == Accused:
		return cur, Evident, reasonHasFailed
	case cur.State == StateFailed:
		return cur, Late, reasonHasFailed
	}
	suspect := cur.State == StateSuspect
	switch ev.Kind {
	case Suspected:
		cur.Accusers = withAccuser(cur.Accusers, ev.Author)
		if suspect {
			return cur, Evident, reasonSuspect
		}
		cur.State = StateSuspect
		return cur, Applied, ""
	case Accused:
		if !suspect {
			return cur, Evident, reasonUnopened
		}
		cur.Accusers = withAccuser(cur.Accusers, ev.Author)
		return cur, Evident, reasonEvidence
	default:
		return r.convict(cur, ev)
	}
}

// convict judges a failed event about a node that is alive or suspect (I8).
func (r *Roll) convict(cur Node, ev *Event) (Node, Result, string) {
	switch {
	case cur.State != StateSuspect:
		return cur, Refused, reasonNoSuspicion
	case !slices.Contains(cur.Accusers, ev.Author):
		return cur, Refused, reasonNotAccuser
	case !r.quorate(cur, ev):
		return cur, Refused, reasonNoQuorum
	}
	cur.State = StateFailed
	return cur, Applied, ""
}

// quorate reports whether enough members accuse cur: those whose accusations the log holds, and those that the verdict
// names as implicit because they cannot speak.
func (r *Roll) quorate(cur Node, ev *Event) bool {
	missing := Quorum(r.live) - len(cur.Accusers)
	if missing <= 0 {
		return true
	}
	evidence, err := ParseEvidence(ev.Evidence)
	if err != nil {
		return false
	}
	var silent []string // at most quorumMax
	for _, a := range evidence.Accusers {
		if !a.Implicit || a.ID == cur.ID || slices.Contains(cur.Accusers, a.ID) || slices.Contains(silent, a.ID) {
			continue
		}
		if !r.silent(a.ID, ev.Author) {
			continue
		}
		silent = append(silent, a.ID)
		if len(silent) == missing {
			return true
		}
	}
	return false
}

// silent reports whether id is suspect or failed by the word of somebody besides author: nobody's own accusations alone
// make him a quorum.
func (r *Roll) silent(id, author string) bool {
	n := r.find(id)
	return n != nil && (n.State == StateSuspect || n.State == StateFailed) &&
		slices.ContainsFunc(n.Accusers, func(accuser string) bool { return accuser != author })
}

func (r *Roll) state(id string) State {
	if n := r.find(id); n != nil {
		return n.State
	}
	return Unknown
}

// withAccuser returns list with id in it. It copies before it grows: earlier copies of the node share list.
func withAccuser(list []string, id string) []string {
	if slices.Contains(list, id) {
		return list
	}
	return append(slices.Clip(list), id)
}
