package projections_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/events"
	"rollcall/projections"
)

// item is what a log yields: an event, or one that cannot be read.
type item struct {
	rec events.Recorded
	bad *events.DecodeError
}

func fold(v *projections.Views, items []item) {
	for _, it := range items {
		if it.bad != nil {
			v.Reject(it.bad)
		} else {
			v.Apply(it.rec)
		}
	}
}

// logs draws a log: any statement by anybody about anybody, so that every outcome comes up.
func logs(t *rapid.T) []item {
	node := rapid.SampledFrom([]string{"n1", "n2", "n3", "n4"})
	kind := rapid.SampledFrom(events.Kinds())
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	position := uint64(0)
	var items []item
	for i := range rapid.IntRange(0, 120).Draw(t, "events") {
		position += rapid.Uint64Range(1, 3).Draw(t, "gap")
		ev := events.Event{
			ID: fmt.Sprint("id-", i), Kind: kind.Draw(t, "kind"), Cluster: "test", Node: node.Draw(t, "node"),
			Author: node.Draw(t, "author"), Incarnation: rapid.Uint64Range(1, 3).Draw(t, "incarnation"),
			Time: at.Add(time.Duration(rapid.IntRange(-1e6, 1e6).Draw(t, "skew")) * time.Millisecond),
		}
		if rapid.Bool().Draw(t, "by itself") {
			ev.Author = ev.Node
		}
		switch ev.Kind {
		case events.Joined, events.Tagged:
			ev.Address, ev.Tags = "127.0.0.1:7001", map[string]string{"a": "1", "b": "2", ev.Node: "3"}
		case events.Refuted, events.Left:
			ev.Tags = rapid.SampledFrom([]map[string]string{nil, {"a": "1"}, {"c": "4"}}).Draw(t, "tags")
		}
		if rapid.Bool().Draw(t, "evidence") {
			ev.Evidence = json.RawMessage(`{"reason":"probe timeout"}`)
		}
		if rapid.IntRange(0, 15).Draw(t, "unreadable") == 0 {
			items = append(items, item{bad: &events.DecodeError{
				Position: position, Subject: events.Subject(ev), Err: errors.New("body is not JSON"),
			}})
			continue
		}
		items = append(items, item{rec: events.Recorded{Event: ev, Position: position, Stored: at.Add(time.Duration(i) * time.Second)}})
	}
	return items
}

// sharing are the same items, of which those with the same tags share them, as they do when one decoder has read them.
func sharing(items []item) []item {
	sets := make(map[string]map[string]string)
	items = slices.Clone(items)
	for i := range items {
		tags := &items[i].rec.Tags
		text := fmt.Sprint(*tags)
		if known, ok := sets[text]; ok && len(*tags) > 0 {
			*tags = known
		}
		sets[text] = *tags
	}
	return items
}

// I9: snapshot and tail give the bytes of a replay from the start, wherever the snapshots were taken and whatever was
// delivered again after them.
func TestI9SplitRestartAndRepeatNeverChangeTheBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := logs(t)
		whole := projections.New("test")
		fold(whole, sharing(items))
		want := whole.Encode()

		views := projections.New("test")
		var frozen *projections.Views
		var state []byte
		for done := 0; done < len(items); {
			again := rapid.IntRange(0, done).Draw(t, "again")
			upTo := rapid.IntRange(done+1, len(items)).Draw(t, "up to")
			fold(views, items[done-again:upTo])
			done = upTo
			if frozen != nil && !bytes.Equal(frozen.Encode(), state) {
				t.Fatalf("what came up to %d changed what was frozen before", done)
			}
			if rapid.Bool().Draw(t, "freeze") {
				frozen, state = views.Freeze(), views.Encode()
			}
			if rapid.Bool().Draw(t, "restart") {
				restored, err := projections.Decode("test", views.Encode())
				if err != nil {
					t.Fatalf("decode after %d events: %v", done, err)
				}
				views = restored
			}
		}
		if got := views.Encode(); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes in pieces, %d at once, and they differ", len(got), len(want))
		}
		if !reflect.DeepEqual(views.Sums(), whole.Sums()) {
			t.Fatal("the same bytes have different sums")
		}
		for _, n := range whole.Registry.Nodes() {
			same, _ := views.Registry.Node(n.ID)
			if !reflect.DeepEqual(same, n) {
				t.Fatalf("%s: %+v in pieces, %+v at once", n.ID, same, n)
			}
			h, _ := whole.Timeline.History(n.ID)
			if same, _ := views.Timeline.History(n.ID); !reflect.DeepEqual(same, h) {
				t.Fatalf("history of %s: %+v in pieces, %+v at once", n.ID, same, h)
			}
		}
	})
}

// I9: what is frozen may go on any number of times, each time by other events, and stays as it is.
func TestI9ThawedViewsGoOnByThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := logs(t)
		cut := rapid.IntRange(0, len(items)).Draw(t, "cut")
		first := projections.New("test")
		fold(first, items[:cut])
		frozen, state := first.Freeze(), first.Encode()
		going := []*projections.Views{first, frozen.Thaw(), frozen.Thaw(), frozen.Thaw().Freeze().Thaw()}
		replays := make([]*projections.Views, len(going))
		for i := range replays {
			replays[i] = projections.New("test")
			fold(replays[i], items[:cut])
		}
		for n := cut; n < len(items); n++ { // in turns, each leaving out another one
			for i := range going {
				if n%len(going) != i {
					fold(going[i], items[n:n+1])
					fold(replays[i], items[n:n+1])
				}
			}
		}
		for i, views := range going {
			if !bytes.Equal(views.Encode(), replays[i].Encode()) {
				t.Fatalf("number %d differs from a replay", i)
			}
		}
		if !bytes.Equal(frozen.Encode(), state) {
			t.Fatal("what was frozen changed")
		}
	})
}

// I15, and what a reader relies on: what it took is the same after any number of later events.
func TestI15HistoriesAreBoundedAndWhatWasReadStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		views := projections.New("test")
		type taken struct {
			views   *projections.Views
			history projections.History
		}
		var held []taken
		n := rapid.IntRange(1, 6*projections.HistoryMax).Draw(t, "events")
		for i := range n {
			ev := events.Event{
				Kind: events.HealthCheckFailed, Cluster: "test", Node: "n1", Author: "n2", Incarnation: 1, ID: fmt.Sprint(i),
			}
			if i == 0 {
				ev.Kind, ev.Author = events.Joined, "n1"
			}
			views.Apply(events.Recorded{Position: uint64(i + 1), Event: ev})
			if rapid.IntRange(0, 9).Draw(t, "read") == 0 {
				h, _ := views.Timeline.History("n1")
				held = append(held, taken{views.Freeze(), h})
			}
		}
		h, _ := views.Timeline.History("n1")
		if h.Kept != len(h.Entries) || h.Kept > projections.HistoryMax || int(h.Older)+h.Kept != n {
			t.Fatalf("%d entries and %d older after %d events", len(h.Entries), h.Older, n)
		}
		if last := h.Entries[len(h.Entries)-1]; last.Position != uint64(n) {
			t.Fatalf("the newest is #%d after %d events", last.Position, n)
		}
		for _, r := range held {
			if again, _ := r.views.Timeline.History("n1"); !reflect.DeepEqual(again, r.history) {
				t.Fatalf("a history frozen at #%d reads %+v later, was %+v", r.views.Position(), again, r.history)
			}
		}
	})
}

// Nobody gets a row by what others say of it, readable or not: only its own word makes one.
func TestI15StrangersHaveNoRow(t *testing.T) {
	views := projections.New("test")
	position := uint64(0)
	for i := range 1000 {
		stranger := fmt.Sprint("n", i)
		position++
		views.Apply(events.Recorded{Position: position, Event: events.Event{
			Kind: events.Suspected, Cluster: "test", Node: stranger, Author: "foe", Incarnation: 1,
		}})
		position++
		views.Reject(&events.DecodeError{
			Position: position, Subject: "rollcall.test.node." + stranger + ".foe.suspected", Err: errors.New("no JSON"),
		})
	}
	if _, known := views.Timeline.History("n7"); known || views.Registry.Len() != 0 {
		t.Errorf("%d rows, a history of n7: %v", views.Registry.Len(), known)
	}
	if _, total := views.Rejected(); total != 1000 || views.Position() != position {
		t.Errorf("%d unreadable events up to position %d, want 1000 up to %d", total, views.Position(), position)
	}
}

func TestI15RejectedAreBounded(t *testing.T) {
	views := projections.New("test")
	for i := range 3 * projections.RejectedMax {
		views.Reject(&events.DecodeError{
			Position: uint64(i + 1), Subject: "rollcall.test.node.n1.n1.joined", Err: errors.New(string(make([]byte, 10_000))),
		})
	}
	last, total := views.Rejected()
	if len(last) != projections.RejectedMax || total != 3*projections.RejectedMax {
		t.Errorf("%d kept of %d", len(last), total)
	}
	if newest := last[len(last)-1]; newest.Position != total || len(newest.Reason) > 200 {
		t.Errorf("newest is #%d with a reason of %d bytes", newest.Position, len(newest.Reason))
	}
	if n, ok := views.Registry.Node("n1"); !ok || n.Rejected != total {
		t.Errorf("n1 is not marked: %+v", n)
	}
}

// Whatever bytes come, Decode answers with views or with an error that says which kind of trouble it is.
func TestDecodeRefusesWhatEncodeDidNotMake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		views := projections.New("test")
		fold(views, logs(t))
		state := views.Encode()
		cut := rapid.IntRange(0, len(state)-1).Draw(t, "cut")
		if _, err := projections.Decode("test", state[:cut]); !errors.Is(err, projections.ErrCorrupt) {
			t.Fatalf("cut at %d of %d: %v", cut, len(state), err)
		}
		if _, err := projections.Decode("test", append(bytes.Clone(state), 0)); !errors.Is(err, projections.ErrCorrupt) {
			t.Fatalf("one byte too many: %v", err)
		}
		bent := bytes.Clone(state)
		bent[rapid.IntRange(0, len(bent)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		_, err := projections.Decode("test", bent) // it may well be another good state; the file's checksum is for that
		if err != nil && !errors.Is(err, projections.ErrCorrupt) && !errors.Is(err, projections.ErrVersion) {
			t.Fatalf("neither corrupt nor of another version: %v", err)
		}
	})
}

func TestDecodeRefusesAnotherVersion(t *testing.T) {
	state := projections.New("test").Encode()
	name := len("fold") + 1 // a length and the name stand before the version
	state[name]++
	if _, err := projections.Decode("test", state); !errors.Is(err, projections.ErrVersion) {
		t.Errorf("a newer fold: %v", err)
	}
}

func TestEventsOfAnotherClusterSayNothing(t *testing.T) {
	views := projections.New("test")
	step, ok := views.Apply(events.Recorded{Position: 1, Event: events.Event{
		Kind: events.Joined, Cluster: "other", Node: "n1", Author: "n1", Incarnation: 1,
	}})
	if !ok || step.Outcome.Result != events.Refused || views.Registry.Len() != 0 || views.Position() != 1 {
		t.Errorf("outcome %v, %d nodes, position %d", step.Outcome, views.Registry.Len(), views.Position())
	}
}
