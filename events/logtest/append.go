package logtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"rollcall/events"
)

func testRoundTrip(t *testing.T, open Open) {
	log := open(t, cluster)
	large := event(events.Failed, "node_A-1", 1)
	large.Evidence = json.RawMessage(`{"reason":"` + strings.Repeat("x", events.EvidenceMax-20) + `"}`)
	traced := event(events.Refuted, "node_A-1", 1<<63)
	traced.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	sent := []events.Event{event(events.Joined, "node_A-1", 1), event(events.Suspected, "node_A-1", 1), large, traced}
	var expect uint64
	for i, ev := range sent {
		position := mustAppend(t, log, ev, expect)
		if position != uint64(i)+1 {
			t.Fatalf("event %d of a new log is at position %d", i+1, position)
		}
		expect = position
		rec, err := log.Last(bounded(t), ev.Node)
		if err != nil {
			t.Fatalf("last: %v", err)
		}
		wantSame(t, rec, ev, position)
	}
	f := follow(t, log, events.Filter{}, events.From{})
	before := f.want(t, 1)
	wantSame(t, before, sent[0], 1)
	for i, ev := range sent[1:] {
		rec := f.want(t, uint64(i)+2)
		wantSame(t, rec, ev, uint64(i)+2)
		if rec.Stored.Before(before.Stored) {
			t.Errorf("position %d was stored at %v, before the one in front of it, %v", rec.Position, rec.Stored, before.Stored)
		}
		before = rec
	}
}

func testExpectation(t *testing.T, open Open) {
	log := open(t, cluster)
	first := mustAppend(t, log, event(events.Joined, "n1", 1), 0)
	other := mustAppend(t, log, event(events.Joined, "n2", 1), 0) // another node has an expectation of its own
	for what, expect := range map[string]uint64{"none": 0, "another node's": other, "one to come": other + 1} {
		_, err := log.Append(bounded(t), event(events.Suspected, "n1", 1), expect)
		wantError(t, err, events.ErrConflict, "append expecting "+what)
	}
	_, err := log.Append(bounded(t), event(events.Suspected, "n3", 1), first)
	wantError(t, err, events.ErrConflict, "append about a node without events, expecting one")
	if got := last(t, log); got != other {
		t.Fatalf("log ends at %d after refused appends, want %d", got, other)
	}
	second := mustAppend(t, log, event(events.Suspected, "n1", 1), first) // by another author: the expectation is the node's
	_, err = log.Append(bounded(t), event(events.Left, "n1", 1), first)
	wantError(t, err, events.ErrConflict, "append expecting an event that another one followed")
	mustAppend(t, log, event(events.Left, "n1", 1), second)
}

// testDuplicate allows both answers to a retry that expects what was so before the first try: three servers look at the
// id first, one server at the expectation. Either way the event is there once, and Last tells that it is ours.
func testDuplicate(t *testing.T, open Open) {
	log := open(t, cluster)
	ev := event(events.Joined, "n1", 1)
	position := mustAppend(t, log, ev, 0)

	_, err := log.Append(bounded(t), ev, 0)
	if !errors.Is(err, events.ErrDuplicate) && !errors.Is(err, events.ErrConflict) {
		t.Fatalf("retry as it was: error %v, want a duplicate or a conflict", err)
	}
	wantPosition(t, err, position)
	rec, err := log.Last(bounded(t), "n1")
	if err != nil {
		t.Fatalf("last: %v", err)
	}
	wantSame(t, rec, ev, position)

	_, err = log.Append(bounded(t), ev, position)
	wantError(t, err, events.ErrDuplicate, "retry with the expectation of now")
	wantPosition(t, err, position)
	if got := last(t, log); got != position {
		t.Fatalf("log ends at %d, want %d: a retry was stored", got, position)
	}
}

// testTaken: ids are the log's, whoever used one first, and that one is used is no sign that this event is stored.
func testTaken(t *testing.T, open Open) {
	log := open(t, cluster)
	first := event(events.Joined, "n1", 1)
	position := mustAppend(t, log, first, 0)
	second := event(events.Joined, "n2", 1)
	second.ID = first.ID
	_, err := log.Append(bounded(t), second, 0)
	var taken *events.TakenError
	if !errors.Is(err, events.ErrTaken) || !errors.As(err, &taken) || taken.Position != position {
		t.Fatalf("append under the id of position %d: error %v, want a *TakenError with it", position, err)
	}
	if got := last(t, log); got != position {
		t.Fatalf("log ends at %d, want %d", got, position)
	}
	second.ID = events.NewID()
	mustAppend(t, log, second, 0)
}

// wantPosition checks the position that a duplicate names.
func wantPosition(t *testing.T, err error, position uint64) {
	t.Helper()
	if !errors.Is(err, events.ErrDuplicate) {
		return
	}
	var duplicate *events.DuplicateError
	if !errors.As(err, &duplicate) || duplicate.Position != position {
		t.Fatalf("error %#v, want a *DuplicateError with position %d", err, position)
	}
}

func testInvalid(t *testing.T, open Open) {
	log := open(t, cluster)
	for what, spoil := range map[string]func(*events.Event){
		"no id":                func(ev *events.Event) { ev.ID = "" },
		"unknown kind":         func(ev *events.Event) { ev.Kind = "resurrected" },
		"node that is no id":   func(ev *events.Event) { ev.Node, ev.Author = "a.b", "a.b" },
		"another one's claim":  func(ev *events.Event) { ev.Author = "n2" },
		"no incarnation":       func(ev *events.Event) { ev.Incarnation = 0 },
		"no address":           func(ev *events.Event) { ev.Address = "" },
		"evidence of an array": func(ev *events.Event) { ev.Evidence = json.RawMessage(`[1]`) },
		"another cluster":      func(ev *events.Event) { ev.Cluster = "elsewhere" },
	} {
		ev := event(events.Joined, "n1", 1)
		spoil(&ev)
		_, err := log.Append(bounded(t), ev, 0)
		wantError(t, err, events.ErrInvalid, "append with "+what)
	}
	if got := last(t, log); got != 0 {
		t.Fatalf("log ends at %d, want 0: an invalid event was stored", got)
	}
}

func testAppendEnded(t *testing.T, open Open) {
	log := open(t, cluster)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ev := event(events.Joined, "n1", 1)
	if _, err := log.Append(ctx, ev, 0); !errors.Is(err, events.ErrUnavailable) && !errors.Is(err, context.Canceled) {
		t.Fatalf("append with an ended context: error %v, want that the outcome is unknown or that the context ended", err)
	}
	if _, err := log.Last(ctx, "n1"); err == nil || errors.Is(err, events.ErrNotFound) {
		t.Fatalf("last with an ended context: error %v, want one that says nothing about the node", err)
	}
	if _, err := log.Info(ctx); err == nil {
		t.Fatal("info with an ended context: no error")
	}
}

func testRace(t *testing.T, open Open) {
	const rounds, writers = 10, 8
	log := open(t, cluster)
	ctx := bounded(t)
	expect := mustAppend(t, log, event(events.Joined, "n1", 1), 0)
	for range rounds {
		var wg sync.WaitGroup
		positions, failures := make([]uint64, writers), make([]error, writers)
		for w := range writers {
			ev := event(events.Suspected, "n1", 1)
			ev.Author = fmt.Sprintf("w%d", w)
			wg.Go(func() { positions[w], failures[w] = log.Append(ctx, ev, expect) })
		}
		wg.Wait()
		var won []uint64
		for w := range writers {
			switch {
			case failures[w] == nil:
				won = append(won, positions[w])
			case !errors.Is(failures[w], events.ErrConflict):
				t.Errorf("writer %d: error %v, want a conflict", w, failures[w])
			}
		}
		if len(won) != 1 {
			t.Fatalf("%d writers won, at %v; want one", len(won), won)
		}
		rec, err := log.Last(ctx, "n1")
		if err != nil || rec.Position != won[0] || won[0] != expect+1 {
			t.Fatalf("last is at %d (error %v), the winner at %d, the expectation was %d", rec.Position, err, won[0], expect)
		}
		expect = won[0]
	}
}

func testAuthorOrder(t *testing.T, open Open) {
	const authors, each = 4, 25
	log := open(t, cluster)
	ctx := bounded(t)
	sent := make([][]string, authors)
	var wg sync.WaitGroup
	for a := range authors {
		name := fmt.Sprintf("a%d", a)
		wg.Go(func() {
			expect := make(map[string]uint64)
			for i := range each {
				ev := event(events.HealthCheckFailed, fmt.Sprintf("n%d-%d", a, i%3), 1)
				ev.Author = name
				position, err := log.Append(ctx, ev, expect[ev.Node])
				if err != nil {
					t.Errorf("author %s, event %d: %v", name, i, err)
					return
				}
				expect[ev.Node] = position
				sent[a] = append(sent[a], ev.ID)
			}
		})
	}
	wg.Wait()
	f := follow(t, log, events.Filter{}, events.From{})
	read := make(map[string][]string)
	for position := uint64(1); position <= authors*each; position++ {
		rec := f.want(t, position)
		read[rec.Author] = append(read[rec.Author], rec.ID)
	}
	for a := range authors {
		if got := read[fmt.Sprintf("a%d", a)]; fmt.Sprint(got) != fmt.Sprint(sent[a]) {
			t.Errorf("author a%d appended %v, the log holds %v", a, sent[a], got)
		}
	}
}
