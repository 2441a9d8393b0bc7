package httpapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections"
	"rollcall/projections/projector"
)

func keys(v any) []string {
	m, _ := v.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

func ids(r reply) string {
	var out []string
	list, _ := r.body["nodes"].([]any)
	for _, n := range list {
		out = append(out, n.(map[string]any)["id"].(string))
	}
	return strings.Join(out, " ")
}

func TestNodesHaveTheContractsFields(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	r := w.get("/v1/nodes")
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, header %v", r.status, r.header)
	}
	if got, want := keys(r.body), []string{"cluster", "lag", "nodes", "position", "time"}; !slices.Equal(got, want) {
		t.Errorf("answer has %v, want %v", got, want)
	}
	if got, want := keys(r.body["lag"]), []string{"events", "seconds"}; !slices.Equal(got, want) {
		t.Errorf("lag has %v, want %v", got, want)
	}
	node := r.body["nodes"].([]any)[2].(map[string]any)
	want := []string{"accusers", "address", "id", "incarnation", "since", "since_position", "state", "tags", "unreachable_from"}
	if got := keys(node); !slices.Equal(got, want) {
		t.Errorf("node has %v, want %v", got, want)
	}
	if node["state"] != "alive" || node["incarnation"] != 2.0 || node["since_position"] != 7.0 || node["address"] != "127.0.0.1:7001" {
		t.Errorf("n3 is %v", node)
	}
	if r.body["cluster"] != "test" || r.body["position"] != 7.0 || ids(r) != "n1 n2 n3" {
		t.Errorf("answer: %v", r.raw)
	}
}

// Events of assignment groups stand in the same log, and are shown as what they are.
func TestEventsOfGroups(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	ev := events.Event{
		ID: events.NewID(), Kind: events.Planned, Cluster: "test", Group: "orders", Author: "n1", Time: w.at,
		Plan: &events.Plan{Reason: "first plan", Seen: 7, Bound: 1, Workers: map[string][]string{"n2": {"s1"}}, Moves: []events.Move{
			{Reason: "new shard", Shards: []string{"s1"}},
		}},
	}
	if _, err := w.log.Append(t.Context(), ev, 0); err != nil {
		t.Fatal(err)
	}
	w.settle()
	r := w.get("/v1/events?group=orders&kind=planned")
	list, _ := r.body["events"].([]any)
	if len(list) != 1 {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	conforms(t, "Events", r.body)
	event := list[0].(map[string]any)["event"].(map[string]any)
	data := event["data"].(map[string]any)
	if event["type"] != "rollcall.group.planned.v1" || event["subject"] != "orders" || data["group"] != "orders" || data["plan"] == nil {
		t.Errorf("event: %v", event)
	}
	if r := w.get("/v1/events?group=orders&node=n1"); r.status != http.StatusBadRequest {
		t.Errorf("both: %d %s", r.status, r.raw)
	}
}

// A node that answers its accusers lives, and its row says who could not reach it; while it stays quiet about who could, that is
// withdrawn by time, not by an event.
func TestNodeThatSomeCannotReach(t *testing.T) {
	w := newWorld(t, nil)
	for _, id := range []string{"n1", "n2", "n3"} {
		w.say(events.Joined, id, id, 1, events.Evidence{Reason: "start"})
	}
	w.say(events.Suspected, "n3", "n2", 1, events.Evidence{Reason: "probe timeout"})
	w.say(events.Accused, "n3", "n1", 1, events.Evidence{Reason: "probe timeout"})
	answered := w.say(events.Refuted, "n3", "n3", 2, events.Evidence{Previous: 1})
	w.settle()
	for _, path := range []string{"/v1/nodes/n3", fmt.Sprintf("/v1/nodes/n3?at=%d", answered)} {
		node := w.get(path).body["node"].(map[string]any)
		if got := fmt.Sprint(node["state"], node["unreachable_from"]); got != "alive[n1 n2]" {
			t.Errorf("%s: %s", path, got)
		}
	}
	var n3 *projections.Node
	w.p.View(func(v *projections.Views) { n3, _ = v.Registry.Node("n3") })
	if from := n3.UnreachableFrom(time.Now().Add(projections.UnreachableFor)); len(from) > 0 {
		t.Errorf("a minute later still unreachable from %v", from)
	}
}

// As of a time, who could not reach a node is as of that time, not of the last event before it.
func TestUnreachableAsOfATimeEndsByTime(t *testing.T) {
	w := newWorldOf(t, nil, func(c *projector.Config) {
		c.Now = func() time.Time { return time.Now().Add(2 * projections.UnreachableFor) }
	})
	w.say(events.Joined, "n1", "n1", 1, events.Evidence{Reason: "start"})
	joined := w.say(events.Joined, "n2", "n2", 1, events.Evidence{Reason: "start"})
	w.say(events.Suspected, "n1", "n2", 1, events.Evidence{Reason: "probe timeout"})
	w.say(events.Refuted, "n1", "n1", 2, events.Evidence{Previous: 1})
	w.settle()
	for ahead, want := range map[time.Duration]string{time.Second: "[n2]", 3 * projections.UnreachableFor / 2: "[]"} {
		at := time.Now().Add(ahead).UTC().Format(time.RFC3339Nano)
		node := w.get("/v1/nodes/n1?at=" + at).body["node"].(map[string]any)
		if got := fmt.Sprint(node["unreachable_from"]); got != want {
			t.Errorf("%v later: unreachable from %s, want %s", ahead, got, want)
		}
		changed := w.get(fmt.Sprintf("/v1/diff?from=%d&to=%s", joined, at)).body["changed"].([]any)
		after := changed[0].(map[string]any)["after"].(map[string]any)
		if got := fmt.Sprint(after["unreachable_from"]); got != want {
			t.Errorf("diff, %v later: unreachable from %s, want %s", ahead, got, want)
		}
	}
}
