package projections

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/events"
)

// RejectedMax is how many unreadable events are kept with their reason; all of them are counted.
const RejectedMax = 100

// reasonMax bounds the reason kept with an unreadable event, in bytes.
const reasonMax = 200

// ErrVersion says that a state was encoded by another version of a view: fold the log again.
var ErrVersion = errors.New("state is of another version")

// Views are the folds of one log, all at the same position.
type Views struct {
	Registry    *Registry
	Timeline    *Timeline
	Assignments *Assignments

	roll     *events.Roll // decides what each event does; the views follow; nil when frozen
	cluster  string
	live     int
	rolled   uint64 // position of the roll, which moves over what can be read only
	position uint64
	stored   time.Time
	rejected []Rejected
	rejects  uint64
}

// Step is one event with what the fold made of it.
type Step struct {
	events.Recorded
	Outcome events.Outcome
}

// step is one event on its way through the views.
type step struct {
	*events.Recorded
	out    events.Outcome
	number int          // of its node, in the roll
	node   *events.Node // what the log says about it from here on
	tags   string       // Recorded.Tags as they are written down; empty: nobody knows yet
}

// Rejected is an event that is in the log and could not be read.
type Rejected struct {
	Position uint64
	Node     string // empty when not even the subject could be read
	Reason   string // at most 200 bytes
}

// New returns the views of an empty log.
func New(cluster string) *Views {
	return &Views{
		Registry: newRegistry(), Timeline: newTimeline(), Assignments: newAssignments(),
		roll: events.NewRoll(cluster), cluster: cluster,
	}
}

// Freeze returns views that stay as they are while v goes on, to be read and encoded from any goroutine; an event applied to
// them panics. It takes a few microseconds for ten thousand nodes, and v some more when it next writes to what they share.
func (v *Views) Freeze() *Views {
	out := *v
	out.roll = nil
	out.Registry, out.Timeline, out.Assignments = v.Registry.freeze(), v.Timeline.freeze(), v.Assignments.clone()
	out.rejected = slices.Clip(v.rejected)
	return &out
}

// Thaw returns views that go on from v, which are frozen and stay so, and may be thawed any number of times and from any
// goroutine. It takes a few milliseconds for ten thousand nodes.
func (v *Views) Thaw() *Views {
	roll, err := events.RestoreRoll(v.cluster, v.rolled, v.Registry.nodes())
	if err != nil {
		panic(fmt.Sprintf("projections: views at position %d do not go on: %v", v.position, err)) // a fold made them
	}
	out := *v
	out.roll = roll
	out.Registry, out.Timeline, out.Assignments = v.Registry.thaw(), v.Timeline.thaw(), v.Assignments.clone()
	out.rejected = slices.Clip(v.rejected)
	return &out
}

// Position is that of the last event folded or rejected; 0 before the first.
func (v *Views) Position() uint64 { return v.position }

// Stored is when the log accepted the event at Position; zero before the first.
func (v *Views) Stored() time.Time { return v.stored }

// Mark is the place in the log of the event at Position. It tells the log that was folded from any other; zero before the first.
func (v *Views) Mark() events.Mark { return events.Mark{Position: v.position, Stored: v.stored} }

// Live is the number of nodes that are alive or suspect.
func (v *Views) Live() int { return v.live }

// Apply folds one event. An event at or below Position was folded before: it changes nothing, and ok is false.
func (v *Views) Apply(rec events.Recorded) (step Step, ok bool) {
	step.Outcome, ok = v.Advance(&rec)
	if !ok {
		return Step{}, false
	}
	step.Recorded = rec
	return step, true
}

// Advance is Apply, and returns only what the fold made of the event.
func (v *Views) Advance(rec *events.Recorded) (out events.Outcome, ok bool) {
	if rec.Position <= v.position {
		return events.Outcome{}, false
	}
	number, out := v.roll.Advance(rec)
	v.position, v.rolled, v.stored, v.live = rec.Position, rec.Position, rec.Stored.UTC(), v.roll.Live()
	v.Timeline.pass(rec.Stored)
	switch {
	case rec.Group != "":
		out = v.Assignments.apply(rec, v.roll)
	case number >= 0: // else its node never joined, or is another cluster's
		s := step{Recorded: rec, out: out, number: number, node: v.roll.At(number)}
		v.Registry.apply(&s)
		v.Timeline.apply(&s)
		v.Assignments.release(rec.Node, rec.Position, out)
	}
	return out, true
}

// Reject moves over an event that cannot be read and parks the node it is about, unless it is to be passed over (see Parked
// and SkipThrough). What the event said is missing from the views from here on, and they say so. It reports false for a
// position that was passed before.
func (v *Views) Reject(bad *events.DecodeError) bool {
	if bad.Position <= v.position {
		return false
	}
	v.position, v.stored = bad.Position, bad.Stored.UTC()
	v.Timeline.pass(bad.Stored)
	reason := bad.Err.Error()
	rej := Rejected{Position: bad.Position, Reason: reason[:min(len(reason), reasonMax)]}
	if ev, err := events.ParseSubject(bad.Subject); err == nil && ev.Cluster == v.cluster {
		rej.Node = ev.Node
		_, known := v.Registry.Node(ev.Node)
		switch {
		case ev.Group != "":
			v.Assignments.reject(ev.Group, bad.Position)
		case known || ev.Author == ev.Node: // I15: nobody gets a row by what others say of it
			v.Registry.reject(rej, ev.Author == ev.Node)
		}
	}
	v.rejects++
	v.rejected = append(slices.Clip(v.rejected), rej)
	if over := len(v.rejected) - RejectedMax; over > 0 {
		v.rejected = v.rejected[over:]
	}
	return true
}

// Rejected returns the last events that could not be read, oldest first, at most RejectedMax, and how many there were in
// all. The slice is read only.
func (v *Views) Rejected() (last []Rejected, total uint64) { return v.rejected, v.rejects }
