package verify_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"rollcall/events"
	"rollcall/events/verify"
)

// Correct members never leave a violation, however late they read: each decides on the log as it had read it, and the log
// takes what it says only if nothing was said about the same node since. That is all the verifier may assume of them.
func TestGoodFaithIsNoViolation(t *testing.T) {
	lost := 0 // verdicts whose quorum was gone when they came
	for seed := range uint64(200) {
		b := faithful(t, rand.New(rand.NewPCG(seed, 0)))
		found, _ := b.read()
		for _, f := range found {
			if f.Severity == verify.Violation {
				t.Fatalf("seed %d: %v\n%s", seed, f, b.transcript())
			}
			if f.Rule == "I8" {
				lost++
			}
		}
	}
	if lost == 0 {
		t.Error("no verdict lost its quorum on the way: these members show nothing")
	}
	t.Log(lost, "verdicts lost their quorum on the way")
}

const ids, steps = 6, 120

// faithful lets members, each with a roll of its own that lags, write a log.
func faithful(t *testing.T, rng *rand.Rand) *book {
	b := &book{t: t}
	rolls := make([]*events.Roll, ids)
	for i := range rolls {
		rolls[i] = events.NewRoll(cluster)
	}
	truth := events.NewRoll(cluster)
	var said []events.Recorded
	for range steps {
		self := rng.IntN(ids)
		roll := rolls[self]
		for int(roll.Position()) < len(said) && rng.IntN(8) > 0 {
			roll.Apply(said[roll.Position()])
		}
		ev, ok := b.choose(rng, roll, fmt.Sprintf("n%d", self))
		if !ok {
			continue
		}
		known, _ := roll.Node(ev.Node)
		if newest, _ := truth.Node(ev.Node); newest.LastPosition != known.LastPosition {
			continue // a conflict
		}
		b.append(ev)
		said = append(said, events.Recorded{Event: ev, Position: uint64(len(b.entries))})
		truth.Apply(said[len(said)-1])
	}
	return b
}

// choose returns something that self may say, on what it read.
func (b *book) choose(rng *rand.Rand, roll *events.Roll, self string) (events.Event, bool) {
	me, _ := roll.Node(self)
	if me.State == events.Unknown {
		return b.event(events.Joined, self, self, 1), true
	}
	if rng.IntN(6) == 0 {
		kind := []events.Kind{events.Joined, events.Refuted, events.Tagged, events.Left}[rng.IntN(4)]
		ev := b.event(kind, self, self, me.Incarnation+uint64(rng.IntN(2)))
		return ev, roll.Judge(ev).Result == events.Applied
	}
	about, ok := roll.Node(fmt.Sprintf("n%d", rng.IntN(ids)))
	if !ok || about.ID == self {
		return events.Event{}, false
	}
	for _, kind := range []events.Kind{events.Failed, events.Suspected} {
		ev := b.event(kind, about.ID, self, about.Incarnation)
		if kind == events.Failed {
			ev.Evidence = everybody(roll, about)
		}
		if roll.Judge(ev).Result == events.Applied {
			return ev, true
		}
	}
	return b.event(events.Accused, about.ID, self, about.Incarnation), true
}

// everybody names all who accuse, and all who are too suspect to.
func everybody(roll *events.Roll, about events.Node) []byte {
	var e events.Evidence
	for n := range roll.Nodes() {
		accused := slices.Contains(about.Accusers, n.ID)
		mute := n.State == events.StateSuspect || n.State == events.StateFailed
		if accused || mute && n.ID != about.ID {
			e.Accusers = append(e.Accusers, events.Accuser{ID: n.ID, Implicit: !accused})
		}
	}
	return e.Raw()
}

func (b *book) transcript() string {
	text := ""
	for i, e := range b.entries {
		text += fmt.Sprintf("%d %s %s\n", i+1, e.subject, e.body)
	}
	return text
}
