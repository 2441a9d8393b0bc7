package main

import (
	"encoding/json"
	"testing"

	"rollcall/events"
)

func TestWhy(t *testing.T) {
	for want, evidence := range map[string]events.Evidence{
		"": {},
		"probe timeout; 1 ping unanswered; relays n2=nack,n4=silent": {
			Reason: "probe timeout", Probes: 1, Relays: []events.Relay{{ID: "n2", Answer: "nack"}, {ID: "n4", Answer: "silent"}},
		},
		"suspicion timeout; accused by n1,n2 (silent)": {
			Reason: "suspicion timeout", Accusers: []events.Accuser{{ID: "n1"}, {ID: "n2", Implicit: true}},
		},
		"minority, 2 of 5 reachable":       {Side: "minority", Reachable: 2, Total: 5, Unreachable: []string{"n3", "n4", "n5"}},
		"majority, 5 of 5 reachable":       {Side: "majority", Reachable: 5, Total: 5},
		"phi 8.5; incarnation 3 before":    {Phi: 8.5, Previous: 3},
		"2 pings unanswered; failed by n1": {Probes: 2, Late: "failed by n1"},
	} {
		if got := why(evidence.Raw()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := why(json.RawMessage(`{"probes":"many"}`)); got != "" {
		t.Errorf("evidence that cannot be read is %q", got)
	}
}
