package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rollcall/events"
)

// plan returns a valid plan of a group.
func plan(group, author string) events.Event {
	return events.Event{
		ID: testID, Kind: events.Planned, Cluster: "c", Group: group, Author: author, Time: testTime,
		Plan: &events.Plan{
			Reason: "n3 failed", Selector: "role=worker, !draining", Seen: 812, Bound: 2,
			Workers: map[string][]string{"n1": {"s0", "s3"}, "n2": {"s1", "s4"}},
			Waiting: []string{"s2"},
			Moves: []events.Move{
				{Reason: "new shard", Shards: []string{"s2"}},
				{From: "n3", Reason: "failed", Shards: []string{"s3", "s4"}},
			},
		},
	}
}

func TestEncodeOfAPlanIsTheContract(t *testing.T) {
	want := `{"specversion":"1.0","id":"` + testID + `","source":"/rollcall/c/n1","type":"rollcall.group.planned.v1",` +
		`"subject":"orders","time":"2026-03-04T05:06:07.89Z","datacontenttype":"application/json",` +
		`"data":{"cluster":"c","group":"orders","author":"n1","plan":{"reason":"n3 failed",` +
		`"selector":"role=worker, !draining","seen":812,"bound":2,"workers":{"n1":["s0","s3"],"n2":["s1","s4"]},` +
		`"waiting":["s2"],"moves":[{"reason":"new shard","shards":["s2"]},` +
		`{"from":"n3","reason":"failed","shards":["s3","s4"]}]}}}`
	if got := string(mustEncode(t, plan("orders", "n1"))); got != want {
		t.Errorf("encoded\n%s\nwant\n%s", got, want)
	}
}

func TestEncodeRefusesPlans(t *testing.T) {
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("t%04d", i))
		}
		return list
	}
	for name, spoil := range map[string]func(*events.Event, *events.Plan){
		"node and group":       func(ev *events.Event, _ *events.Plan) { ev.Node = "n1" },
		"no group":             func(ev *events.Event, _ *events.Plan) { ev.Group = "" },
		"node's kind":          func(ev *events.Event, _ *events.Plan) { ev.Kind = events.Left },
		"group that is no id":  func(ev *events.Event, _ *events.Plan) { ev.Group = "a.b" },
		"incarnation":          func(ev *events.Event, _ *events.Plan) { ev.Incarnation = 1 },
		"address":              func(ev *events.Event, _ *events.Plan) { ev.Address = "127.0.0.1:1" },
		"no plan":              func(ev *events.Event, _ *events.Plan) { ev.Plan = nil },
		"resigned with a plan": func(ev *events.Event, _ *events.Plan) { ev.Kind = events.Resigned },
		"evidence of an array": func(ev *events.Event, _ *events.Plan) { ev.Evidence = json.RawMessage(`[]`) },
		"no reason":            func(_ *events.Event, p *events.Plan) { p.Reason = "" },
		"reason too long":      func(_ *events.Event, p *events.Plan) { p.Reason = strings.Repeat("x", events.PlanReasonMax+1) },
		"reason not UTF-8":     func(_ *events.Event, p *events.Plan) { p.Reason = "\xff" },
		"selector too long":    func(_ *events.Event, p *events.Plan) { p.Selector = strings.Repeat("x", events.PlanSelectorMax+1) },
		"seen nothing":         func(_ *events.Event, p *events.Plan) { p.Seen = 0 },
		"over the bound":       func(_ *events.Event, p *events.Plan) { p.Bound = 1 },
		"worker without any":   func(_ *events.Event, p *events.Plan) { p.Workers["n4"] = nil },
		"worker that is no id": func(_ *events.Event, p *events.Plan) { p.Workers[""] = []string{"s9"} },
		"shard that is no id":  func(_ *events.Event, p *events.Plan) { p.Waiting = []string{"a b"} },
		"shard twice":          func(_ *events.Event, p *events.Plan) { p.Waiting = []string{"s0"} },
		"shards in no order":   func(_ *events.Event, p *events.Plan) { p.Workers["n1"] = []string{"s3", "s0"} },
		"too many shards":      func(_ *events.Event, p *events.Plan) { p.Moves, p.Waiting = nil, many(events.ShardsMax) },
		"moves in no order":    func(_ *events.Event, p *events.Plan) { p.Moves[0].From = "n4" },
		"move without a shard": func(_ *events.Event, p *events.Plan) { p.Moves[0].Shards = nil },
		"move of no shard":     func(_ *events.Event, p *events.Plan) { p.Moves[0].Shards = []string{"s7"} },
		"move twice":           func(_ *events.Event, p *events.Plan) { p.Moves[0].Shards = []string{"s2", "s3"} },
		"move for no reason":   func(_ *events.Event, p *events.Plan) { p.Moves[0].Reason = "" },
		"move from no id":      func(_ *events.Event, p *events.Plan) { p.Moves[1].From = "*" },
	} {
		t.Run(name, func(t *testing.T) {
			ev := plan("orders", "n1")
			spoil(&ev, ev.Plan)
			if body, err := events.Encode(ev); !errors.Is(err, events.ErrInvalid) || body != nil {
				t.Errorf("encode gives %q, error %v; want ErrInvalid", body, err)
			}
		})
	}
}

func TestDecodeOfAGroupsEventTakesTheSubjectsWord(t *testing.T) {
	body := string(mustEncode(t, plan("orders", "n1")))
	for name, c := range map[string]struct{ subject, from, to string }{
		"group":     {"rollcall.c.group.other.n1.planned", "", ""},
		"author":    {"rollcall.c.group.orders.n2.planned", "", ""},
		"kind":      {"rollcall.c.group.orders.n1.resigned", "", ""},
		"of a node": {"rollcall.c.node.orders.n1.left", "", ""},
		"data":      {"rollcall.c.group.orders.n1.planned", `"group":"orders"`, `"node":"orders"`},
	} {
		rec, err := events.Decode(c.subject, []byte(strings.Replace(body, c.from, c.to, 1)))
		if err != nil || rec.Mismatch == "" || events.Subject(rec.Event) != c.subject {
			t.Errorf("%s: %+v, error %v; want a mismatch and the subject's word", name, rec, err)
		}
	}
	for _, kind := range []string{"rollcall.node.planned.v1", "rollcall.group.joined.v1", "rollcall.group.planned.v2"} {
		spoilt := strings.Replace(body, "rollcall.group.planned.v1", kind, 1)
		if _, err := events.Decode("rollcall.c.group.orders.n1.planned", []byte(spoilt)); !errors.Is(err, events.ErrUnknownKind) {
			t.Errorf("type %s: error %v, want ErrUnknownKind", kind, err)
		}
	}
	spoilt := strings.Replace(body, `"bound":2`, `"bound":1`, 1)
	if _, err := events.Decode("rollcall.c.group.orders.n1.planned", []byte(spoilt)); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("plan over its bound: error %v, want ErrInvalid", err)
	}
}

// What groups do is nothing to the roll but a position: it is read, and the nodes stay as they are.
func TestRollPassesOverGroups(t *testing.T) {
	roll := events.NewRoll("c")
	roll.Apply(events.Recorded{Event: claim(events.Joined, "n1", "n1", 1), Position: 1})
	before, _ := roll.Node("n1")
	ev := plan("n1", "n1") // a group may well have the id of a node
	if out := roll.Judge(ev); out.Result != events.Evident {
		t.Errorf("judged %+v", out)
	}
	if out := roll.Apply(events.Recorded{Event: ev, Position: 2}); out.Result != events.Evident || out.Reason == "" {
		t.Errorf("outcome %+v, want evidence with a reason", out)
	}
	after, _ := roll.Node("n1")
	if roll.Position() != 2 || roll.Len() != 1 || roll.Live() != 1 || after.LastPosition != before.LastPosition {
		t.Errorf("position %d, %d nodes, %+v", roll.Position(), roll.Len(), after)
	}
}
