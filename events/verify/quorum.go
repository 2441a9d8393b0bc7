package verify

import (
	"slices"

	"rollcall/events"
)

// quorums remembers how easy a verdict can have been for whoever decided it. Its author had read everything about the node,
// and everything else up to some moment since: a verdict is in good faith if the best of these moments gives it a quorum. The
// number of live members and the silence of others are looked at apart, each at its best: more is let pass than could
// be, and nothing that can be is called a violation.
type quorums struct {
	live  int               // members after the event before
	floor map[string]int    // suspect node to the fewest live members since its newest event
	spoke map[string]uint64 // node to the position at which it last ceased to be suspect or failed
}

func newQuorums() *quorums {
	return &quorums{floor: make(map[string]int), spoke: make(map[string]uint64)}
}

// follow takes note of what an event made of its node. live is the number of live members after it.
func (q *quorums) follow(before, after events.Node, live int) {
	if live < q.live {
		for id, least := range q.floor {
			q.floor[id] = min(least, live)
		}
	}
	q.live = live
	if after.State == events.StateSuspect {
		q.floor[after.ID] = live // whoever decides from now on has read this event
	} else {
		delete(q.floor, after.ID)
	}
	if mute(before.State) && !mute(after.State) {
		q.spoke[after.ID] = after.LastPosition
	}
}

// mute reports whether a member in this state counts as an accuser that cannot speak.
func mute(s events.State) bool { return s == events.StateSuspect || s == events.StateFailed }

// least is the smallest quorum that the node can have needed since its newest event.
func (q *quorums) least(id string) int { return events.Quorum(q.floor[id]) }

// silentAtBest is how many of those whom a verdict names as unable to speak can have been so. roll is as the verdict left
// it, which is as it was: it was refused.
func (q *quorums) silentAtBest(roll *events.Roll, rec events.Recorded, before events.Node) int {
	evidence, err := events.ParseEvidence(rec.Evidence)
	if err != nil {
		return 0
	}
	var silent []string
	for _, a := range evidence.Accusers {
		if !a.Implicit || a.ID == before.ID || slices.Contains(before.Accusers, a.ID) || slices.Contains(silent, a.ID) {
			continue
		}
		n, _ := roll.Node(a.ID)
		byOthers := slices.ContainsFunc(n.Accusers, func(accuser string) bool { return accuser != rec.Author })
		if mute(n.State) && byOthers || q.spoke[a.ID] > before.LastPosition {
			silent = append(silent, a.ID)
		}
	}
	return len(silent)
}
