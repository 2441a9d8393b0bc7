package events_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/events"
)

// drawLog draws any sequence of events, legal or not. Most of them are about the quarrel of a few live members, so that
// there are suspicions that add up, verdicts that just miss their quorum and claims of an incarnation too early or late.
func drawLog(t *rapid.T) []events.Recorded {
	roll := events.NewRoll("c")
	names := []string{"n1", "n2", "n3", "n4", "n5"}
	var log []events.Recorded
	if rapid.IntRange(0, 9).Draw(t, "formed") > 0 { // else most events are about nodes that never joined
		for _, name := range names[:rapid.IntRange(2, 5).Draw(t, "members")] {
			log = append(log, recorded(claim(events.Joined, name, name, 1), uint64(len(log))+1))
			roll.Apply(log[len(log)-1])
		}
	}
	anything := append(events.Kinds(), "resurrected")
	quarrel := []events.Kind{events.Suspected, events.Accused, events.Accused, events.Failed, events.Failed, events.Refuted}
	more := []uint64{0, 0, 0, 0, 0, 0, 1, 2, 1<<64 - 1}
	for range rapid.IntRange(40, 120).Draw(t, "length") {
		node := rapid.SampledFrom([]string{"n1", "n1", "n1", "n2", "n2", "n3", "n4", "n5"}).Draw(t, "node")
		cur, _ := roll.Node(node)
		var kind events.Kind
		switch {
		case rapid.IntRange(0, 4).Draw(t, "any") == 0:
			kind = rapid.SampledFrom(anything).Draw(t, "kind")
		case !cur.State.Live():
			kind = events.Joined
		default:
			kind = rapid.SampledFrom(quarrel).Draw(t, "kind")
		}
		author, owner := rapid.SampledFrom(names).Draw(t, "author"), kind.ByOwner()
		if owner && rapid.IntRange(0, 19).Draw(t, "usurped") > 0 {
			author = node
		}
		incarnation := cur.Incarnation + rapid.SampledFrom(more).Draw(t, "more")
		if owner && rapid.IntRange(0, 3).Draw(t, "raised") > 0 {
			incarnation = cur.Incarnation + 1
		}
		rec := recorded(claim(kind, node, author, incarnation), roll.Position()+rapid.Uint64Range(1, 3).Draw(t, "gap"))
		rec.Evidence = drawEvidence(t, names)
		if kind == events.Tagged && rapid.Bool().Draw(t, "tags") {
			rec.Tags = map[string]string{"role": author}
		}
		switch rapid.IntRange(0, 39).Draw(t, "odd") {
		case 0:
			rec.Mismatch = "body and subject disagree"
		case 1:
			rec.Cluster = "elsewhere"
		}
		log = append(log, rec)
		roll.Apply(rec)
	}
	return log
}

func recorded(ev events.Event, position uint64) events.Recorded {
	ev.Time = testTime.Add(time.Duration(position) * time.Second)
	return events.Recorded{Event: ev, Position: position, Stored: ev.Time}
}

func drawEvidence(t *rapid.T, names []string) json.RawMessage {
	switch rapid.IntRange(0, 3).Draw(t, "evidence") {
	case 0:
		return nil
	case 1:
		return json.RawMessage(`{"accusers":"all"}`)
	}
	var e events.Evidence
	for _, id := range rapid.SliceOfN(rapid.SampledFrom(names), 0, 4).Draw(t, "accusers") {
		e.Accusers = append(e.Accusers, events.Accuser{ID: id, Implicit: rapid.Bool().Draw(t, "implicit")})
	}
	return e.Raw()
}

// legal holds the steps that an applied event may make (I5).
var legal = map[[2]events.State]bool{
	{events.Unknown, events.StateAlive}:       true,
	{events.StateAlive, events.StateAlive}:    true, // a higher incarnation
	{events.StateAlive, events.StateSuspect}:  true,
	{events.StateAlive, events.StateLeft}:     true,
	{events.StateSuspect, events.StateAlive}:  true,
	{events.StateSuspect, events.StateFailed}: true,
	{events.StateSuspect, events.StateLeft}:   true,
	{events.StateFailed, events.StateAlive}:   true,
	{events.StateFailed, events.StateLeft}:    true,
	{events.StateLeft, events.StateAlive}:     true,
}

// TestRollInvariants holds I5 to I8 against any sequence of events, with the accusers counted by the test itself.
func TestRollInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roll := events.NewRoll("c")
		accusers := make(map[string]map[string]bool) // "node@incarnation" to who accused it while it was suspect
		for _, rec := range drawLog(t) {
			before, _ := roll.Node(rec.Node)
			author, _ := roll.Node(rec.Author)
			live, stood := roll.Live(), states(roll)
			out := roll.Apply(rec)
			after, _ := roll.Node(rec.Node)
			if out.Before != before.State || out.After != after.State || (out.Reason == "") != (out.Result == events.Applied) {
				t.Fatalf("%d: outcome %+v, node went from %+v to %+v", rec.Position, out, before, after)
			}
			if joined := after.State != events.Unknown; rec.Cluster == "c" && joined != (after.LastPosition == rec.Position) {
				t.Fatalf("%d: last position of %s, %s, is %d", rec.Position, rec.Node, after.State, after.LastPosition)
			}
			checkStep(t, rec, out, before, after)
			life := fmt.Sprint(rec.Node, "@", rec.Incarnation)
			if accusers[life] == nil {
				accusers[life] = make(map[string]bool)
			}
			accusation := rec.Kind == events.Suspected || rec.Kind == events.Accused
			if accusation && out.After == events.StateSuspect && rec.Incarnation == after.Incarnation &&
				author.State.Live() && out.Result <= events.Evident {
				accusers[life][rec.Author] = true
			}
			if out.After == events.StateFailed && out.Before != out.After {
				checkVerdict(t, rec, accusers[life], live, stood)
			}
			if got := countLive(states(roll)); roll.Live() != got {
				t.Fatalf("%d: live %d, counted %d", rec.Position, roll.Live(), got)
			}
		}
	})
}

// checkStep holds I5, I6 and I7, and that what is not applied changes nothing but the expectation and the accusers.
func checkStep(t *rapid.T, rec events.Recorded, out events.Outcome, before, after events.Node) {
	if out.Result != events.Applied {
		if out.Result == events.Evident {
			before.Accusers = after.Accusers
		}
		before.LastPosition = after.LastPosition
		if describe(before) != describe(after) {
			t.Fatalf("%d: %v, yet the node went from %+v to %+v", rec.Position, out.Result, before, after)
		}
		return
	}
	if !legal[[2]events.State{out.Before, out.After}] {
		t.Fatalf("I5: %d: step from %v to %v", rec.Position, out.Before, out.After)
	}
	raised := after.Incarnation > before.Incarnation
	gone := out.Before == events.StateFailed || out.Before == events.StateLeft
	if gone && out.After == events.StateAlive && !raised {
		t.Fatalf("I6: %d: %v again at incarnation %d", rec.Position, out.Before, after.Incarnation)
	}
	if after.Incarnation < before.Incarnation || raised && (rec.Author != rec.Node || !rec.Kind.ByOwner()) {
		t.Fatalf("I7: %d: %s by %s took the incarnation from %d to %d",
			rec.Position, rec.Kind, rec.Author, before.Incarnation, after.Incarnation)
	}
	if out.Before == events.StateAlive && out.After == events.StateAlive && !raised {
		t.Fatalf("I5: %d: applied, and nothing rose", rec.Position)
	}
}

// checkVerdict holds I8.
func checkVerdict(t *rapid.T, rec events.Recorded, accusers map[string]bool, live int, states map[string]events.State) {
	if !accusers[rec.Author] {
		t.Fatalf("I8: %d: verdict by %s, which did not accuse", rec.Position, rec.Author)
	}
	counted := make(map[string]bool)
	for id := range accusers {
		counted[id] = true
	}
	evidence, _ := events.ParseEvidence(rec.Evidence)
	for _, a := range evidence.Accusers {
		if s := states[a.ID]; a.Implicit && a.ID != rec.Node && (s == events.StateSuspect || s == events.StateFailed) {
			counted[a.ID] = true
		}
	}
	if want := min(3, live-1); len(counted) < want {
		t.Fatalf("I8: %d: verdict by %d accusers of %d live members", rec.Position, len(counted), live)
	}
}

func states(r *events.Roll) map[string]events.State {
	m := make(map[string]events.State)
	for n := range r.Nodes() {
		m[n.ID] = n.State
	}
	return m
}

func countLive(m map[string]events.State) int {
	n := 0
	for _, s := range m {
		if s.Live() {
			n++
		}
	}
	return n
}

// TestJudgeIsApply: Judge answers what Apply then does, and leaves no trace.
func TestJudgeIsApply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roll := events.NewRoll("c")
		for _, rec := range drawLog(t) {
			before := roll.Snapshot()
			judged := roll.Judge(rec.Event)
			if !bytes.Equal(before, roll.Snapshot()) {
				t.Fatalf("%d: Judge changed the roll", rec.Position)
			}
			if out := roll.Apply(rec); rec.Mismatch == "" && out != judged {
				t.Fatalf("%d: Judge says %+v, Apply did %+v", rec.Position, judged, out)
			}
		}
	})
}

// TestSnapshotAndTailIsReplay holds I9: a snapshot anywhere and the rest of the log give the bytes of the whole log.
func TestSnapshotAndTailIsReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		cut := rapid.IntRange(0, len(log)).Draw(t, "cut")
		whole, head := events.NewRoll("c"), events.NewRoll("c")
		for _, rec := range log[:cut] {
			whole.Apply(rec)
			head.Apply(rec)
		}
		restored, err := events.LoadRoll("c", head.Snapshot())
		if err != nil {
			t.Fatalf("cut after %d: %v", cut, err)
		}
		for _, rec := range log[cut:] {
			if a, b := whole.Apply(rec), restored.Apply(rec); a != b {
				t.Fatalf("%d: %+v in the whole log, %+v after the snapshot", rec.Position, a, b)
			}
		}
		if a, b := whole.Snapshot(), restored.Snapshot(); !bytes.Equal(a, b) {
			t.Fatalf("whole log\n%s\nsnapshot and tail\n%s", a, b)
		}
		if whole.Live() != restored.Live() {
			t.Fatalf("live %d and %d", whole.Live(), restored.Live())
		}
	})
}

func TestLoadRollRefuses(t *testing.T) {
	var s script
	s.line(t, "n1 joined n1 1 addr=h:1")
	s.line(t, "n2 suspected n1 1")
	good := string(s.roll.Snapshot())
	want := `{"version":2,"cluster":"c","position":2,"nodes":[{"id":"n1","state":"alive","incarnation":1,"address":"h:1",` +
		`"since":"2026-03-04T05:06:08.89Z","since_position":1,"last_position":2}]}`
	if good != want {
		t.Fatalf("snapshot\n%s\nwant\n%s", good, want)
	}
	if _, err := events.LoadRoll("d", []byte(good)); err == nil {
		t.Error("loaded as another cluster's")
	}
	for name, change := range map[string][2]string{
		"newer version":          {`"version":2`, `"version":3`},
		"state":                  {`"alive"`, `"asleep"`},
		"position before nodes":  {`"position":2`, `"position":1`},
		"since after last":       {`"since_position":1`, `"since_position":3`},
		"node twice":             {`[{`, `[{"id":"n1","state":"left","incarnation":1,"last_position":1},{`},
		"node that never joined": {`"alive"`, `"unknown"`},
		"cut off":                {`}]}`, `}]`},
	} {
		raw := bytes.Replace([]byte(good), []byte(change[0]), []byte(change[1]), 1)
		if _, err := events.LoadRoll("c", raw); err == nil {
			t.Errorf("%s: loaded %s", name, raw)
		}
	}
}

// BenchmarkApply folds what a cluster of a thousand says most: evidence that changes nothing, and a suspicion refuted.
func BenchmarkApply(b *testing.B) {
	roll := events.NewRoll("c")
	var ids []string
	for i := range 1000 {
		id := fmt.Sprintf("n%d", i)
		ids = append(ids, id)
		roll.Apply(recorded(claim(events.Joined, id, id, 1), roll.Position()+1))
	}
	b.Run("evidence", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			rec := events.Recorded{Event: claim(events.HealthCheckFailed, ids[i%1000], ids[(i+1)%1000], 1), Position: roll.Position() + 1}
			roll.Apply(rec)
			i++
		}
	})
	b.Run("suspected and refuted", func(b *testing.B) {
		b.ReportAllocs()
		i, incarnation := 0, slices.Repeat([]uint64{1}, 1000)
		for b.Loop() {
			node, n := ids[i%1000], &incarnation[i%1000]
			roll.Apply(events.Recorded{Event: claim(events.Suspected, node, ids[(i+1)%1000], *n), Position: roll.Position() + 1})
			*n++
			roll.Apply(events.Recorded{Event: claim(events.Refuted, node, node, *n), Position: roll.Position() + 1})
			i++
		}
	})
}
