package events_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/events"
)

// The corpus is what version 1 looks like for ever: a change here that is not a new file breaks old logs.
var update = flag.Bool("update", false, "rewrite testdata/golden from the values in golden_test.go")

const goldenDir = "testdata/golden/v1"

// goldens returns the corpus by file name: <kind>.json, or <kind>-<variant>.json.
func goldens() map[string]events.Event {
	at := func(seconds int) *time.Time {
		t := testTime.Add(time.Duration(seconds) * time.Second)
		return &t
	}
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
		"suspected-bare.json":      observer(events.Suspected, "n1", events.Evidence{}),
		"accused.json":             observer(events.Accused, "n2", events.Evidence{Reason: "peer closed", LastHeard: at(-2)}),
		"accused-late.json":        observer(events.Accused, "n2", events.Evidence{Claim: events.Suspected, Late: "the log knows a newer incarnation"}),
		"partitioned.json":         owner(events.Partitioned, 2, events.Evidence{Reason: "2 of 5 reachable"}),
		"healed.json":              owner(events.Healed, 2, events.Evidence{Since: at(-60)}),
		"id_conflict.json":         owner(events.IDConflict, 2, events.Evidence{Reason: "second process at 10.0.0.9:7946"}),
		"failed.json":              observer(events.Failed, "n1", verdict(at)),
		"health_check_failed.json": observer(events.HealthCheckFailed, "n1", events.Evidence{Reason: "phi over threshold", Phi: 8.75, LastHeard: at(-9)}),
	}
}

func verdict(at func(int) *time.Time) events.Evidence {
	return events.Evidence{
		Reason: "suspicion timeout", Since: at(-4),
		Accusers: []events.Accuser{{ID: "n1", Time: at(-4)}, {ID: "n2", Time: at(-2)}, {ID: "n5", Implicit: true}},
	}
}

func TestGoldenCorpus(t *testing.T) {
	want := goldens()
	if *update {
		for name, ev := range want {
			if err := os.WriteFile(filepath.Join(goldenDir, name), append(mustEncode(t, ev), '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[events.Kind]bool)
	for _, file := range files {
		t.Run(file.Name(), func(t *testing.T) {
			ev, ok := want[file.Name()]
			if !ok {
				t.Fatal("in the corpus, but the test has no value for it")
			}
			kinds[ev.Kind] = true
			body, err := os.ReadFile(filepath.Join(goldenDir, file.Name()))
			if err != nil {
				t.Fatal(err)
			}
			body = bytes.TrimSuffix(body, []byte("\n"))
			rec, err := events.Decode(events.Subject(ev), body)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(rec, events.Recorded{Event: ev}) {
				t.Errorf("decodes to\n%+v\nwant\n%+v", rec, ev)
			}
			if again := mustEncode(t, rec.Event); !bytes.Equal(again, body) {
				t.Errorf("encodes again to\n%s\nwant\n%s", again, body)
			}
			evidence, err := events.ParseEvidence(rec.Evidence)
			if err != nil || !bytes.Equal(evidence.Raw(), rec.Evidence) {
				t.Errorf("evidence %s reads as %+v, error %v", rec.Evidence, evidence, err)
			}
		})
	}
	if len(files) != len(want) {
		t.Errorf("%d files in the corpus, %d values in the test: run with -update", len(files), len(want))
	}
	for _, kind := range slices.Concat(events.Kinds(), events.GroupKinds()) {
		if !kinds[kind] {
			t.Errorf("no %s in the corpus", kind)
		}
	}
}

// FuzzDecode wants no panic, nothing over the bounds, and that what was read and is its author's to say can be written and
// read again to the same event.
func FuzzDecode(f *testing.F) {
	for _, ev := range goldens() {
		f.Add(events.Subject(ev), mustEncode(f, ev))
	}
	bare := events.Subject(claim(events.Suspected, "n1", "n2", 1))
	f.Add(bare, []byte(`{"specversion":"1.0","type":"rollcall.node.suspected.v2","data":7}`))
	f.Add(bare, []byte(`{"specversion":"1.0","id":"`+testID+`","type":"rollcall.node.suspected.v1","time":"2026-03-04T05:06:07Z","data":{"incarnation":1}}`))
	f.Add("rollcall.c.group.g.n1.assigned", []byte(`{}`))
	f.Add(bare, []byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, subject string, body []byte) {
		rec, err := events.Decode(subject, body)
		if err != nil {
			return
		}
		if events.Subject(rec.Event) != subject {
			t.Fatalf("event is of subject %q, was under %q", events.Subject(rec.Event), subject)
		}
		if err := events.ValidateTags(rec.Tags); err != nil || len(rec.Evidence) > events.EvidenceMax {
			t.Fatalf("over the bounds: %v, evidence of %d bytes", err, len(rec.Evidence))
		}
		if rec.Mismatch != "" {
			return
		}
		again, err := events.Encode(rec.Event)
		if err != nil {
			if rec.Kind.OfGroup() || rec.Kind.ByOwner() == (rec.Author == rec.Node) {
				t.Fatalf("does not encode again: %v", err)
			}
			return
		}
		second, err := events.Decode(subject, again)
		if err != nil {
			t.Fatalf("does not decode again: %v", err)
		}
		rec.Evidence, second.Evidence = compact(t, rec.Evidence), compact(t, second.Evidence)
		if len(rec.Tags) == 0 {
			rec.Tags = nil // an empty object is the same as none
		}
		if !reflect.DeepEqual(rec, second) {
			t.Fatalf("read %+v, then %+v", rec, second)
		}
	})
}

func compact(t *testing.T, raw json.RawMessage) json.RawMessage {
	t.Helper()
	if raw == nil {
		return nil
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, raw); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func BenchmarkEncode(b *testing.B) {
	ev := goldens()["suspected.json"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.Encode(ev); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	ev := goldens()["suspected.json"]
	subject, body := events.Subject(ev), mustEncode(b, ev)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := events.Decode(subject, body); err != nil {
			b.Fatal(err)
		}
	}
}
