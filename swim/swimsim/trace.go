package swimsim

import (
	"fmt"
	"strings"
	"time"

	"rollcall/swim"
)

// traceKept is how many lines of the end of a run are kept, to be shown when it fails.
const traceKept = 120

// trace keeps the end of what happened, and a hash of all of it. Packets are hashed only: there are too many to read.
type trace struct {
	hash uint64
	ring [traceKept]entry
	next int
}

// entry is a line that is put into words only when it is read.
type entry struct {
	at         time.Duration
	what       string
	by, about  *Member
	number     uint64
	transition *swim.Transition
	record     *Record
}

func (t *trace) mix(x uint64) {
	x ^= t.hash
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	t.hash = x*0xd6e8feb86659fd93 + 1
}

func (t *trace) text(s string) {
	for len(s) > 0 {
		n := min(8, len(s))
		t.mix(word([]byte(s[:n])))
		s = s[n:]
	}
}

func indexOf(m *Member) uint64 {
	if m == nil {
		return 1 << 40
	}
	return uint64(m.index)
}

func (t *trace) packet(at time.Duration, from, to *Member, data []byte) {
	t.mix(uint64(at))
	t.mix(indexOf(from)<<32 ^ indexOf(to) ^ uint64(len(data))<<50)
	for ; len(data) > 0; data = data[min(8, len(data)):] {
		t.mix(word(data))
	}
}

func (t *trace) note(at time.Duration, what string, by, about *Member, number uint64) {
	t.mix(uint64(at))
	t.text(what)
	t.mix(indexOf(by)<<32 ^ indexOf(about))
	t.mix(number)
	t.keep(entry{at: at, what: what, by: by, about: about, number: number})
}

func (t *trace) transition(at time.Duration, by *Member, tr *swim.Transition) {
	t.mix(uint64(at))
	t.mix(indexOf(by)<<8 ^ uint64(tr.Kind))
	t.text(string(tr.Subject))
	t.mix(tr.Incarnation)
	t.text(tr.Evidence.Reason)
	t.keep(entry{at: at, by: by, transition: tr})
}

func (t *trace) recorded(at time.Duration, r *Record) {
	t.mix(uint64(at))
	t.text(string(r.Subject))
	t.mix(r.Incarnation<<8 ^ uint64(r.Kind) ^ uint64(r.Verdict)<<60)
	t.keep(entry{at: at, record: r})
}

func (t *trace) keep(e entry) {
	t.ring[t.next%traceKept] = e
	t.next++
}

func (t *trace) lines() []string {
	var out []string
	for i := max(0, t.next-traceKept); i < t.next; i++ {
		out = append(out, t.ring[i%traceKept].String())
	}
	return out
}

func (e entry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12v ", e.at)
	switch {
	case e.record != nil:
		r := e.record
		fmt.Fprintf(&b, "log %d: %v %s@%d by %s: %v", r.Position, r.Kind, r.Subject, r.Incarnation, r.Author, r.Verdict)
	case e.transition != nil:
		tr := e.transition
		own := ""
		if tr.Own {
			own = " (own)"
		}
		fmt.Fprintf(&b, "%s: %v %s@%d%s, was %v", e.by.ID, tr.Kind, tr.Subject, tr.Incarnation, own, tr.Before)
		if tr.Evidence.Reason != "" {
			fmt.Fprintf(&b, ", %s", tr.Evidence.Reason)
		}
		for _, a := range tr.Evidence.Accusers {
			fmt.Fprintf(&b, " %s", a.ID)
		}
	default:
		fmt.Fprintf(&b, "-- %s", e.what)
		if e.by != nil {
			fmt.Fprintf(&b, " %s", e.by.ID)
		}
		if e.about != nil {
			fmt.Fprintf(&b, " %s", e.about.ID)
		}
		fmt.Fprintf(&b, " %d", e.number)
	}
	return b.String()
}
