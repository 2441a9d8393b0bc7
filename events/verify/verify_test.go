package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/verify"
)

const cluster = "test"

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// entry is a message of a log.
type entry struct {
	subject string
	body    []byte
}

// book is a log in the making.
type book struct {
	t       *testing.T
	entries []entry
}

// event is the next event: its id and its time rise with the position.
func (b *book) event(kind events.Kind, node, author string, incarnation uint64) events.Event {
	n := len(b.entries) + 1
	ev := events.Event{
		ID: fmt.Sprintf("01957600-0000-7000-8000-%012x", n), Kind: kind, Cluster: cluster, Node: node, Author: author,
		Time: start.Add(time.Duration(n) * time.Second), Incarnation: incarnation,
	}
	if kind == events.Joined {
		ev.Address = "127.0.0.1:7946"
	}
	return ev
}

func (b *book) append(ev events.Event) {
	b.t.Helper()
	body, err := events.Encode(ev)
	if err != nil {
		b.t.Fatal(err)
	}
	b.entries = append(b.entries, entry{events.Subject(ev), body})
}

func (b *book) say(kind events.Kind, node, author string, incarnation uint64) {
	b.t.Helper()
	b.append(b.event(kind, node, author, incarnation))
}

// five is a log in which n1 to n5 joined, at positions 1 to 5.
func five(t *testing.T) *book {
	b := &book{t: t}
	for _, id := range []string{"n1", "n2", "n3", "n4", "n5"} {
		b.say(events.Joined, id, id, 1)
	}
	return b
}

// read verifies the log and returns the findings.
func (b *book) read() ([]verify.Finding, verify.Summary) {
	b.t.Helper()
	var found []verify.Finding
	v := verify.New(cluster, func(f verify.Finding) { found = append(found, f) })
	for i, e := range b.entries {
		if e.body == nil {
			continue // taken out
		}
		if err := v.Next(uint64(i+1), e.subject, e.body); err != nil {
			b.t.Fatal(err)
		}
	}
	v.End(uint64(len(b.entries)))
	return found, v.Summary()
}

// A log of correct members has all there can be in a life, and nothing to find.
func TestWholeLog(t *testing.T) {
	b := five(t)
	b.say(events.Suspected, "n5", "n1", 1)
	b.say(events.Accused, "n5", "n2", 1)
	b.say(events.Refuted, "n5", "n5", 2)
	b.say(events.Accused, "n5", "n3", 1) // late, as accusations are said then
	b.say(events.HealthCheckFailed, "n5", "n3", 1)
	b.say(events.Tagged, "n4", "n4", 2)
	for _, author := range []string{"n1", "n2", "n3"} {
		kind := events.Accused
		if author == "n1" {
			kind = events.Suspected
		}
		b.say(kind, "n5", author, 2)
	}
	b.say(events.Failed, "n5", "n2", 2)
	b.say(events.Accused, "n5", "n4", 2)
	b.say(events.Joined, "n5", "n5", 3)
	b.say(events.Left, "n5", "n5", 3)
	b.say(events.Partitioned, "n4", "n4", 2)
	b.say(events.IDConflict, "n4", "n4", 2)
	b.append(b.plan("n1", 20, "n2:s1", "-:s1"))
	found, sum := b.read()
	for _, f := range found {
		t.Errorf("found %v", f)
	}
	want := verify.Summary{
		Cluster: cluster, Position: 21, Events: 20, Groups: 1, Nodes: 5, Live: 4, Applied: 13, Evident: 6, Late: 2,
	}
	if sum != want {
		t.Errorf("summary %+v, want %+v", sum, want)
	}
}

// Each planted fault is found, as what it is, where it is.
func TestPlantedFaults(t *testing.T) {
	suspect := func(b *book) { b.say(events.Suspected, "n5", "n1", 1) } // position 6
	for _, c := range []struct {
		name     string
		plant    func(b *book)
		severity verify.Severity
		rule     string
		position uint64
		text     string // part of it
	}{
		{"a position is missing (I1)", func(b *book) { b.entries[3].body = nil }, verify.Violation, "I1", 4, "positions 4 to 4 are missing"},
		{"the end is missing (I1)", func(b *book) {
			b.say(events.HealthCheckFailed, "n5", "n1", 1)
			b.entries = append(b.entries, entry{}, entry{})
		}, verify.Violation, "I1", 7, "positions 7 to 8 are missing"},
		{"an id is used twice (I2)", func(b *book) {
			ev := b.event(events.HealthCheckFailed, "n5", "n1", 1)
			ev.ID = "01957600-0000-7000-8000-000000000002"
			b.append(ev)
		}, verify.Violation, "I2", 6, "used at position 2"},
		{"a group's event uses an event's id (I2)", func(b *book) {
			ev := b.plan("n1", 5, "n2:s1", "-:s1")
			ev.ID = "01957600-0000-7000-8000-000000000002"
			b.append(ev)
		}, verify.Violation, "I2", 6, "used at position 2"},
		{"the body names another author (I3)", func(b *book) {
			suspect(b)
			b.entries[5].subject = "rollcall.test.node.n5.n2.suspected"
		}, verify.Violation, "I3", 6, `author: body says "n1", subject says "n2"`},
		{"somebody leaves for another (I3)", func(b *book) { b.forge(events.Left, "n5", "n1") }, verify.Violation, "I3", 6, "only the node itself"},
		{"somebody accuses itself (I3)", func(b *book) { b.forge(events.Suspected, "n5", "n5") }, verify.Violation, "I3", 6, "only another member"},
		{"a stranger accuses (I3)", func(b *book) { b.say(events.Suspected, "n5", "n9", 1) }, verify.Note, "I3", 6, "never joined"},
		{"an author's time goes back (I4)", func(b *book) {
			ev := b.event(events.Tagged, "n5", "n5", 2)
			ev.Time = start
			b.append(ev)
		}, verify.Note, "I4", 6, "goes back by 5s"},
		{"tagged and never joined (I5)", func(b *book) { b.say(events.Tagged, "n9", "n9", 1) }, verify.Violation, "I5", 6, "never joined"},
		{"suspected and never joined (I5)", func(b *book) { b.say(events.Suspected, "n9", "n1", 1) }, verify.Violation, "I5", 6, "never joined"},
		{"accused and never joined (I5)", func(b *book) { b.say(events.Accused, "n9", "n1", 1) }, verify.Note, "I5", 6, "never joined"},
		{"joined again as it was (I5)", func(b *book) { b.say(events.Joined, "n5", "n5", 1) }, verify.Violation, "I5", 6, "knows this incarnation"},
		{"left twice (I5)", func(b *book) {
			b.say(events.Left, "n5", "n5", 1)
			b.say(events.Left, "n5", "n5", 1)
		}, verify.Violation, "I5", 7, "has left"},
		{"tagged below its incarnation (I5)", func(b *book) {
			b.say(events.Refuted, "n5", "n5", 3)
			b.say(events.Tagged, "n5", "n5", 2)
		}, verify.Violation, "I5", 7, "knows this incarnation"},
		{"failed twice (I5)", func(b *book) {
			suspect(b)
			b.say(events.Accused, "n5", "n2", 1)
			b.say(events.Accused, "n5", "n3", 1)
			b.say(events.Failed, "n5", "n1", 1)
			b.say(events.Failed, "n5", "n2", 1)
		}, verify.Violation, "I5", 10, "failed already"},
		{"suspected at an old incarnation (I5)", func(b *book) {
			b.say(events.Refuted, "n5", "n5", 2)
			b.say(events.Suspected, "n5", "n1", 1)
		}, verify.Violation, "I5", 7, "newer incarnation"},
		{"suspected twice (I5)", func(b *book) { suspect(b); b.say(events.Suspected, "n5", "n2", 1) }, verify.Violation, "I5", 7, "suspect already"},
		{"refuted after it left (I6)", func(b *book) {
			b.say(events.Left, "n5", "n5", 1)
			b.say(events.Refuted, "n5", "n5", 2)
		}, verify.Violation, "I6", 7, "left is final"},
		{"accused at an incarnation nobody raised (I7)", func(b *book) { b.say(events.Accused, "n5", "n1", 7) }, verify.Violation, "I7", 6, "names incarnation 7, the log knows 1"},
		{"failed out of nothing (I8)", func(b *book) { b.say(events.Failed, "n5", "n1", 1) }, verify.Violation, "I8", 6, "no suspicion"},
		{"failed by who did not accuse (I8)", func(b *book) { suspect(b); b.say(events.Failed, "n5", "n2", 1) }, verify.Violation, "I8", 7, "did not accuse"},
		{"failed without a quorum (I8)", func(b *book) { suspect(b); b.say(events.Failed, "n5", "n1", 1) }, verify.Violation, "I8", 7,
			"1 accuse, and it needed 3 at every moment since position 6"},
		{"failed by a quorum made up (I8)", func(b *book) {
			suspect(b)
			ev := b.event(events.Failed, "n5", "n1", 1)
			ev.Evidence = events.Evidence{Accusers: []events.Accuser{
				{ID: "n1"}, {ID: "n2"}, {ID: "n3", Implicit: true}, {ID: "n4", Implicit: true},
			}}.Raw()
			b.append(ev)
		}, verify.Violation, "I8", 7, "1 accuse, and it needed 3"},
		{"no JSON (I15)", func(b *book) {
			b.entries = append(b.entries, entry{"rollcall.test.node.n5.n5.left", []byte("bye")})
		}, verify.Violation, "I15", 6, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := five(t)
			c.plant(b)
			if b.entries[len(b.entries)-1].body != nil {
				b.say(events.HealthCheckFailed, "n2", "n1", 1) // life goes on
			}
			found, sum := b.read()
			if len(found) != 1 {
				t.Fatalf("found %v, want one thing", found)
			}
			f := found[0]
			if f.Severity != c.severity || f.Rule != c.rule || f.Position != c.position || !strings.Contains(f.Text, c.text) {
				t.Errorf("found %v\nwant %s %s at position %d: … %s …", f, c.severity, c.rule, c.position, c.text)
			}
			if violations := b2u(c.severity == verify.Violation); sum.Violations != violations || sum.Notes != 1-violations {
				t.Errorf("summary %+v, want %d violations", sum, violations)
			}
			if c.rule != "I1" && c.rule != "I2" && (f.Node == "" || f.Author == "" || f.Kind == "") {
				t.Errorf("%+v does not say whose it is", f)
			}
		})
	}
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// forge appends what Encode would refuse: an event that is not its author's to say.
func (b *book) forge(kind events.Kind, node, author string) {
	b.t.Helper()
	honest := b.event(kind, node, "x", 1)
	if kind.ByOwner() {
		honest.Author = node
	}
	body, err := events.Encode(honest)
	if err != nil {
		b.t.Fatal(err)
	}
	forged := honest
	forged.Author = author
	text := strings.ReplaceAll(string(body), `"author":"`+honest.Author+`"`, `"author":"`+author+`"`)
	text = strings.ReplaceAll(text, "/rollcall/test/"+honest.Author, "/rollcall/test/"+author)
	b.entries = append(b.entries, entry{events.Subject(forged), []byte(text)})
}

// A verdict that had its quorum when it was decided, and lost it before it was stored, was given in good faith (I8).
func TestQuorumThatWasLost(t *testing.T) {
	verdict := func(b *book, implicit ...string) {
		ev := b.event(events.Failed, "n5", "n1", 1)
		evidence := events.Evidence{Accusers: []events.Accuser{{ID: "n1"}}}
		for _, id := range implicit {
			evidence.Accusers = append(evidence.Accusers, events.Accuser{ID: id, Implicit: true})
		}
		ev.Evidence = evidence.Raw()
		b.append(ev)
	}
	for name, c := range map[string]struct {
		meanwhile func(b *book)
		want      verify.Severity
	}{
		"members left before it was decided, and others joined since": {func(b *book) {
			b.say(events.Left, "n4", "n4", 1)
			b.say(events.Suspected, "n5", "n1", 1)
			b.say(events.Accused, "n5", "n2", 1) // two of three
			b.say(events.Left, "n3", "n3", 1)    // live: n1, n2, n5; two are enough
			b.say(events.Joined, "n4", "n4", 2)
			b.say(events.Joined, "n3", "n3", 2)
			verdict(b)
		}, verify.Note},
		"members left before the last accusation": {func(b *book) {
			b.say(events.Left, "n4", "n4", 1)
			b.say(events.Left, "n3", "n3", 1)
			b.say(events.Suspected, "n5", "n1", 1)
			b.say(events.Joined, "n4", "n4", 2)
			b.say(events.Joined, "n3", "n3", 2)
			b.say(events.Accused, "n5", "n2", 1) // its author read that five were live
			verdict(b)
		}, verify.Violation},
		"who was too suspect to speak has refuted": {func(b *book) {
			b.say(events.Suspected, "n3", "n2", 1)
			b.say(events.Suspected, "n4", "n2", 1)
			b.say(events.Suspected, "n5", "n1", 1)
			b.say(events.Refuted, "n4", "n4", 2)
			verdict(b, "n3", "n4")
		}, verify.Note},
		"who was too suspect to speak had refuted before": {func(b *book) {
			b.say(events.Suspected, "n3", "n2", 1)
			b.say(events.Suspected, "n4", "n2", 1)
			b.say(events.Refuted, "n4", "n4", 2)
			b.say(events.Suspected, "n5", "n1", 1)
			verdict(b, "n3", "n4")
		}, verify.Violation},
		"who is suspect by the author alone is no witness": {func(b *book) {
			b.say(events.Suspected, "n3", "n1", 1)
			b.say(events.Suspected, "n4", "n1", 1)
			b.say(events.Suspected, "n5", "n1", 1)
			verdict(b, "n3", "n4")
		}, verify.Violation},
	} {
		t.Run(name, func(t *testing.T) {
			b := five(t)
			c.meanwhile(b)
			found, _ := b.read()
			if len(found) != 1 || found[0].Severity != c.want || found[0].Rule != "I8" {
				t.Errorf("found %v, want one %s of I8", found, c.want)
			}
		})
	}
}

// What a newer version wrote ends the reading: it can be neither judged nor skipped.
func TestNewerVersion(t *testing.T) {
	v := verify.New(cluster, func(f verify.Finding) { t.Errorf("found %v", f) })
	err := v.Next(1, "rollcall.test.node.n5.n5.resurrected", []byte("{}"))
	if !errors.Is(err, events.ErrUnknownKind) || !strings.Contains(err.Error(), "position 1") {
		t.Errorf("error %v, want ErrUnknownKind at position 1", err)
	}
	if sum := v.Summary(); sum.Position != 0 {
		t.Errorf("read up to position %d, want 0", sum.Position)
	}
}

// I10: the same position is not judged twice.
func TestRepeatedPosition(t *testing.T) {
	b := five(t)
	var found []verify.Finding
	v := verify.New(cluster, func(f verify.Finding) { found = append(found, f) })
	for _, position := range []uint64{1, 2, 2, 1, 3} {
		e := b.entries[position-1]
		if err := v.Next(position, e.subject, e.body); err != nil {
			t.Fatal(err)
		}
	}
	rules := make([]string, 0, len(found))
	for _, f := range found {
		rules = append(rules, f.Rule)
	}
	if !slices.Equal(rules, []string{"I10", "I10"}) || v.Summary().Events != 3 {
		t.Errorf("found %v, read %d events; want I10 twice, and 3 events", found, v.Summary().Events)
	}
}

func TestFindingFormats(t *testing.T) {
	f := verify.Finding{
		Severity: verify.Violation, Rule: "I8", Position: 7, Node: "n5", Author: "n1", Kind: events.Failed, Text: "no suspicion stands",
	}
	if got, want := f.String(), "violation I8 at position 7, failed of n5 by n1: no suspicion stands"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	raw, err := json.Marshal(f)
	want := `{"severity":"violation","rule":"I8","position":7,"node":"n5","author":"n1","kind":"failed","text":"no suspicion stands"}`
	if err != nil || string(raw) != want {
		t.Errorf("JSON %s (error %v), want %s", raw, err, want)
	}
}
