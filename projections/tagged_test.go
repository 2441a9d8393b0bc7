package projections_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rollcall/events"
	"rollcall/projections"
)

// Whom a selector chooses is whom it matches, whatever the tags were before, with an index and without.
func TestTaggedIsWhatMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		views := projections.New("test")
		id := rapid.SampledFrom([]string{"n1", "n2", "n3", "n4", "n5", "n6"})
		tags := rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]string{"1", "2", "3"}))
		text := rapid.SampledFrom([]string{
			"a=1", "a=1,b=2", "a in (1,2)", "a in (1,1,3),b=1", "a in (1,2),b in (2,3),!c", "!a=1", "a!=1,b=2", "a^=1", "a,c=3", "d=1", "a=1,a=2", "a=1,a=1",
		})
		type answer struct {
			frozen *projections.Registry
			sel    projections.Selector
			want   []*projections.Node
		}
		var held []answer
		for i := range rapid.IntRange(1, 60).Draw(t, "events") {
			ev := events.Event{Kind: events.Joined, Cluster: "test", Node: id.Draw(t, "node"), Incarnation: uint64(i + 1)}
			ev.Author, ev.Tags = ev.Node, tags.Draw(t, "tags")
			if rapid.Bool().Draw(t, "tagged") {
				ev.Kind = events.Tagged
			}
			views.Apply(events.Recorded{Position: uint64(i + 1), Event: ev})
			if rapid.IntRange(0, 3).Draw(t, "look") > 0 {
				continue
			}
			sel, err := projections.ParseSelector(text.Draw(t, "selector"))
			if err != nil {
				t.Fatal(err)
			}
			want := slices.DeleteFunc(views.Registry.Nodes(), func(n *projections.Node) bool { return !sel.Match(n.Tags) })
			asked := map[string]*projections.Registry{"frozen": views.Freeze().Registry}
			if rapid.Bool().Draw(t, "live") {
				asked["live"] = views.Registry
			}
			for name, r := range asked {
				if got := r.Tagged(sel); !slices.Equal(got, want) {
					t.Fatalf("%s, %s: %d nodes, want %d", name, sel, len(got), len(want))
				}
			}
			held = append(held, answer{asked["frozen"], sel, want})
		}
		for _, a := range held { // whatever came later
			if got := a.frozen.Tagged(a.sel); !slices.Equal(got, a.want) {
				t.Fatalf("frozen, %s: %d nodes later, want %d", a.sel, len(got), len(a.want))
			}
		}
	})
}
