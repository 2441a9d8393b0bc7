package projections

import (
	"encoding/json"
	"slices"
	"time"

	"rollcall/events"
)

// Bounds of what the timeline keeps of one node. The older events are counted here and stay in the log.
const (
	HistoryMax      = 64        // events: a good dozen episodes of suspicion and return
	HistoryBytesMax = 256 << 10 // of what those events say, written down; the newest is kept whatever its size
)

// outcomesMax is how many different outcomes are kept once for all entries; what comes later is written out each time.
const outcomesMax = 256

// Entry is one event in a node's history.
type Entry struct {
	Position    uint64
	ID          string
	Kind        events.Kind
	Author      string
	Incarnation uint64
	Time        time.Time // when the author observed it
	Stored      time.Time // when the log accepted it
	Address     string
	Tags        map[string]string
	Evidence    json.RawMessage
	Outcome     events.Outcome
}

// entryOf is the entry of an event, apart from its outcome.
func entryOf(rec *events.Recorded) Entry {
	return Entry{
		Position: rec.Position, ID: rec.ID, Kind: rec.Kind, Author: rec.Author, Incarnation: rec.Incarnation,
		Time: rec.Time.UTC(), Stored: rec.Stored.UTC(), Address: rec.Address, Tags: rec.Tags, Evidence: rec.Evidence,
	}
}

// Tally is what the timeline counts of one node, over all its events.
type Tally struct {
	Kept  int    // events whose entries are kept, at most HistoryMax
	Older uint64 // events before those
	Counts
}

// History is what the timeline keeps of one node. It is the caller's.
type History struct {
	Tally
	Entries []Entry // newest last
	Bare    int     // of the first so many entries nothing but Position and Outcome is known, see Views.EncodeBare
}

// Complete fills in an entry that is bare from its event. It reports whether it was one.
func (h *History) Complete(rec *events.Recorded) bool {
	for i := range h.Entries {
		if e := &h.Entries[i]; e.Position == rec.Position && e.ID == "" {
			out := e.Outcome
			*e = entryOf(rec)
			e.Outcome = out
			h.Bare--
			return true
		}
	}
	return false
}

// Timeline keeps every node's history, and adds up its account.
//
// A history is held as it is written into a snapshot, and made into entries when somebody asks: at a hundred events a
// node that is a quarter of the memory, nothing for the garbage collector to look through, and snapshots at the speed of
// copying.
type Timeline struct {
	tracks   table[track]
	outcomes []events.Outcome // numbered, in the order in which they first came
	number   map[events.Outcome]int
	clock    uint64 // the latest time at which the log accepted an event, in milliseconds since 1970
	scratch  []byte // where a body is put together
}

const timelineVersion = 3

// track is one node's history. What marks and bodies hold is never written to again; marks only grow, and are moved when
// they are full, so that copies may share them.
type track struct {
	Tally
	ledger
	bare   int    // of the first so many entries there is no body
	base   uint64 // position before the first mark
	last   uint64 // position of the last mark
	size   uint64 // of the bodies of all entries, those that are not here included
	marks  []byte // of each entry: position after the one before, outcome, size of its body
	bodies bodies // of each entry that is not bare: see writeBody
}

// mark is what marks says of one entry.
type mark struct {
	position uint64
	outcome  events.Outcome
	size     uint64 // of the body
}

func newTimeline() *Timeline { return &Timeline{number: make(map[events.Outcome]int)} }

// freeze returns a timeline that stays as it is while t goes on, and cannot go on itself.
func (t *Timeline) freeze() *Timeline {
	return &Timeline{tracks: t.tracks.clone(), outcomes: t.outcomes, clock: t.clock}
}

// thaw returns a timeline that goes on from t, which is frozen.
func (t *Timeline) thaw() *Timeline {
	out := newTimeline()
	out.tracks, out.outcomes, out.clock = t.tracks.fork((*track).clip), slices.Clone(t.outcomes), t.clock
	for n, o := range out.outcomes {
		out.number[o] = n
	}
	return out
}

// clip leaves the room behind marks and bodies to the fold that made it.
func (k *track) clip() {
	k.marks = slices.Clip(k.marks)
	k.bodies.clip()
}

// Tally returns what is counted of node id.
func (t *Timeline) Tally(id string) (Tally, bool) {
	k, ok := t.tracks.get(id)
	return k.Tally, ok
}

// History returns what is kept of node id.
func (t *Timeline) History(id string) (History, bool) {
	k, ok := t.tracks.get(id)
	if !ok {
		return History{}, false
	}
	h := History{Tally: k.Tally, Bare: k.bare, Entries: make([]Entry, 0, k.Kept)}
	for m := range t.marksOf(&k) {
		var e Entry
		if len(h.Entries) >= k.bare {
			e = readBody(&reader{buf: k.bodies.front(int(m.size))})
			k.bodies.drop(int(m.size)) // of this copy
		}
		e.Position, e.Outcome = m.position, m.outcome
		h.Entries = append(h.Entries, e)
	}
	return h, true
}

// Outcome returns what the fold made of the event of node id at a position, unless it is older than what is kept.
func (t *Timeline) Outcome(id string, position uint64) (events.Outcome, bool) {
	k, ok := t.tracks.get(id)
	if !ok || position <= k.base || position > k.last {
		return events.Outcome{}, false
	}
	for m := range t.marksOf(&k) {
		if m.position >= position {
			return m.outcome, m.position == position
		}
	}
	return events.Outcome{}, false
}

// marksOf yields the marks of a track, which was checked when it was read.
func (t *Timeline) marksOf(k *track) func(yield func(mark) bool) {
	return func(yield func(mark) bool) {
		rd := &reader{buf: k.marks}
		for position := k.base; len(rd.buf) > 0; {
			m := t.readMark(rd, position)
			if position = m.position; !yield(m) {
				return
			}
		}
	}
}

func (t *Timeline) apply(s *step) {
	k, _ := t.tracks.refBy(s.number, s.Node)
	if s.out.Before != s.out.After {
		k.turn(s, t.clock)
	}
	if k.Kept == 0 {
		k.base, k.last = s.Position-1, s.Position-1
	}
	w := writer{buf: t.scratch[:0]}
	writeBody(&w, s.Recorded, s.tags)
	k.bodies.add(w.buf)
	t.scratch = w.buf
	size := uint64(len(w.buf))
	w = writer{buf: withRoom(k.marks, markRoom)}
	t.writeMark(&w, mark{position: s.Position - k.last, outcome: s.out, size: size}, s.Mismatch == "")
	k.marks, k.last = w.buf, s.Position
	k.Kept++
	k.size += size
	for k.Kept > HistoryMax || k.size > HistoryBytesMax && k.Kept > 1 {
		t.dropOldest(k)
	}
}

// markRoom is what a mark takes, as a rule, in bytes. More only costs another move.
const markRoom = 16

// withRoom returns buf with room for n bytes more. Where it has to be moved, it gets half as much again as it holds: append
// would move it some five times as often.
func withRoom(buf []byte, n int) []byte {
	if cap(buf)-len(buf) >= n {
		return buf
	}
	return append(make([]byte, 0, len(buf)+max(n, len(buf)/2)), buf...)
}

func (t *Timeline) dropOldest(k *track) {
	rd := &reader{buf: k.marks}
	m := t.readMark(rd, k.base)
	k.base, k.marks = m.position, rd.buf
	k.size -= m.size
	k.Kept--
	k.Older++
	if k.bare > 0 {
		k.bare--
	} else {
		k.bodies.drop(int(m.size))
	}
}
