package story_test

import (
	"testing"

	"rollcall/events"
	"rollcall/test/story"
)

// Every event can be written, is taken by the fold, and comes again for the same seed; and there is something of every kind.
func TestStoryIsLegal(t *testing.T) {
	cfg := story.Config{Cluster: "test", Nodes: 200, Seed: 7}
	s, same := story.New(cfg), story.New(cfg)
	roll := events.NewRoll("test")
	results := make(map[events.Kind]map[events.Result]int)
	bytes := 0
	const n = 5_000
	for i := range n {
		ev := s.Next()
		body, err := events.Encode(ev)
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		bytes += len(body)
		if again, err := events.Encode(same.Next()); err != nil || string(again) != string(body) {
			t.Fatalf("event %d: %s, and with the same seed %s, %v", i, body, again, err)
		}
		rec, err := events.Decode(events.Subject(ev), body)
		if err != nil {
			t.Fatal(err)
		}
		rec.Position = uint64(i + 1)
		out := roll.Apply(rec)
		if out.Result != events.Applied && out.Result != events.Evident {
			t.Fatalf("event %d, %s of %s: %v", i, ev.Kind, ev.Node, out)
		}
		if results[ev.Kind] == nil {
			results[ev.Kind] = make(map[events.Result]int)
		}
		results[ev.Kind][out.Result]++
	}
	for _, kind := range []events.Kind{events.Joined, events.Refuted, events.Tagged, events.Left, events.Suspected, events.Failed} {
		if results[kind][events.Applied] < n/100 {
			t.Errorf("%s was applied %d times in %d events", kind, results[kind][events.Applied], n)
		}
	}
	if mean := bytes / n; mean < 400 || mean > 900 {
		t.Errorf("%d bytes an event: that is not what members write", mean)
	}
}
