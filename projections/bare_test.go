package projections_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"rollcall/events"
	"rollcall/projections"
)

// I9: from a bare state and the tail everything comes out the same but what the events before it said, and with those
// events histories are the same too.
func TestI9BareStateGoesOnToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := logs(t)
		cut := rapid.IntRange(0, len(items)).Draw(t, "cut")
		whole := projections.New("test")
		fold(whole, items[:cut])
		var state bytes.Buffer
		if err := whole.EncodeBareTo(&state); err != nil {
			t.Fatal(err)
		}
		bare, err := projections.DecodeFrom("test", &state, int64(state.Len()))
		if err != nil {
			t.Fatal(err)
		}
		fold(whole, items[cut:])
		fold(bare, items[cut:])
		var want, got bytes.Buffer
		if err := errors.Join(whole.EncodeBareTo(&want), bare.EncodeBareTo(&got)); err != nil || !bytes.Equal(want.Bytes(), got.Bytes()) {
			t.Fatalf("bare, %d bytes and %d, %v", want.Len(), got.Len(), err)
		}
		for _, n := range whole.Registry.Nodes() {
			complete, _ := whole.Timeline.History(n.ID)
			h, _ := bare.Timeline.History(n.ID)
			for i := range items {
				if rec := &items[i].rec; rec.Node == n.ID {
					h.Complete(rec)
				}
			}
			if !reflect.DeepEqual(h, complete) {
				t.Fatalf("history of %s: %+v, want %+v", n.ID, h, complete)
			}
		}
	})
}

// I15: a history is bounded in bytes too, the same in a fold that has only the sizes of its older events (I9).
func TestI15HistoriesAreBoundedInBytes(t *testing.T) {
	large := json.RawMessage(`{"reason":"` + string(bytes.Repeat([]byte("x"), events.EvidenceMax-100)) + `"}`)
	whole, bare := projections.New("test"), projections.New("test")
	for i := range projections.HistoryMax {
		rec := events.Recorded{Position: uint64(i + 1), Event: events.Event{
			ID: fmt.Sprint(i), Kind: events.HealthCheckFailed, Cluster: "test", Node: "n1", Author: "n2", Incarnation: 1, Evidence: large,
		}}
		if i == 0 {
			rec.Kind, rec.Author = events.Joined, "n1"
		}
		whole.Apply(rec)
		bare.Apply(rec)
		var state bytes.Buffer
		if err := bare.EncodeBareTo(&state); err != nil {
			t.Fatal(err)
		}
		var err error
		if bare, err = projections.DecodeFrom("test", &state, int64(state.Len())); err != nil {
			t.Fatal(err)
		}
	}
	h, _ := whole.Timeline.History("n1")
	if most := projections.HistoryBytesMax/len(large) + 1; h.Kept >= most || h.Kept < most-2 || h.Older+uint64(h.Kept) != projections.HistoryMax {
		t.Errorf("%d kept and %d older, at most %d fit", h.Kept, h.Older, most)
	}
	if tally, _ := bare.Timeline.Tally("n1"); tally != h.Tally {
		t.Errorf("bare: %+v, whole: %+v", tally, h.Tally)
	}
}
