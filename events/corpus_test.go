package events_test

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/events"
)

// goldens returns the corpus by file name: <kind>-full.json with everything that the kind can say, <kind>-bare.json with
// nothing that it need not, and <kind>.json and <kind>-<variant>.json as they are written.
func goldens() map[string]events.Event {
	all := written()
	for _, kind := range slices.Concat(events.Kinds(), events.GroupKinds()) {
		all[string(kind)+"-full.json"], all[string(kind)+"-bare.json"] = full(kind), bare(kind)
	}
	return all
}

func written() map[string]events.Event {
	owner := func(kind events.Kind, incarnation uint64, evidence events.Evidence) events.Event {
		ev := claim(kind, "n3", "n3", incarnation)
		ev.Evidence = evidence.Raw()
		return ev
	}
	observer := func(kind events.Kind, author string, evidence events.Evidence) events.Event {
		ev := claim(kind, "n3", author, 2)
		ev.Evidence = evidence.Raw()
		return ev
	}
	joined := owner(events.Joined, 2, events.Evidence{Reason: "start", Previous: 1})
	joined.Tags = map[string]string{"role": "worker", "zone": "a"}
	joined.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	ipv6 := claim(events.Joined, "n3", "n3", 1)
	ipv6.Address = "[2001:db8::3]:7946"
	tagged := owner(events.Tagged, 4, events.Evidence{})
	tagged.Tags = map[string]string{"role": "director", "note": "<b> & ü"}
	refuted := owner(events.Refuted, 3, events.Evidence{Reason: "suspected", Previous: 2})
	answered := owner(events.Refuted, 3, events.Evidence{Reason: "held suspect", Previous: 2, Accusers: []events.Accuser{{ID: "n1", Time: at(0)}}})
	moved := owner(events.Refuted, 1<<64-1, events.Evidence{Previous: 3})
	moved.Address, moved.Tags = "n3.example:7946", map[string]string{"role": "worker"}
	probe := events.Evidence{
		Reason: "probe timeout", Probes: 2, TimeoutMS: 500, RTTMS: 0.42, LastHeard: at(-3), LocalHealth: 1,
		Relays: []events.Relay{{ID: "n4", Answer: "nack"}, {ID: "n5", Answer: "silent"}},
	}
	resigned := plan("orders", "n1")
	resigned.Kind, resigned.Plan, resigned.Evidence = events.Resigned, nil, events.Evidence{Reason: "shutdown"}.Raw()
	first := plan("orders", "n1")
	first.Plan = &events.Plan{Reason: "first plan", Seen: 7, Workers: map[string][]string{}, Waiting: []string{"s0", "s1"}}
	return map[string]events.Event{
		"planned.json":             plan("orders", "n1"),
		"planned-nobody.json":      first,
		"resigned.json":            resigned,
		"joined.json":              joined,
		"joined-ipv6.json":         ipv6,
		"refuted.json":             refuted,
		"refuted-moved.json":       moved,
		"refuted-accusers.json":    answered,
		"tagged.json":              tagged,
		"tagged-none.json":         owner(events.Tagged, 5, events.Evidence{}),
		"left.json":                owner(events.Left, 5, events.Evidence{Reason: "shutdown"}),
		"suspected.json":           observer(events.Suspected, "n1", probe),
		"accused.json":             observer(events.Accused, "n2", events.Evidence{Reason: "peer closed", LastHeard: at(-2)}),
		"accused-late.json":        observer(events.Accused, "n2", events.Evidence{Claim: events.Suspected, Late: "the log knows a newer incarnation"}),
		"partitioned.json":         owner(events.Partitioned, 2, events.Evidence{Reason: "2 of 5 reachable"}),
		"healed.json":              owner(events.Healed, 2, events.Evidence{Since: at(-60)}),
		"id_conflict.json":         owner(events.IDConflict, 2, events.Evidence{Reason: "second process at 10.0.0.9:7946"}),
		"failed.json":              observer(events.Failed, "n1", verdict()),
		"health_check_failed.json": observer(events.HealthCheckFailed, "n1", events.Evidence{Reason: "phi over threshold", Phi: 8.75, LastHeard: at(-9)}),
	}
}

func verdict() events.Evidence {
	return events.Evidence{
		Reason: "suspicion timeout", Since: at(-4),
		Accusers: []events.Accuser{{ID: "n1", Time: at(-4)}, {ID: "n2", Time: at(-2)}, {ID: "n5", Implicit: true}},
	}
}

// at is testTime and so many seconds.
func at(seconds int) *time.Time {
	t := testTime.Add(time.Duration(seconds) * time.Second)
	return &t
}

// bare returns an event of a kind without anything that may be absent.
func bare(kind events.Kind) events.Event {
	switch {
	case kind == events.Planned:
		ev := plan("orders", "n1")
		ev.Plan = &events.Plan{Reason: "no shards", Seen: 1, Workers: map[string][]string{}}
		return ev
	case kind.OfGroup():
		ev := plan("orders", "n1")
		ev.Kind, ev.Plan = kind, nil
		return ev
	case kind.ByOwner():
		ev := claim(kind, "n3", "n3", 1)
		if kind != events.Joined {
			ev.Address = ""
		}
		return ev
	default:
		return claim(kind, "n3", "n1", 2)
	}
}

// full returns an event of a kind with everything that it can say, in one.
func full(kind events.Kind) events.Event {
	ev := bare(kind)
	ev.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if kind == events.Planned {
		ev.Plan = plan("orders", "n1").Plan
	}
	if !kind.OfGroup() {
		ev.Incarnation = math.MaxUint64
	}
	if kind.ByOwner() {
		ev.Address, ev.Tags = "[2001:db8::3]:7946", map[string]string{"role": "worker", "zone": "a", "empty": ""}
	}
	everything := reflect.ValueOf(events.Evidence{
		Reason: "in a few words", Probes: 2, TimeoutMS: 487.25, RTTMS: 0.42, LastHeard: at(-3), LocalHealth: 8, Phi: 8.75,
		Relays: []events.Relay{{ID: "n4", Answer: "ack"}, {ID: "n5", Answer: "nack"}, {ID: "n6", Answer: "silent"}},
		Side:   "minority", Reachable: 2, Total: 5, Unreachable: []string{"n1", "n4", "n5"},
		Accusers: verdict().Accusers, Since: at(-4), Previous: math.MaxUint64 - 1,
		Claim: events.Failed, Late: "n3 has left",
	})
	var evidence events.Evidence
	for field, value := range everything.Fields() {
		if says(kind, name(field)) {
			reflect.ValueOf(&evidence).Elem().FieldByIndex(field.Index).Set(value)
		}
	}
	ev.Evidence = evidence.Raw()
	return ev
}

// evidenceIn says which kinds a field of evidence is written in, as docs/formats/events.md does; a field that is not here, in all.
var evidenceIn = map[string][]events.Kind{
	"probes":       {events.Suspected, events.Accused},
	"timeout_ms":   {events.Suspected, events.Accused},
	"relays":       {events.Suspected, events.Accused},
	"rtt_ms":       {events.Suspected, events.Accused, events.HealthCheckFailed},
	"last_heard":   {events.Suspected, events.Accused, events.Failed, events.HealthCheckFailed},
	"local_health": {events.Suspected, events.Accused, events.Failed, events.HealthCheckFailed},
	"phi":          {events.HealthCheckFailed},
	"side":         {events.Partitioned, events.Healed},
	"reachable":    {events.Partitioned, events.Healed},
	"total":        {events.Partitioned, events.Healed},
	"unreachable":  {events.Partitioned},
	"accusers":     {events.Failed, events.Accused, events.Refuted},
	"since":        {events.Failed, events.Accused, events.Healed},
	"previous":     {events.Joined, events.Refuted, events.Tagged},
	"claim":        {events.Accused},
	"late":         {events.Accused},
}

func says(kind events.Kind, field string) bool {
	kinds, some := evidenceIn[field]
	return !some || slices.Contains(kinds, kind)
}

// name is what a field of evidence is called in a body.
func name(field reflect.StructField) string {
	tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return tag
}

// Every kind is in the corpus with all it can say, and with as little as it may.
func TestCorpusIsFullAndBare(t *testing.T) {
	fields := make(map[string]bool)
	for field := range reflect.TypeFor[events.Evidence]().Fields() {
		fields[name(field)] = true
	}
	for field := range evidenceIn {
		if !fields[field] {
			t.Errorf("evidence has no field %q", field)
		}
	}
	for _, kind := range slices.Concat(events.Kinds(), events.GroupKinds()) {
		want := make(map[string]bool)
		for field := range fields {
			if says(kind, field) {
				want[field] = true
			}
		}
		got := make(map[string]json.RawMessage)
		if err := json.Unmarshal(full(kind).Evidence, &got); err != nil {
			t.Fatal(err)
		}
		if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
			t.Errorf("evidence of %s-full has %v, want %v", kind, g, w)
		}
		if ev := bare(kind); ev.Evidence != nil || ev.Tags != nil || ev.TraceParent != "" || ev.Address != "" && kind != events.Joined {
			t.Errorf("%s-bare has what need not be: %+v", kind, ev)
		}
	}
}
