package projector_test

import (
	"bytes"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections"
	"rollcall/test/story"
)

const (
	benchNodes  = 10_000
	benchEvents = 300_000
)

// told returns the views after a story of benchEvents events, as a projector decodes them.
func told(b *testing.B) *projections.Views {
	b.Helper()
	tale := story.New(story.Config{Cluster: "test", Nodes: benchNodes, Seed: 1})
	views := projections.New("test")
	for position := range uint64(benchEvents) {
		ev := tale.Next()
		views.Apply(events.Recorded{Position: position + 1, Stored: ev.Time.Add(time.Millisecond), Event: ev})
	}
	return views
}

// A checkpoint of ten thousand nodes: what it takes the keeper to write one, and a view of the past to begin with it.
func BenchmarkCheckpoint(b *testing.B) {
	views := told(b)
	var state bytes.Buffer
	if err := views.EncodeBareTo(&state); err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(state.Len()))
		for b.Loop() {
			var out bytes.Buffer
			out.Grow(state.Len())
			if err := views.EncodeBareTo(&out); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(state.Len()))
		for b.Loop() {
			if _, err := projections.DecodeFrom("test", bytes.NewReader(state.Bytes()), int64(state.Len())); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a projector does with each event: reading its body, and folding it into all views of ten thousand nodes.
func BenchmarkFold(b *testing.B) {
	tale := story.New(story.Config{Cluster: "test", Nodes: benchNodes, Seed: 1})
	type message struct {
		subject string
		body    []byte
		stored  time.Time
	}
	var log []message
	for range benchEvents {
		ev := tale.Next()
		body, err := events.Encode(ev)
		if err != nil {
			b.Fatal(err)
		}
		log = append(log, message{events.Subject(ev), body, ev.Time.Add(time.Millisecond)})
	}
	var decoder events.Decoder
	decode := func(n int) events.Recorded {
		rec, err := decoder.Decode(log[n].subject, log[n].body)
		if err != nil {
			b.Fatal(err)
		}
		rec.Position, rec.Stored = uint64(n)+1, log[n].stored
		return rec
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			decode(n)
			n = (n + 1) % len(log)
		}
	})
	b.Run("fold", func(b *testing.B) {
		b.ReportAllocs()
		recs := make([]events.Recorded, len(log))
		for n := range recs {
			recs[n] = decode(n)
		}
		var views *projections.Views
		n := 0
		for b.Loop() {
			if n%len(recs) == 0 {
				views, n = projections.New("test"), 0
			}
			views.Advance(&recs[n])
			n++
		}
	})
}
