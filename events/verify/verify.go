package verify

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"rollcall/events"
)

// IDCost is what remembering the id of one event takes, in bytes, on average: 16 for the id, 8 for the position, and what
// a hash table leaves empty. A million events take some 55 MB.
const IDCost = 60

// Verifier reads a log, one message after the other. It is not safe for concurrent use.
type Verifier struct {
	report  func(Finding)
	roll    *events.Roll
	seen    map[uuid.UUID]uint64  // event id to position
	spoke   map[[3]string]instant // author, node and group to the latest time it named
	quorums *quorums
	nodes   *history
	groups  *groups
	sum     Summary
}

type instant struct {
	at       time.Time
	position uint64
}

// New returns a verifier of the log of cluster that hands each finding to report.
func New(cluster string, report func(Finding)) *Verifier {
	nodes := newHistory()
	return &Verifier{
		report: report, roll: events.NewRoll(cluster), seen: make(map[uuid.UUID]uint64), spoke: make(map[[3]string]instant),
		quorums: newQuorums(), nodes: nodes, groups: newGroups(nodes), sum: Summary{Cluster: cluster},
	}
}

// Summary says what was read and found so far.
func (v *Verifier) Summary() Summary {
	v.sum.Nodes, v.sum.Live = v.roll.Len(), v.roll.Live()
	return v.sum
}

// Next judges the message at position, as the log holds it. Positions start at 1. It fails with events.ErrUnknownKind for
// an event of a newer version, which this version can neither judge nor skip: nothing behind it is to be read.
func (v *Verifier) Next(position uint64, subject string, body []byte) error {
	if position <= v.sum.Position {
		v.find(Finding{Severity: Violation, Rule: "I10", Position: position,
			Text: fmt.Sprintf("it comes after position %d", v.sum.Position)})
		return nil
	}
	v.missing(position - 1)
	rec, err := events.Decode(subject, body)
	rec.Position = position
	switch {
	case errors.Is(err, events.ErrUnknownKind):
		return fmt.Errorf("position %d (%.512s): %w", position, subject, err)
	case err != nil:
		v.sum.Position = position
		ev, _ := events.ParseSubject(subject) // as much of it as there is
		if ev.Group != "" && ev.Cluster == v.sum.Cluster {
			v.groups.unreadable(ev.Group, position)
		}
		v.about(events.Recorded{Event: ev, Position: position}, Violation, "I15", fmt.Sprintf("it cannot be read: %v", err))
		return nil
	}
	v.sum.Position = position
	if rec.Group != "" {
		v.sum.Groups++
		v.group(rec)
		return nil
	}
	v.sum.Events++
	v.event(rec)
	return nil
}

// End says that the log ends at position last.
func (v *Verifier) End(last uint64) {
	v.missing(last)
	v.sum.Position = max(v.sum.Position, last)
}

// missing finds the positions that were passed over up to last.
func (v *Verifier) missing(last uint64) {
	if first := v.sum.Position + 1; first <= last {
		v.find(Finding{Severity: Violation, Rule: "I1", Position: first,
			Text: fmt.Sprintf("positions %d to %d are missing: what was acknowledged is gone", first, last)})
	}
}

func (v *Verifier) event(rec events.Recorded) {
	if first, twice := v.identify(rec.ID, rec.Position); twice {
		v.about(rec, Violation, "I2", fmt.Sprintf("its id %s was used at position %d", rec.ID, first))
	}
	v.order(rec)
	before, _ := v.roll.Node(rec.Node)
	author, _ := v.roll.Node(rec.Author)
	out := v.roll.Apply(rec)
	v.count(out.Result)
	if f, ok := v.judge(rec, before, author.State, out); ok {
		v.about(rec, f.Severity, f.Rule, f.Text)
	}
	if after, _ := v.roll.Node(rec.Node); after.LastPosition == rec.Position { // else it is of another cluster
		v.quorums.follow(before, after, v.roll.Live())
		v.nodes.follow(rec.Position, rec.Node, before.State, after.State)
	}
}

// group judges an event of a group by what the log says of its nodes, then and now.
func (v *Verifier) group(rec events.Recorded) {
	if first, twice := v.identify(rec.ID, rec.Position); twice {
		v.about(rec, Violation, "I2", fmt.Sprintf("its id %s was used at position %d", rec.ID, first))
	}
	v.order(rec)
	if rec.Cluster != v.sum.Cluster {
		v.count(events.Refused)
		v.about(rec, Violation, "I3", "it is of another cluster")
		return
	}
	result, found := v.groups.judge(&rec)
	v.count(result)
	if len(found) > 0 {
		f := worst(found)
		v.about(rec, f.Severity, f.Rule, f.Text)
	}
}

// identify remembers an id, or says where it was used before.
func (v *Verifier) identify(text string, position uint64) (first uint64, twice bool) {
	id, err := uuid.Parse(text)
	if err != nil {
		return 0, false
	}
	if first, twice = v.seen[id]; !twice {
		v.seen[id] = position
	}
	return first, twice
}

// order compares the time that the author names with the latest it named about this node or group. Its events about others
// are written at the same time, in no order.
func (v *Verifier) order(rec events.Recorded) {
	key := [3]string{rec.Author, rec.Node, rec.Group}
	last, spoke := v.spoke[key]
	if spoke && rec.Time.Before(last.at) {
		v.about(rec, Note, "I4", fmt.Sprintf("its author's time goes back by %v, to before its event at position %d",
			last.at.Sub(rec.Time), last.position))
		return
	}
	v.spoke[key] = instant{rec.Time, rec.Position}
}

func (v *Verifier) count(result events.Result) {
	switch result {
	case events.Applied:
		v.sum.Applied++
	case events.Evident:
		v.sum.Evident++
	case events.Late:
		v.sum.Late++
	case events.Refused:
		v.sum.Refused++
	}
}

func (v *Verifier) about(rec events.Recorded, severity Severity, rule, text string) {
	v.find(Finding{
		Severity: severity, Rule: rule, Position: rec.Position, Node: rec.Node, Group: rec.Group, Author: rec.Author,
		Kind: rec.Kind, Text: text,
	})
}

func (v *Verifier) find(f Finding) {
	if f.Severity == Violation {
		v.sum.Violations++
	} else {
		v.sum.Notes++
	}
	v.report(f)
}
