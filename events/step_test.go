package events_test

import (
	"maps"
	"testing"

	"rollcall/events"
)

// Whatever may change a node's tags says so beforehand, and what does not say so leaves them: views write tags down by it.
func TestSetsTags(t *testing.T) {
	for _, kind := range []events.Kind{
		events.Joined, events.Refuted, events.Suspected, events.Accused, events.Failed, events.Left, events.Tagged,
		events.HealthCheckFailed, events.Partitioned, events.Healed, events.IDConflict,
	} {
		for name, tags := range map[string]map[string]string{"none": nil, "others": {"role": "web"}} {
			r := events.NewRoll("c")
			say := func(position uint64, ev events.Event) events.Outcome {
				ev.Cluster = "c"
				return r.Apply(events.Recorded{Event: ev, Position: position})
			}
			say(1, events.Event{Kind: events.Joined, Node: "n1", Author: "n1", Incarnation: 1, Tags: map[string]string{"role": "db"}})
			say(2, events.Event{Kind: events.Joined, Node: "n2", Author: "n2", Incarnation: 1})
			before, _ := r.Node("n1")
			ev := events.Event{Kind: kind, Node: "n1", Author: "n1", Incarnation: 1, Tags: tags}
			switch {
			case !kind.ByOwner():
				ev.Author = "n2"
			case kind == events.Joined, kind == events.Refuted, kind == events.Tagged:
				ev.Incarnation = 2
			}
			if kind == events.Failed || kind == events.Accused {
				say(3, events.Event{Kind: events.Suspected, Node: "n1", Author: "n2", Incarnation: 1})
			}
			out := say(4, ev)
			after, _ := r.Node("n1")
			if changed := !maps.Equal(before.Tags, after.Tags); changed != ev.SetsTags() {
				t.Errorf("%s with tags %s is %+v, and the tags are %v: SetsTags is %v", kind, name, out, after.Tags, ev.SetsTags())
			}
		}
	}
}
