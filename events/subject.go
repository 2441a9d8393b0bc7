package events

import (
	"errors"
	"fmt"
	"strings"
)

// ErrGroupSubject is what [ParseSubject] and [Decode] answer for an event of an assignment group. The log holds those
// beside node events; a reader of nodes passes over them.
var ErrGroupSubject = errors.New("a group event, not a node event")

const (
	subjectRoot  = "rollcall"
	subjectNode  = "node"
	subjectGroup = "group"
)

// Subject is where ev belongs in the log: rollcall.<cluster>.node.<node>.<author>.<kind>.
func Subject(ev Event) string {
	return subjectRoot + "." + ev.Cluster + "." + subjectNode + "." + ev.Node + "." + ev.Author + "." + string(ev.Kind)
}

// NodeFilter matches every event about one node and is the expectation's subject of every append about it:
// rollcall.<cluster>.node.<node>.>. Racing appends are told apart only when all of them name this very string.
func NodeFilter(cluster, node string) string {
	return subjectRoot + "." + cluster + "." + subjectNode + "." + node + ".>"
}

// ClusterFilter matches everything in a cluster's log: rollcall.<cluster>.>.
func ClusterFilter(cluster string) string { return subjectRoot + "." + cluster + ".>" }

// StreamName is the name of a cluster's stream: ROLLCALL_<cluster>.
func StreamName(cluster string) string { return "ROLLCALL_" + cluster }

// ParseSubject reads what [Subject] makes. It fails with [ErrGroupSubject] for an event of a group, with [ErrUnknownKind]
// for a kind outside the vocabulary (the other parts are then returned all the same, so that a filter can be applied),
// and with [ErrInvalid] for anything else. It does not allocate on success: the results share s.
func ParseSubject(s string) (cluster, node, author string, kind Kind, err error) {
	var part [6]string
	rest, more := s, true
	n := 0
	for ; more && n < len(part); n++ {
		part[n], rest, more = strings.Cut(rest, ".")
	}
	if n > 2 && part[0] == subjectRoot && part[2] == subjectGroup {
		return "", "", "", "", fmt.Errorf("subject %.512q: %w", s, ErrGroupSubject)
	}
	if n < len(part) || more || part[0] != subjectRoot || part[2] != subjectNode {
		return "", "", "", "", fmt.Errorf("%w: subject %.512q is not rollcall.<cluster>.node.<node>.<author>.<kind>", ErrInvalid, s)
	}
	cluster, node, author, kind = part[1], part[3], part[4], Kind(part[5])
	for _, id := range [...]string{cluster, node, author} {
		if !ValidID(id) {
			return "", "", "", "", fmt.Errorf("%w: subject %.512q: %.80q is not an id (1 to %d of A-Z a-z 0-9 _ -)",
				ErrInvalid, s, id, IDMax)
		}
	}
	if !kind.Valid() {
		return cluster, node, author, kind, fmt.Errorf("subject %.512q: %w", s, ErrUnknownKind)
	}
	return cluster, node, author, kind, nil
}
