package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/events"
)

// plan appends the first plan of a group: s0 and s2 with n1, s1 with n3.
func (w *world) plan(group, author string) uint64 {
	w.t.Helper()
	newest, _ := w.log.LastOfGroup(w.t.Context(), group)
	info, err := w.log.Info(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	position, err := w.log.Append(w.t.Context(), events.Event{
		ID: events.NewID(), Kind: events.Planned, Cluster: "test", Group: group, Author: author, Time: w.at,
		Plan: &events.Plan{
			Reason: "first plan", Selector: "role=worker", Seen: info.Last, Bound: 2,
			Workers: map[string][]string{"n1": {"s0", "s2"}, "n3": {"s1"}},
			Moves:   []events.Move{{Reason: "nobody had it", Shards: []string{"s0", "s1", "s2"}}},
		},
	}, newest.Position)
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

// shown is the group in an answer as one line.
func shown(r reply) string {
	group, _ := r.body["group"].(map[string]any)
	list, _ := group["assignments"].([]any)
	out := []string{fmt.Sprint(group["director"])}
	for _, item := range list {
		s := item.(map[string]any)
		out = append(out, fmt.Sprintf("%v=%v@%v", s["shard"], s["worker"], s["since"]))
	}
	return strings.Join(out, " ")
}

func TestAssignments(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()                                                // 1 to 7
	w.plan("orders", "n1")                                     // 8
	w.say(events.Left, "n3", "n3", 2, events.Evidence{})       // 9
	w.plan("orders", "n2")                                     // 10: refused, n1 directs
	w.say(events.Suspected, "n1", "n2", 1, events.Evidence{})  // 11
	w.log.Inject("rollcall.test.group.orders.n1.planned", nil) // 12: unreadable
	w.settle()
	for path, want := range map[string]string{
		"/v1/assignments/orders":      "n1 s0=n1@8 s1=@9 s2=n1@8",
		"/v1/assignments/orders?at=8": "n1 s0=n1@8 s1=n3@8 s2=n1@8",
	} {
		if got := shown(w.get(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	r := w.get("/v1/assignments")
	groups, _ := r.body["groups"].([]any)
	if len(groups) != 1 || r.body["position"] != 12.0 {
		t.Fatalf("groups: %s", r.raw)
	}
	g := groups[0].(map[string]any)
	for name, want := range map[string]any{
		"group": "orders", "director": "n1", "plan_position": 8.0, "shards": 3.0, "assigned": 2.0, "bound": 2.0,
		"last_position": 12.0, "refused": 1.0, "rejected": 1.0, "selector": "role=worker", "reason": "first plan",
	} {
		if g[name] != want {
			t.Errorf("%s is %v, want %v", name, g[name], want)
		}
	}
	if r := w.get("/v1/assignments?at=7"); len(r.body["groups"].([]any)) != 0 {
		t.Errorf("before there was one: %s", r.raw)
	}
}

func TestWhatIf(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	end := w.plan("orders", "n1")
	w.settle()
	workers := func(query string) string {
		r := w.get("/v1/assignments/orders?" + query)
		whatIf, _ := r.body["what_if"].(map[string]any)
		plan, _ := whatIf["plan"].(map[string]any)
		return fmt.Sprint(whatIf["differs"], " ", plan["workers"])
	}
	for query, want := range map[string]string{
		"without=n1":            "true map[n2:[s0 s2] n3:[s1]]",
		"without=n1,n2":         "true map[n3:[s0 s1 s2]]",
		"without=n1&without=n2": "true map[n3:[s0 s1 s2]]",
		"with=n4":               "true map[n1:[s0] n2:[s2] n3:[s1]]", // one each, and n2 comes before n4
		"":                      "<nil> <nil>",
	} {
		if got := workers(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if info, err := w.log.Info(t.Context()); err != nil || info.Last != end {
		t.Errorf("the log ends at %d (%v), want %d: a question was appended", info.Last, err, end)
	}
}

func TestAssignmentProblems(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	w.log.Inject("rollcall.test.group.odd.n1.planned", nil)
	w.settle()
	for path, want := range map[string]string{
		"/v1/assignments/orders":             "404 no-such-group",
		"/v1/assignments/a%20b":              "400 bad-id",
		"/v1/assignments/odd?without=n1":     "409 no-plan",
		"/v1/assignments/odd?without=a%20b":  "400 bad-parameter",
		"/v1/assignments/odd?if=n1":          "400 unknown-parameter",
		"/v1/events?group=a.b":               "400 bad-parameter",
		"/v1/events?group=g&node=n1":         "400 bad-parameter",
		"/v1/events?group=g&group=h":         "400 bad-parameter",
		"/v1/events?group=odd&kind=exploded": "400 bad-parameter",
	} {
		r := w.get(path)
		kind, _ := r.body["type"].(string)
		if got := fmt.Sprint(r.status, " ", strings.TrimPrefix(kind, "urn:rollcall:problem:")); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestEventsOfAGroup(t *testing.T) {
	w := newWorld(t, nil)
	w.episode()
	w.plan("orders", "n1")
	w.settle()
	for query, want := range map[string]int{"group=orders": 1, "group=other": 0, "kind=planned": 1, "node=n1": 1, "": 8} {
		r := w.get("/v1/events?" + query)
		list, _ := r.body["events"].([]any)
		if len(list) != want {
			t.Errorf("%q: %d events, want %d", query, len(list), want)
		}
		conforms(t, "Events", r.body)
	}
	r := w.get("/v1/events?group=orders")
	if !strings.Contains(r.raw, `"type":"rollcall.group.planned.v1","subject":"orders"`) ||
		!strings.Contains(r.raw, `"group":"orders","author":"n1","plan":{"reason":"first plan"`) {
		t.Errorf("event of a group: %s", r.raw)
	}
}
