package recorder_test

import (
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
)

// A log that ends in an event of a group, readable or not, is read to its end like any other; and what was said of a node
// before is appended behind it.
func TestEventsOfGroupsAreRead(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		plan := events.Event{
			ID: events.NewID(), Kind: events.Planned, Cluster: cluster, Group: "n1", Author: "n2", Time: time.Now().UTC(),
			Plan: &events.Plan{Reason: "first plan", Seen: 1},
		}
		if _, err := log.Append(t.Context(), plan, 0); err != nil {
			t.Fatal(err)
		}
		log.Inject("rollcall.test.group.n1.n2.planned", []byte("not JSON"))
		log.Inject("rollcall.test.group.n1.n2.exploded", []byte("{}"))
		m := start(t, log, "n1")
		if err := m.CaughtUp(t.Context()); err != nil || m.Position() != 3 {
			t.Fatalf("caught up at %d, error %v; want 3", m.Position(), err)
		}
		if len(m.Nodes()) != 0 {
			t.Errorf("groups made nodes: %+v", m.Nodes())
		}
		joined := events.Event{
			Kind: events.Joined, Node: "n1", Incarnation: 1, Address: "127.0.0.1:7946", Time: time.Now().UTC(),
		}
		if err := m.Say(joined); err != nil { // though a newer version spoke of a group that has the id of this node
			t.Fatal(err)
		}
		if err := m.Drained(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, _ := m.Node("n1"); n.State != events.StateAlive || n.LastPosition != 4 {
			t.Errorf("n1 is %+v, want alive at 4", n)
		}
	})
}
