package projections

import (
	"encoding/json"
	"maps"
	"slices"
	"sort"
	"time"

	"rollcall/events"
)

// HistoryMax is how many events the timeline keeps of one node: a good dozen episodes of suspicion and return. The
// older ones are counted here and stay in the log.
const HistoryMax = 64

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

// History is what the timeline keeps of one node.
type History struct {
	Entries []Entry // newest last, at most HistoryMax; read only
	Older   uint64  // events before the first of Entries
	Flaps   uint64  // times the node answered a suspicion or a verdict and was alive again, Older included
	Failed  uint64  // verdicts, Older included
}

// Timeline keeps every node's history.
type Timeline struct {
	byID map[string]*History
}

const timelineVersion = 1

// historySlack is how many entries a full history may grow beyond HistoryMax before it moves to a new array: readers may
// hold the old one, so entries are never shifted in place.
const historySlack = 16

func newTimeline() *Timeline { return &Timeline{byID: make(map[string]*History)} }

// clone returns a timeline that stays as it is while t goes on, and may go on by itself.
func (t *Timeline) clone() *Timeline {
	out := &Timeline{byID: make(map[string]*History, len(t.byID))}
	for id, h := range t.byID {
		copied := *h
		copied.Entries = slices.Clip(copied.Entries) // so that both move to an array of their own before they grow
		out.byID[id] = &copied
	}
	return out
}

// History returns what is kept of node id. What the value refers to is never written to again.
func (t *Timeline) History(id string) (History, bool) {
	h, ok := t.byID[id]
	if !ok {
		return History{}, false
	}
	out := *h
	out.Entries = slices.Clip(out.Entries)
	return out, true
}

// Entry returns the event of node id at a position, unless it is older than what is kept.
func (t *Timeline) Entry(id string, position uint64) (Entry, bool) {
	h, ok := t.byID[id]
	if !ok {
		return Entry{}, false
	}
	i := sort.Search(len(h.Entries), func(i int) bool { return h.Entries[i].Position >= position })
	if i == len(h.Entries) || h.Entries[i].Position != position {
		return Entry{}, false
	}
	return h.Entries[i], true
}

func (t *Timeline) apply(step *Step) {
	id := step.Recorded.Node
	h := t.byID[id]
	if h == nil {
		h = &History{}
		t.byID[id] = h
	}
	if step.Outcome.Result == events.Applied {
		switch step.Kind {
		case events.Failed:
			h.Failed++
		case events.Refuted:
			if step.Outcome.Before != step.Outcome.After { // else it answered what never reached the log
				h.Flaps++
			}
		}
	}
	if len(h.Entries) == HistoryMax {
		h.Entries = h.Entries[1:]
		h.Older++
	}
	if len(h.Entries) == cap(h.Entries) {
		larger := make([]Entry, len(h.Entries), min(2*len(h.Entries)+1, HistoryMax+historySlack))
		copy(larger, h.Entries)
		h.Entries = larger
	}
	h.Entries = append(h.Entries, Entry{
		Position: step.Position, ID: step.ID, Kind: step.Kind, Author: step.Author, Incarnation: step.Incarnation,
		Time: step.Time.UTC(), Stored: step.Stored.UTC(), Address: step.Address, Tags: step.Tags, Evidence: step.Evidence,
		Outcome: step.Outcome,
	})
}

func (t *Timeline) encode(w *writer) {
	w.uint(uint64(len(t.byID)))
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		h := t.byID[id]
		w.string(id)
		w.uint(h.Older)
		w.uint(h.Flaps)
		w.uint(h.Failed)
		w.uint(uint64(len(h.Entries)))
		for i := range h.Entries {
			encodeEntry(w, &h.Entries[i])
		}
		w.spill()
	}
}

func decodeTimeline(rd *reader) *Timeline {
	t := newTimeline()
	for range rd.count() {
		id := rd.shared()
		h := &History{Older: rd.uint(), Flaps: rd.uint(), Failed: rd.uint()}
		n := rd.count()
		if n > HistoryMax {
			rd.fail("history too long")
			return t
		}
		h.Entries = make([]Entry, n)
		for i := range h.Entries {
			h.Entries[i] = decodeEntry(rd)
		}
		if rd.err != nil {
			return t
		}
		t.byID[id] = h
	}
	return t
}

func encodeEntry(w *writer, e *Entry) {
	w.uint(e.Position)
	w.string(e.ID)
	w.string(string(e.Kind))
	w.string(e.Author)
	w.uint(e.Incarnation)
	w.time(e.Time)
	w.time(e.Stored)
	w.string(e.Address)
	w.tags(e.Tags)
	w.bytes(e.Evidence)
	w.byte(byte(e.Outcome.Result))
	w.string(e.Outcome.Reason)
	w.byte(byte(e.Outcome.Before))
	w.byte(byte(e.Outcome.After))
}

func decodeEntry(rd *reader) Entry {
	return Entry{
		Position: rd.uint(), ID: rd.string(), Kind: events.Kind(rd.shared()), Author: rd.shared(), Incarnation: rd.uint(),
		Time: rd.time(), Stored: rd.time(), Address: rd.string(), Tags: rd.tags(), Evidence: rd.bytes(),
		Outcome: events.Outcome{
			Result: events.Result(rd.byte()), Reason: rd.shared(),
			Before: events.State(rd.byte()), After: events.State(rd.byte()),
		},
	}
}
