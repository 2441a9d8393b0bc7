package projections

import (
	"slices"
	"strings"
	"time"

	"rollcall/events"
)

const (
	// UnreachableFor is how long an accusation that its node has answered counts as a sign that the accuser cannot reach it. An
	// accuser that is refuted again and again holds back for 32 protocol periods at most, so one that still cannot reach the
	// node has accused it again by then, where a period is 1.5 s at most.
	UnreachableFor = time.Minute
	// unreachableMax bounds the accusers kept for a node; the latest are.
	unreachableMax = 32
)

// Unreached is an accuser whose word a node answered: the node lives, and the accuser could not reach it.
type Unreached struct {
	By string
	At time.Time // when the log accepted the answer
}

// UnreachableFrom lists, by id, who could not reach the node in the last UnreachableFor before now, although it lived and said
// so through the log: the far side of a partition that the log spans, say. It is a statement about the network between them,
// not about the node's state. A verdict, a departure and a new life of the node withdraw it at once, time does else.
func (n *Node) UnreachableFrom(now time.Time) []string {
	var from []string
	for _, u := range n.Unreached {
		if now.Sub(u.At) < UnreachableFor {
			from = append(from, u.By)
		}
	}
	return from
}

// unreachedAfter is what stands of a node's list after a step; before is its row until then, which keeps its own.
func unreachedAfter(before *Node, s *step) []Unreached {
	switch {
	case !s.out.Before.Live(), !s.out.After.Live(), s.Kind == events.Joined && s.out.Result == events.Applied:
		return nil // it was gone, or is, or another process took its place
	case len(before.Accusers) == 0 || s.node.Incarnation == before.Incarnation:
		return before.Unreached
	}
	list := make([]Unreached, 0, len(before.Unreached)+len(before.Accusers))
	for _, u := range before.Unreached {
		if s.Stored.Sub(u.At) < UnreachableFor && !slices.Contains(before.Accusers, u.By) {
			list = append(list, u)
		}
	}
	for _, id := range before.Accusers {
		list = append(list, Unreached{By: id, At: s.Stored.UTC()})
	}
	if over := len(list) - unreachableMax; over > 0 {
		slices.SortStableFunc(list, func(a, b Unreached) int { return a.At.Compare(b.At) })
		list = list[over:]
	}
	slices.SortFunc(list, func(a, b Unreached) int { return strings.Compare(a.By, b.By) })
	return list
}

func encodeUnreached(w *writer, list []Unreached) {
	w.uint(uint64(len(list)))
	for _, u := range list {
		w.string(u.By)
		w.time(u.At)
	}
}

func decodeUnreached(rd *reader) (list []Unreached) {
	n := rd.count()
	if n == 0 {
		return nil
	}
	list = make([]Unreached, 0, min(n, unreachableMax))
	for range n {
		list = append(list, Unreached{By: rd.shared(), At: rd.time()})
	}
	return list
}
