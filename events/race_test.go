package events_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rollcall/events"
	"rollcall/events/memlog"
)

// observer is a member that holds the same node for dead as all the others do, and says so until the log has taken it.
type observer struct {
	id      string
	log     *memlog.Log
	roll    *events.Roll
	pending *events.Event // appended, the answer is not known
	rude    bool          // after a conflict it says the same again instead of judging again
}

// catchUp folds at most n more events, n being positive.
func (o *observer) catchUp(t *rapid.T, n int) {
	info, err := o.log.Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if o.roll.Position() == info.Last {
		return
	}
	for rec, err := range o.log.Subscribe(context.Background(), events.Filter{}, events.From{Position: o.roll.Position() + 1}) {
		if err != nil {
			t.Fatal(err)
		}
		o.roll.Apply(rec)
		if n--; n == 0 || rec.Position == info.Last {
			return
		}
	}
}

// speak tries one append by what the observer knows now, and reports whether there is nothing left to say.
func (o *observer) speak(t *rapid.T, subject string) (done bool) {
	n, _ := o.roll.Node(subject)
	if o.pending == nil {
		kind := events.Suspected
		switch {
		case n.State == events.StateFailed:
			return true
		case n.State == events.StateSuspect && slices.Contains(n.Accusers, o.id):
			kind = events.Failed
		case n.State == events.StateSuspect:
			kind = events.Accused
		}
		ev := claim(kind, subject, o.id, n.Incarnation)
		ev.ID = events.NewID()
		if r := o.roll.Judge(ev).Result; r != events.Applied && r != events.Evident {
			return false // no quorum yet
		}
		o.pending = &ev
	}
	_, err := o.log.Append(context.Background(), *o.pending, n.LastPosition)
	switch {
	case err == nil, errors.Is(err, events.ErrDuplicate):
		o.pending = nil
	case errors.Is(err, events.ErrConflict):
		last, err := o.log.Last(context.Background(), subject)
		if err != nil {
			t.Fatal(err)
		}
		if last.ID == o.pending.ID || !o.rude {
			o.pending = nil
		}
	case !errors.Is(err, events.ErrUnavailable):
		t.Fatalf("%s: %v", o.id, err)
	}
	return false
}

// TestOneOfEachTransition: whatever the order in which observers read, append, lose the answer and try again, the log
// holds one suspicion and one verdict that were applied, and each thing said is there once (I2).
func TestOneOfEachTransition(t *testing.T) {
	const members = 5
	rapid.Check(t, func(t *rapid.T) {
		log := memlog.New("c")
		log.SetConflictFirst(rapid.Bool().Draw(t, "one server"))
		var observers []*observer
		for i := range members {
			ev := claim(events.Joined, fmt.Sprintf("n%d", i), fmt.Sprintf("n%d", i), 1)
			ev.ID = events.NewID()
			if _, err := log.Append(context.Background(), ev, 0); err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				observers = append(observers, &observer{
					id: ev.Node, log: log, roll: events.NewRoll("c"), rude: rapid.Bool().Draw(t, "rude"),
				})
			}
		}
		for _, o := range observers {
			o.catchUp(t, members)
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			o := rapid.SampledFrom(observers).Draw(t, "observer")
			if rapid.IntRange(0, 4).Draw(t, "lost") == 0 {
				log.LoseAck()
			}
			o.speak(t, "n0")
			if rapid.Bool().Draw(t, "reads") {
				o.catchUp(t, rapid.IntRange(1, 3).Draw(t, "events"))
			}
		}
		for round, left := 0, members-1; left > 0; round++ { // then all of them go on until nobody has anything to say
			if round > 100 {
				t.Fatal("the observers do not come to an end")
			}
			left = 0
			for _, o := range observers {
				o.catchUp(t, 1000)
				if !o.speak(t, "n0") {
					left++
				}
			}
		}
		checkOnce(t, log)
	})
}

func checkOnce(t *rapid.T, log *memlog.Log) {
	reader := &observer{log: log, roll: events.NewRoll("c")}
	info, err := log.Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	applied, ids := make(map[events.Kind]int), make(map[string]bool)
	for rec, err := range log.Subscribe(context.Background(), events.Filter{}, events.From{}) {
		if err != nil {
			t.Fatal(err)
		}
		if ids[rec.ID] {
			t.Fatalf("I2: %s by %s is there twice", rec.Kind, rec.Author)
		}
		ids[rec.ID] = true
		if reader.roll.Apply(rec).Result == events.Applied {
			applied[rec.Kind]++
		}
		if rec.Position == info.Last {
			break
		}
	}
	if applied[events.Suspected] != 1 || applied[events.Failed] != 1 {
		t.Fatalf("applied %v, want one suspicion and one verdict", applied)
	}
}
