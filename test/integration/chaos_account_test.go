package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"rollcall/events"
	"rollcall/events/outbox"
)

// countTag is the tag whose value tells changes of tags apart.
const countTag = "count"

// account is what members took upon themselves to say. It knows an entry of an outbox from the member's own log, which names each
// before anything can become of it and says of each that is dropped why, and from the disk of a member that was killed. The outbox counts what it accepts: an entry that
// neither has named is missed.
type account struct {
	mu       sync.Mutex
	debts    map[debtKey]*debt
	accepted map[string]uint64 // by member: entries that its outbox ever took
	answers  map[string][]int  // by member: changes of tags that it said it made
	closed   bool              // what is on a disk from now on has nobody left to say it
	aside    []string          // what members said that they put aside
}

type debtKey struct {
	member string
	seq    uint64
}

// debt is one entry of an outbox, as it was first seen. A verdict that is said again has another id.
type debt struct {
	ids         []string
	kind        events.Kind
	node        string
	incarnation uint64
	waited      bool   // it was on the disk of a killed member
	unsaid      bool   // it was there when the account was closed
	dropped     string // why its member had no use for it, when it was last heard of
}

func newAccount() *account {
	return &account{
		debts: make(map[debtKey]*debt), accepted: make(map[string]uint64), answers: make(map[string][]int),
	}
}

func (a *account) answered(member string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[member] = append(a.answers[member], n)
}

// inspected notes what a member that was killed has on its disk.
func (a *account) inspected(member string, accepted uint64, entries []outbox.Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepted[member] = accepted
	for _, e := range entries {
		d := a.debt(member, e.Seq, e.Event)
		d.waited, d.unsaid = !a.closed, a.closed
	}
}

// close says that everybody has said everything and is going to be ended, which those who are ended last may have a word about.
func (a *account) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}

// debt is an entry under one of its ids. The caller holds mu.
func (a *account) debt(member string, seq uint64, ev events.Event) *debt {
	e := a.debts[debtKey{member, seq}]
	if e == nil {
		e = &debt{kind: ev.Kind, node: ev.Node, incarnation: ev.Incarnation}
		a.debts[debtKey{member, seq}] = e
	}
	e.dropped = "" // it is there, again
	if !slices.Contains(e.ids, ev.ID) {
		e.ids = append(e.ids, ev.ID)
	}
	return e
}

// dropped notes why a member lets go of an entry. The caller holds mu.
func (a *account) dropped(member string, seq uint64, reason string) {
	if e := a.debts[debtKey{member, seq}]; e != nil {
		e.dropped = reason
	}
}

// lines is a writer that passes on what is written to it, line by line.
type lines struct {
	take func(line []byte)
	rest []byte
}

func (l *lines) Write(text []byte) (int, error) {
	l.rest = append(l.rest, text...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		l.take(line)
		l.rest = rest
	}
}

// clerk reads the log of one life of a member: entries go into the account, and what is worth reading goes on to others.
type clerk struct {
	member  string
	account *account
	others  *transcript
}

func (c *clerk) read(line []byte) {
	var l struct {
		Level, Msg, Event, Node, Dropped string
		Kind                             events.Kind
		Entry, Incarnation               uint64
	}
	if err := json.Unmarshal(line, &l); err != nil || l.Level != "DEBUG" {
		_, _ = c.others.Write(append(line, '\n'))
		if l.Msg == "entry put aside" {
			c.account.mu.Lock()
			defer c.account.mu.Unlock()
			c.account.aside = append(c.account.aside, fmt.Sprintf("%s: %s", c.member, line))
		}
		return
	}
	if l.Entry > 0 {
		c.account.mu.Lock()
		defer c.account.mu.Unlock()
		if l.Dropped != "" {
			c.account.dropped(c.member, l.Entry, l.Dropped)
			return
		}
		c.account.debt(c.member, l.Entry, events.Event{ID: l.Event, Kind: l.Kind, Node: l.Node, Incarnation: l.Incarnation})
	}
}

// ledger is what the log holds, as far as an account asks for it.
type ledger struct {
	roll    *events.Roll
	events  int
	at      map[string]uint64         // by id
	said    map[transition]uint64     // its position
	accused map[accusation]bool       // who accused whom
	over    map[transition]bool       // kind left out: failed or left at this incarnation
	counts  map[string]map[int]uint64 // by member: its counts, with positions
	twice   []string                  // what is in the log twice
}

// transition is what a node can go through once.
type transition struct {
	kind        events.Kind
	node        string
	incarnation uint64
}

type accusation struct {
	author, node string
	incarnation  uint64
}

func newLedger() *ledger {
	return &ledger{
		roll: events.NewRoll(siteCluster), at: make(map[string]uint64), said: make(map[transition]uint64),
		accused: make(map[accusation]bool), over: make(map[transition]bool), counts: make(map[string]map[int]uint64),
	}
}

// enter takes the next event of the log.
func (l *ledger) enter(rec events.Recorded) {
	l.events++
	if first := l.at[rec.ID]; first > 0 {
		l.twice = append(l.twice, fmt.Sprintf("the event %s is at the positions %d and %d", rec.ID, first, rec.Position))
	}
	l.at[rec.ID] = rec.Position
	l.roll.Apply(rec)
	switch rec.Kind {
	case events.Joined, events.Refuted, events.Tagged:
		if n, err := strconv.Atoi(rec.Tags[countTag]); err == nil {
			if l.counts[rec.Node] == nil {
				l.counts[rec.Node] = make(map[int]uint64)
			}
			l.counts[rec.Node][n] = rec.Position
		}
		l.once(rec, "raised") // by whatever of the three
	case events.Left:
		l.once(rec, rec.Kind)
	case events.Suspected, events.Failed:
		l.once(rec, rec.Kind)
		l.accused[accusation{rec.Author, rec.Node, rec.Incarnation}] = true
	case events.Accused:
		l.accused[accusation{rec.Author, rec.Node, rec.Incarnation}] = true
	}
	if n, _ := l.roll.Node(rec.Node); n.State == events.StateFailed || n.State == events.StateLeft {
		l.over[transition{node: n.ID, incarnation: n.Incarnation}] = true
	}
}

func (l *ledger) once(rec events.Recorded, kind events.Kind) {
	key := transition{kind, rec.Node, rec.Incarnation}
	if first := l.said[key]; first > 0 {
		l.twice = append(l.twice, fmt.Sprintf("%s of %s at incarnation %d is at the positions %d and %d",
			kind, rec.Node, rec.Incarnation, first, rec.Position))
	}
	l.said[key] = rec.Position
}

// has reports whether an entry is in the log, under the id that it had last: what stands there under an earlier one was of no use.
func (l *ledger) has(e *debt) bool { return l.at[e.ids[len(e.ids)-1]] > 0 }

// agrees reports whether the log could do without a verdict: it holds its author's accusation of this incarnation or a later one,
// and the node was past the verdict's. A verdict about an incarnation that the log never knew is one about an earlier.
func (l *ledger) agrees(author string, e *debt) bool {
	n, _ := l.roll.Node(e.node)
	accused := func(incarnation uint64) bool {
		for i := incarnation; i <= n.Incarnation; i++ {
			if l.accused[accusation{author, e.node, i}] {
				return true
			}
		}
		return false
	}
	past := func(incarnation uint64) bool {
		return n.Incarnation > incarnation || l.over[transition{node: e.node, incarnation: incarnation}]
	}
	incarnation := e.incarnation
	for ; incarnation > 1 && l.said[transition{"raised", e.node, incarnation}] == 0; incarnation-- {
	}
	return e.kind == events.Failed && accused(incarnation) && past(incarnation)
}

// settle looks in the log for all that was to be said.
func (a *account) settle(l *ledger, r *result, lost func(string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, text := range a.aside {
		lost(text)
	}
	for member, accepted := range a.accepted {
		r.accepted += int(accepted)
		for seq := uint64(1); seq <= accepted; seq++ {
			e := a.debts[debtKey{member, seq}]
			switch {
			case e == nil:
				lost(fmt.Sprintf("%s accepted the entry %d, and nobody has seen it since", member, seq))
				continue
			case l.has(e):
			case e.unsaid:
				r.unsaid++
			case e.dropped == "agreed" && l.agrees(member, e):
				r.agreed++
			default:
				lost(fmt.Sprintf("%s accepted the entry %d: %s of %s at incarnation %d, %v; the log does not have it",
					member, seq, e.kind, e.node, e.incarnation, e.ids))
			}
			if e.waited {
				r.waiting++
			}
		}
	}
	for member, answers := range a.answers {
		r.answered += len(answers)
		for _, n := range answers {
			if l.counts[member][n] == 0 {
				lost(fmt.Sprintf("%s said that it had set the count %d, which the log does not have", member, n))
			}
		}
	}
}

// The checker of TestChaos finds each thing that it is there for.
func TestChaosAccount(t *testing.T) {
	book, owed := newLedger(), newAccount()
	position := uint64(0)
	say := func(kind events.Kind, node, author string, incarnation uint64, count int) string {
		position++
		rec := events.Recorded{Position: position, Event: events.Event{
			ID: fmt.Sprintf("id-%d", position), Cluster: siteCluster, Kind: kind, Node: node, Author: author, Incarnation: incarnation,
			Tags: map[string]string{countTag: strconv.Itoa(count)},
		}}
		book.enter(rec)
		return rec.ID
	}
	tell := func(line string, values ...any) {
		log := lines{take: (&clerk{member: "n1", account: owed}).read}
		for _, b := range fmt.Appendf(nil, line+"\n", values...) {
			_, _ = log.Write([]byte{b})
		}
	}
	accept := func(seq uint64, id string, kind events.Kind, node string, incarnation uint64) {
		tell(`{"level":"DEBUG","msg":"to be said","entry":%d,"event":%q,"kind":%q,"node":%q,"incarnation":%d}`, seq, id, kind, node, incarnation)
	}
	drop := func(seq uint64) {
		tell(`{"level":"DEBUG","msg":"not to be said","entry":%d,"event":"x","dropped":"agreed"}`, seq)
	}
	accept(1, say(events.Joined, "n1", "n1", 1, 1), events.Joined, "n1", 1)
	accept(2, "gone", events.Tagged, "n1", 2)
	say(events.Joined, "n2", "n2", 1, 0)
	accept(3, say(events.Suspected, "n2", "n1", 1, 0), events.Suspected, "n2", 1)
	accept(4, "agreed", events.Failed, "n2", 1)
	drop(4)
	accept(5, "dropped without a reason", events.Failed, "n2", 2)
	drop(5)
	say(events.Failed, "n2", "n1", 1, 0)
	say(events.Failed, "n2", "n1", 1, 0)
	say(events.Joined, "n2", "n2", 2, 0)
	say(events.Tagged, "n1", "n1", 2, 3)
	accept(7, "before", events.Failed, "n2", 1)
	accept(7, say(events.Accused, "n2", "n1", 2, 0), "", "", 0)
	accept(8, "lost and overtaken", events.Failed, "n2", 1)
	accept(9, "lost when it was seen again", events.Failed, "n2", 1)
	drop(9)
	accept(9, "lost when it was seen again", events.Failed, "n2", 1)
	accept(10, say(events.Failed, "n2", "n1", 2, 0), events.Failed, "n2", 2)
	accept(10, "lost when it was said again", "", "", 0)
	for n := 1; n <= 3; n++ {
		owed.answered("n1", n)
	}
	owed.inspected("n1", 10, []outbox.Entry{{Seq: 7, Event: events.Event{ID: "before"}}})

	var r result
	var lost []string
	owed.settle(book, &r, func(text string) { lost = append(lost, text) })
	want := result{accepted: 10, waiting: 1, agreed: 1, answered: 3}
	if r != want {
		t.Errorf("found %+v, want %+v", r, want)
	}
	parts := []string{"gone", "dropped without a reason", "entry 6", "lost and overtaken", "lost when it was seen again",
		"lost when it was said again", "count 2"}
	for i, part := range parts {
		if len(lost) != len(parts) || !strings.Contains(lost[i], part) {
			t.Fatalf("lost %q, want %d, the %d. about %q", lost, len(parts), i+1, part)
		}
	}
	if len(book.twice) != 1 || !strings.Contains(book.twice[0], "failed of n2 at incarnation 1") {
		t.Errorf("twice: %q", book.twice)
	}
}
