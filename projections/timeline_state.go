package projections

import (
	"rollcall/events"
)

// writeMark writes one entry's mark; m.position is counted from the entry before. An outcome gets a number when it first
// comes, unless it is one that may never come again.
func (t *Timeline) writeMark(w *writer, m mark, common bool) {
	w.uint(m.position)
	n, known := t.number[m.outcome]
	if !known && common && len(t.outcomes) < outcomesMax {
		n, known = len(t.outcomes), true
		t.outcomes = append(t.outcomes, m.outcome)
		t.number[m.outcome] = n
	}
	if known {
		w.uint(uint64(n) + 1)
	} else {
		w.uint(0)
		writeOutcome(w, m.outcome)
	}
	w.uint(m.size)
}

// readMark reads what writeMark wrote of the entry after position.
func (t *Timeline) readMark(rd *reader, position uint64) mark {
	m := mark{position: position + rd.uint()}
	switch n := rd.uint(); {
	case n == 0:
		m.outcome = readOutcome(rd)
	case n > uint64(len(t.outcomes)):
		rd.fail("an outcome without a number")
	default:
		m.outcome = t.outcomes[n-1]
	}
	m.size = rd.uint()
	return m
}

// skimMark reads a mark as readMark does, and returns only by how much the position rises, and the size of the body: a
// state has hundreds of thousands of them.
func (t *Timeline) skimMark(rd *reader) (step, size uint64) {
	step = rd.uint()
	switch n := rd.uint(); {
	case n == 0:
		readOutcome(rd)
	case n > uint64(len(t.outcomes)):
		rd.fail("an outcome without a number")
	}
	return step, rd.uint()
}

func writeOutcome(w *writer, o events.Outcome) {
	w.byte(byte(o.Result))
	w.byte(byte(o.Before))
	w.byte(byte(o.After))
	w.string(o.Reason)
}

func readOutcome(rd *reader) events.Outcome {
	return events.Outcome{
		Result: events.Result(rd.byte()), Before: events.State(rd.byte()), After: events.State(rd.byte()), Reason: rd.string(),
	}
}

// writeBody writes what an entry says besides its mark; tags are its tags as they are written, where they are known.
func writeBody(w *writer, rec *events.Recorded, tags string) {
	w.string(rec.ID)
	w.string(string(rec.Kind))
	w.string(rec.Author)
	w.uint(rec.Incarnation)
	w.time(rec.Time)
	w.time(rec.Stored)
	w.string(rec.Address)
	if tags != "" {
		w.buf = append(w.buf, tags...)
	} else {
		w.tags(rec.Tags)
	}
	w.bytes(rec.Evidence)
}

func readBody(rd *reader) Entry {
	return Entry{
		ID: rd.string(), Kind: events.Kind(rd.string()), Author: rd.string(), Incarnation: rd.uint(),
		Time: rd.time(), Stored: rd.time(), Address: rd.string(), Tags: rd.tags(), Evidence: rd.bytes(),
	}
}

// encode writes all of it; bare leaves the bodies out.
func (t *Timeline) encode(w *writer, bare bool) {
	w.uint(t.clock)
	w.uint(uint64(len(t.outcomes)))
	for _, o := range t.outcomes {
		writeOutcome(w, o)
	}
	w.uint(uint64(t.tracks.rows))
	for id, k := range t.tracks.all() {
		if bare {
			k.bare, k.bodies = k.Kept, bodies{}
		}
		w.string(id)
		w.uint(uint64(k.Kept))
		w.uint(k.Older)
		w.uint(k.Suspicions)
		w.uint(k.FalseSuspicions)
		w.uint(k.Failures)
		w.uint(k.Flaps)
		k.ledger.encode(w)
		w.uint(uint64(k.bare))
		w.uint(k.base)
		w.bytes(k.marks)
		k.bodies.encode(w)
		w.spill()
	}
}

func decodeTimeline(rd *reader) *Timeline {
	t := newTimeline()
	t.clock = rd.uint()
	for range rd.count() {
		o := readOutcome(rd)
		if _, twice := t.number[o]; twice || len(t.outcomes) == outcomesMax {
			rd.fail("outcomes")
			return t
		}
		t.number[o] = len(t.outcomes)
		t.outcomes = append(t.outcomes, o)
	}
	for range rd.count() {
		id := rd.shared()
		k := t.decodeTrack(rd)
		if rd.err != nil {
			return t
		}
		if !t.tracks.push(id, k) {
			rd.fail("histories out of order")
			return t
		}
	}
	return t
}

// bodyMax bounds what an entry says besides its mark: an event, whose body has the fields of an entry written longer.
const bodyMax = 2 * events.BodyMax

// decodeTrack reads a track and makes sure that there is one mark an entry and one body a mark. What a body says is
// between the one who wrote it and the one who asks for it: a snapshot has a checksum.
func (t *Timeline) decodeTrack(rd *reader) track {
	k := track{Tally: Tally{Kept: int(rd.uint()), Older: rd.uint(), Counts: Counts{
		Suspicions: rd.uint(), FalseSuspicions: rd.uint(), Failures: rd.uint(), Flaps: rd.uint(),
	}}}
	k.ledger = decodeLedger(rd)
	k.bare = int(rd.uint())
	k.base = rd.uint()
	k.marks, k.bodies = rd.bytes(), decodeBodies(rd)
	switch {
	case k.Kept < 1 || k.Kept > HistoryMax || k.bare < 0 || k.bare > k.Kept:
		rd.fail("history of no such length")
		return k
	case k.at > t.clock:
		rd.fail("account ahead of the clock")
		return k
	}
	marks, entries, here := reader{buf: k.marks}, 0, uint64(0)
	for k.last = k.base; len(marks.buf) > 0; entries++ {
		step, size := t.skimMark(&marks)
		if step == 0 || k.last+step < k.last || size > bodyMax {
			marks.fail("history out of order")
		}
		k.last += step
		k.size += size
		if entries >= k.bare {
			here += size
		}
	}
	if marks.err != nil || entries != k.Kept || here != uint64(k.bodies.size) {
		rd.fail("history in pieces")
	}
	return k
}

func (l *ledger) encode(w *writer) {
	w.byte(byte(l.state))
	w.uint(l.at)
	w.uint(l.known)
	w.uint(l.up)
	if l.detected == nil {
		w.uint(0)
		return
	}
	w.uint(uint64(len(l.detected.classes)))
	for _, c := range l.detected.classes {
		w.uint(uint64(c.class))
		w.uint(uint64(c.n))
	}
	w.uint(l.detected.sumMillis)
}

func decodeLedger(rd *reader) ledger {
	l := ledger{state: events.State(rd.byte()), at: rd.uint(), known: rd.uint(), up: rd.uint()}
	used := rd.count()
	if used == 0 {
		return l
	}
	l.detected = &fewDelays{classes: make([]delayClass, 0, min(used, delayClasses))}
	for next := uint64(0); used > 0; used-- {
		class, n := rd.uint(), rd.uint()
		if class < next || class >= delayClasses || n == 0 || n != uint64(uint32(n)) {
			rd.fail("delays")
			return l
		}
		l.detected.classes = append(l.detected.classes, delayClass{uint8(class), uint32(n)})
		next = class + 1
	}
	l.detected.sumMillis = rd.uint()
	return l
}
