package events

import (
	"fmt"
	"strings"
)

const (
	subjectRoot  = "rollcall"
	subjectNode  = "node"
	subjectGroup = "group"
)

// Subject is where ev belongs in the log: rollcall.<cluster>.node.<node>.<author>.<kind>, or
// rollcall.<cluster>.group.<group>.<author>.<kind>.
func Subject(ev Event) string {
	class := subjectNode
	if ev.Group != "" {
		class = subjectGroup
	}
	return subjectRoot + "." + ev.Cluster + "." + class + "." + ev.about() + "." + ev.Author + "." + string(ev.Kind)
}

// NodeFilter matches every event about one node and is the expectation's subject of every append about it:
// rollcall.<cluster>.node.<node>.>. Racing appends are told apart only when all of them name this very string.
func NodeFilter(cluster, node string) string {
	return subjectRoot + "." + cluster + "." + subjectNode + "." + node + ".>"
}

// GroupFilter matches every event of one group and is the expectation's subject of every append about it:
// rollcall.<cluster>.group.<group>.>.
func GroupFilter(cluster, group string) string {
	return subjectRoot + "." + cluster + "." + subjectGroup + "." + group + ".>"
}

// Expectation is the expectation's subject of an append of ev: its NodeFilter or its GroupFilter.
func Expectation(ev Event) string {
	if ev.Group != "" {
		return GroupFilter(ev.Cluster, ev.Group)
	}
	return NodeFilter(ev.Cluster, ev.Node)
}

// ClusterFilter matches everything in a cluster's log: rollcall.<cluster>.>.
func ClusterFilter(cluster string) string { return subjectRoot + "." + cluster + ".>" }

// SubjectFilter matches the subjects of what passes f, which must not name both a node and a group.
func SubjectFilter(cluster string, f Filter) string {
	class := "*"
	switch {
	case f.Group != "":
		class = subjectGroup
	case f.Node != "":
		class = subjectNode
	}
	any := func(token string) string {
		if token == "" {
			return "*"
		}
		return token
	}
	return strings.Join([]string{
		subjectRoot, cluster, class, any(f.Node + f.Group), any(f.Author), any(string(f.Kind)),
	}, ".")
}

// StreamName is the name of a cluster's stream: ROLLCALL_<cluster>.
func StreamName(cluster string) string { return "ROLLCALL_" + cluster }

// ParseSubject reads what [Subject] makes: of the event it returns, Cluster, Node or Group, Author and Kind are set. It
// fails with [ErrUnknownKind] for a kind outside the vocabulary of nodes or of groups (the other parts are then returned
// all the same, so that a filter can be applied), and with [ErrInvalid] for anything else. It does not allocate on
// success: the results share s.
func ParseSubject(s string) (Event, error) {
	var part [6]string
	rest, more := s, true
	n := 0
	for ; more && n < len(part); n++ {
		part[n], rest, more = strings.Cut(rest, ".")
	}
	ofGroup := part[2] == subjectGroup
	if n < len(part) || more || part[0] != subjectRoot || part[2] != subjectNode && !ofGroup {
		return Event{}, fmt.Errorf("%w: subject %.512q is neither rollcall.<cluster>.node.<node>.<author>.<kind> nor "+
			"rollcall.<cluster>.group.<group>.<author>.<kind>", ErrInvalid, s)
	}
	for _, id := range [...]string{part[1], part[3], part[4]} {
		if !ValidID(id) {
			return Event{}, fmt.Errorf("%w: subject %.512q: %.80q is not an id (1 to %d of A-Z a-z 0-9 _ -)", ErrInvalid, s, id, IDMax)
		}
	}
	ev := Event{Cluster: part[1], Author: part[4], Kind: Kind(part[5])}
	if ofGroup {
		ev.Group = part[3]
	} else {
		ev.Node = part[3]
	}
	if !ev.Kind.Valid() || ev.Kind.OfGroup() != ofGroup {
		return ev, fmt.Errorf("subject %.512q: %w", s, ErrUnknownKind)
	}
	return ev, nil
}
