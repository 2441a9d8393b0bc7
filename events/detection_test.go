package events

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDetectionIsFromTheLastWordToTheVerdict(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *time.Time { when := noon.Add(d); return &when }
	for name, c := range map[string]struct {
		kind     Kind
		evidence json.RawMessage
		want     time.Duration
		known    bool
	}{
		"last heard":            {Failed, Evidence{LastHeard: at(-3 * time.Second), Since: at(-time.Second)}.Raw(), 3 * time.Second, true},
		"never heard":           {Failed, Evidence{Since: at(-time.Second)}.Raw(), time.Second, true},
		"a clock set back":      {Failed, Evidence{LastHeard: at(time.Hour)}.Raw(), 0, true},
		"neither":               {Failed, Evidence{Reason: "suspicion timeout"}.Raw(), 0, false},
		"no evidence":           {Failed, nil, 0, false},
		"not a verdict":         {Suspected, Evidence{LastHeard: at(-3 * time.Second)}.Raw(), 0, false},
		"written with blanks":   {Failed, json.RawMessage(`{ "last_heard" : "2026-03-01T11:59:58Z" }`), 2 * time.Second, true},
		"null":                  {Failed, json.RawMessage(`{"last_heard":null,"since":"2026-03-01T11:59:59Z"}`), time.Second, true},
		"of somebody else":      {Failed, json.RawMessage(`{"accusers":[{"last_heard":"2026-03-01T11:00:00Z"}]}`), 0, false},
		"only quoted":           {Failed, json.RawMessage(`{"reason":"\"last_heard\":\"2026-03-01T11:00:00Z\""}`), 0, false},
		"not an object":         {Failed, json.RawMessage(`[{"last_heard":"2026-03-01T11:00:00Z"}]`), 0, false},
		"a time that is none":   {Failed, json.RawMessage(`{"last_heard":"noon"}`), 0, false},
		"an hour east of there": {Failed, json.RawMessage(`{"last_heard":"2026-03-01T12:59:59+01:00"}`), time.Second, true},
	} {
		ev := Event{Kind: c.kind, Time: noon, Evidence: c.evidence}
		if got, known := ev.Detection(); got != c.want || known != c.known {
			t.Errorf("%s: %v, %v; want %v, %v", name, got, known, c.want, c.known)
		}
	}
}

// The short way through evidence and the long one say the same.
func TestEvidenceTimesAreThoseThatParseEvidenceFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moment := func(name string) *time.Time {
			if rapid.Bool().Draw(t, name+" is absent") {
				return nil
			}
			at := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name+" ns")).UTC()
			return &at
		}
		e := Evidence{
			Reason: rapid.String().Draw(t, "reason"), Probes: rapid.IntRange(0, 9).Draw(t, "probes"),
			TimeoutMS: rapid.Float64Range(0, 1e9).Draw(t, "timeout"), LastHeard: moment("last heard"), Since: moment("since"),
			Relays: []Relay{{ID: "n2", Answer: rapid.String().Draw(t, "answer")}}, Accusers: []Accuser{{ID: "n1", Time: moment("accused")}},
		}
		heard, since := evidenceTimes(e.Raw())
		same := func(got time.Time, want *time.Time) bool {
			return want == nil && got.IsZero() || want != nil && got.Equal(*want)
		}
		if !same(heard, e.LastHeard) || !same(since, e.Since) {
			t.Fatalf("%v and %v in %s", heard, since, e.Raw())
		}
	})
}

// Folds ask it of every verdict.
func TestDetectionTakesNoMemory(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ev := Event{Kind: Failed, Time: now, Evidence: Evidence{
		Reason: "suspicion timeout", LastHeard: &now, Since: &now, LocalHealth: 1, Accusers: []Accuser{{ID: "n1", Time: &now}, {ID: "n2"}},
	}.Raw()}
	if n := testing.AllocsPerRun(100, func() { ev.Detection() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
