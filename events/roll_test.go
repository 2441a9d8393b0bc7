package events_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/events"
)

// TestRollScripts plays testdata/roll/*.txt. A line is "author kind node incarnation [option …]", to which the test adds
// what Apply answers; a line "= node" is followed by what the roll then says. A blank line begins a new roll. Run with
// -update to write the answers down, and read them.
func TestRollScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/roll/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s script
			var out strings.Builder
			for number, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
				answered := s.line(t, line)
				if answered != line && !*update {
					t.Errorf("%s:%d:\n got %s\nwant %s", file, number+1, answered, line)
				}
				out.WriteString(answered + "\n")
			}
			if *update {
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// script is the roll that the lines so far made.
type script struct {
	roll     *events.Roll
	position uint64
}

// line plays one line and returns it with the answer.
func (s *script) line(t *testing.T, line string) string {
	t.Helper()
	question, _, _ := strings.Cut(line, " -> ")
	question = strings.TrimRight(question, " ")
	field := strings.Fields(question)
	switch {
	case len(field) == 0:
		*s = script{}
		return line
	case field[0] == "#":
		return line
	case s.roll == nil:
		*s = script{roll: events.NewRoll("c")}
	}
	if field[0] == "=" {
		n, _ := s.roll.Node(field[1])
		return "= " + describe(n)
	}
	s.position++
	rec := parse(t, field, s.position)
	judged := s.roll.Judge(rec.Event)
	out := s.roll.Apply(rec)
	if judged != out && rec.Mismatch == "" {
		t.Errorf("%s: Judge says %+v, Apply did %+v", question, judged, out)
	}
	answer := fmt.Sprintf("%-40s -> %v %v", question, out.Result, out.After)
	if out.Reason != "" {
		answer += ": " + out.Reason
	}
	return answer
}

func describe(n events.Node) string {
	address, tags := n.Address, fmt.Sprint(n.Tags)
	if address == "" {
		address = "-"
	}
	s := fmt.Sprintf("%s %v %d %s %s since %d", n.ID, n.State, n.Incarnation, address, tags, n.SincePosition)
	if len(n.Accusers) > 0 {
		s += " by " + strings.Join(n.Accusers, " ")
	}
	return s
}

func parse(t *testing.T, field []string, position uint64) events.Recorded {
	t.Helper()
	if len(field) < 4 {
		t.Fatalf("%v: want author kind node incarnation", field)
	}
	incarnation, err := strconv.ParseUint(field[3], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	ev := claim(events.Kind(field[1]), field[2], field[0], incarnation)
	ev.Address = ""
	ev.Time = testTime.Add(time.Duration(position) * time.Second)
	rec := events.Recorded{Event: ev, Position: position, Stored: ev.Time}
	for _, option := range field[4:] {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "addr":
			rec.Address = value
		case "tags":
			k, v, _ := strings.Cut(value, ":")
			rec.Tags = map[string]string{k: v}
		case "implicit", "named":
			var e events.Evidence
			for _, id := range strings.Split(value, ",") {
				e.Accusers = append(e.Accusers, events.Accuser{ID: id, Implicit: name == "implicit"})
			}
			rec.Evidence = e.Raw()
		case "broken":
			rec.Evidence = json.RawMessage(`{"accusers":7}`)
		case "mismatch":
			rec.Mismatch = "body and subject disagree"
		case "cluster":
			rec.Cluster = value
		default:
			t.Fatalf("unknown option %q", option)
		}
	}
	return rec
}

func TestRollCounts(t *testing.T) {
	var s script
	s.line(t, "n1 joined n1 1 addr=h:1")
	s.line(t, "n2 joined n2 1 addr=h:2")
	s.line(t, "n3 joined n3 1 addr=h:3")
	s.line(t, "n1 suspected n9 1")
	s.line(t, "n1 suspected n2 1")
	s.line(t, "n3 left n3 1")
	r := s.roll
	if r.Len() != 3 || r.Live() != 2 || r.Position() != 6 || r.Cluster() != "c" {
		t.Errorf("len %d, live %d, position %d, cluster %q; want 3, 2, 6, c", r.Len(), r.Live(), r.Position(), r.Cluster())
	}
	var ids []string
	for n := range r.Nodes() {
		ids = append(ids, n.ID)
		if n.ID == "n2" {
			break
		}
	}
	if strings.Join(ids, " ") != "n1 n2" {
		t.Errorf("nodes %v up to n2, want them by id", ids)
	}
	if n, _ := r.Node("n2"); !n.Since.Equal(testTime.Add(5*time.Second)) || n.SincePosition != 5 {
		t.Errorf("n2 is suspect since %v at %d", n.Since, n.SincePosition)
	}
}

// I15: whatever is said of an id that never joined, by whomever, it gets no row, and it joins as if nothing had been said.
func TestRollForgetsStrangers(t *testing.T) {
	var s script
	s.line(t, "n1 joined n1 1 addr=h:1")
	before := len(s.roll.Snapshot())
	for i := range 1000 {
		id := fmt.Sprint("stranger", i)
		for _, line := range []string{" suspected n1 1", " accused n1 1", " failed n1 1", " health_check_failed n1 1"} {
			s.line(t, id+line)
		}
		for _, kind := range []string{"tagged", "refuted", "left", "partitioned", "healed", "id_conflict"} {
			s.line(t, fmt.Sprintf("%s %s %s 2", id, kind, id))
		}
	}
	if n, named := s.roll.Node("stranger7"); named || n.LastPosition != 0 || s.roll.Len() != 1 {
		t.Errorf("stranger7 is %+v (named: %v), %d in all; want nobody but n1", n, named, s.roll.Len())
	}
	if after := len(s.roll.Snapshot()); after > before+10 {
		t.Errorf("the snapshot grew from %d to %d bytes", before, after)
	}
	s.line(t, "stranger7 joined stranger7 1 addr=h:7")
	if n, _ := s.roll.Node("stranger7"); n.State != events.StateAlive || n.LastPosition != s.roll.Position() {
		t.Errorf("after it joined, stranger7 is %+v", n)
	}
}

// What changes no list of accusers is folded without an allocation.
func TestRollAllocations(t *testing.T) {
	var s script
	s.line(t, "n1 joined n1 1 addr=h:1")
	s.line(t, "n2 joined n2 1 addr=h:2")
	for _, kind := range []events.Kind{events.HealthCheckFailed, events.Accused, events.Refuted} {
		rec := recorded(claim(kind, "n1", "n2", 1), 0)
		if kind.ByOwner() {
			rec.Author = "n1"
		}
		if n := testing.AllocsPerRun(100, func() {
			rec.Position = s.roll.Position() + 1
			if kind == events.Refuted {
				rec.Incarnation++
			}
			s.roll.Apply(rec)
		}); n > 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

// TestRollKeepsForeignApart: an event of another cluster moves the position and nothing else, not even the expectation.
func TestRollKeepsForeignApart(t *testing.T) {
	var s script
	s.line(t, "n1 joined n1 1 addr=h:1")
	s.line(t, "n1 left n1 1 cluster=elsewhere")
	s.line(t, "n2 joined n2 1 cluster=elsewhere")
	if n, _ := s.roll.Node("n1"); n.LastPosition != 1 || s.roll.Len() != 1 || s.roll.Position() != 3 {
		t.Errorf("n1 is %+v, %d nodes, position %d; want untouched, 1, 3", n, s.roll.Len(), s.roll.Position())
	}
}

func TestRollPanicsOutOfOrder(t *testing.T) {
	r := events.NewRoll("c")
	r.Apply(events.Recorded{Event: claim(events.Joined, "n1", "n1", 1), Position: 5})
	defer func() {
		if recover() == nil {
			t.Error("a position applied twice does not panic")
		}
	}()
	r.Apply(events.Recorded{Event: claim(events.Left, "n1", "n1", 1), Position: 5})
}

// TestRollNodesStay: a Node that a reader holds does not change when the roll goes on.
func TestRollNodesStay(t *testing.T) {
	var s script
	for i := 1; i <= 6; i++ {
		s.line(t, fmt.Sprintf("n%d joined n%d 1 addr=h:1", i, i))
	}
	s.line(t, "n2 suspected n1 1")
	s.line(t, "n3 accused n1 1")
	s.line(t, "n4 accused n1 1")
	before, _ := s.roll.Node("n1")
	held := describe(before)
	twin, err := events.RestoreRoll("c", s.roll.Position(), slices.Collect(s.roll.Nodes()))
	if err != nil {
		t.Fatal(err)
	}
	s.line(t, "n5 accused n1 1")
	mine, _ := s.roll.Node("n1")
	other := script{roll: twin, position: s.position}
	other.line(t, "n6 accused n1 1") // a roll restored from the same nodes goes its own way
	if got := strings.Join(mine.Accusers, " "); got != "n2 n3 n4 n5" {
		t.Errorf("accusers became %s when another roll went on", got)
	}
	s.line(t, "n1 refuted n1 2")
	s.line(t, "n6 suspected n1 2")
	if got := describe(before); got != held {
		t.Errorf("the node was %s and became %s in a reader's hands", held, got)
	}
}

func TestQuorum(t *testing.T) {
	for live, want := range []int{1, 1, 1, 2, 3, 3, 3} {
		if got := events.Quorum(live); got != want {
			t.Errorf("quorum of %d members is %d, want %d", live, got, want)
		}
	}
}

func TestStateAndResultText(t *testing.T) {
	type both struct {
		State  events.State
		Result events.Result
	}
	for s, name := range []string{"unknown", "alive", "suspect", "failed", "left"} {
		raw, err := json.Marshal(both{events.State(s), events.Applied})
		if err != nil || string(raw) != `{"State":"`+name+`","Result":"applied"}` {
			t.Errorf("state %d is %s, error %v", s, raw, err)
		}
		var back both
		if err := json.Unmarshal(raw, &back); err != nil || back.State != events.State(s) {
			t.Errorf("%s reads as %v, error %v", raw, back.State, err)
		}
	}
	for r, name := range []string{"applied", "evidence", "late", "refused"} {
		result := events.Result(r + 1)
		var back events.Result
		if err := back.UnmarshalText([]byte(name)); err != nil || back != result || result.String() != name {
			t.Errorf("result %d is %q, read back %v, error %v", r+1, result, back, err)
		}
	}
	if _, err := json.Marshal(both{9, events.Applied}); err == nil {
		t.Error("state 9 marshals")
	}
	if _, err := json.Marshal(both{}); err == nil {
		t.Error("result 0 marshals")
	}
	if err := json.Unmarshal([]byte(`{"State":"asleep"}`), new(both)); err == nil {
		t.Error("state asleep unmarshals")
	}
	if err := new(events.Result).UnmarshalText(nil); err == nil {
		t.Error("an empty result unmarshals")
	}
	if s := events.State(9).String() + events.Result(9).String(); s != "state(9)result(9)" {
		t.Errorf("beyond the enumerations: %s", s)
	}
}
