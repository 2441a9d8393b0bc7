package projections_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/events"
	"rollcall/projections"
)

// foldGroup reads "plan <group> by <author> seen <position> bound <n> <pair>…" and "resign <group> by <author>". A pair is
// <worker>=<shard>,<shard>…, waiting=<shards>, move=<from>:<reason>:<shards>, selector=<selector> or mismatch=<text>.
func (s *script) foldGroup(word []string) string {
	s.n++
	at := time.Date(2026, 3, 1, 12, 0, int(s.n), 0, time.UTC)
	rec := events.Recorded{Position: s.n, Stored: at.Add(5 * time.Millisecond), Event: events.Event{
		ID: fmt.Sprintf("00000000-0000-7000-8000-%012d", s.n), Kind: events.Resigned, Cluster: "test", Group: word[1],
		Author: word[3], Time: at,
	}}
	if word[0] == "plan" {
		plan := &events.Plan{Reason: "test", Workers: make(map[string][]string)}
		plan.Seen, _ = strconv.ParseUint(word[5], 10, 64)
		plan.Bound, _ = strconv.Atoi(word[7])
		for _, pair := range word[8:] {
			key, value, _ := strings.Cut(pair, "=")
			switch key {
			case "waiting":
				plan.Waiting = strings.Split(value, ",")
			case "selector":
				plan.Selector = value
			case "mismatch":
				rec.Mismatch = value
			case "move":
				part := strings.Split(value, ":")
				plan.Moves = append(plan.Moves, events.Move{From: part[0], Reason: part[1], Shards: strings.Split(part[2], ",")})
			default:
				plan.Workers[key] = strings.Split(value, ",")
			}
		}
		rec.Kind, rec.Plan = events.Planned, plan
	}
	if _, err := events.Encode(rec.Event); err != nil {
		s.t.Fatalf("%s: %v", strings.Join(word, " "), err)
	}
	step, ok := s.views.Apply(rec)
	if !ok {
		s.t.Fatalf("position %d was folded before", rec.Position)
	}
	return fmt.Sprintf("#%d %s", s.n, outcome(step.Outcome))
}

func showGroup(v *projections.Views, name string) []string {
	g, ok := v.Assignments.Group(name)
	if !ok {
		return []string{"no group"}
	}
	directs := "directed by " + g.Director
	if g.Director == "" {
		directs = fmt.Sprintf("free: %s %s", g.Former, g.Vacant)
	}
	out := []string{fmt.Sprintf("plan #%d, %s, bound %d, newest #%d, refused %d, unreadable %d",
		g.Position, directs, g.Bound, g.LastPosition, g.Refused, g.Rejected)}
	for _, s := range g.Shards {
		worker := s.Worker
		if worker == "" {
			worker = "nobody"
		}
		out = append(out, fmt.Sprintf("%s %s since #%d, from %q: %s", s.Name, worker, s.Since, s.From, s.Reason))
	}
	return out
}

// groupLogs draws a log of nodes that come and go and of plans, most of them legal.
func groupLogs(t *rapid.T) []events.Recorded {
	ids := []string{"n1", "n2", "n3"}
	node := rapid.SampledFrom(ids)
	views := projections.New("test")
	incarnation := make(map[string]uint64)
	var recs []events.Recorded
	for i := range rapid.IntRange(0, 60).Draw(t, "events") {
		position := uint64(i + 1)
		ev := events.Event{
			ID: fmt.Sprint("id-", i), Cluster: "test", Time: time.Date(2026, 3, 1, 12, 0, i, 0, time.UTC),
			Author: node.Draw(t, "author"),
		}
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0, 1:
			incarnation[ev.Author]++
			ev.Kind, ev.Node, ev.Incarnation, ev.Address = events.Joined, ev.Author, incarnation[ev.Author], "127.0.0.1:1"
		case 2:
			ev.Kind, ev.Node, ev.Incarnation = events.Left, ev.Author, max(1, incarnation[ev.Author])
		case 3:
			ev.Kind, ev.Group = events.Resigned, "g"
		default:
			ev.Kind, ev.Group, ev.Plan = events.Planned, "g", drawPlan(t, views, position)
		}
		rec := events.Recorded{Event: ev, Position: position, Stored: ev.Time}
		views.Apply(rec)
		recs = append(recs, rec)
	}
	return recs
}

// drawPlan makes a plan whose moves are right, of shards and workers at random.
func drawPlan(t *rapid.T, v *projections.Views, position uint64) *events.Plan {
	g, ok := v.Assignments.Group("g")
	if !ok {
		g = &projections.Group{}
	}
	plan := &events.Plan{Reason: "drawn", Seen: max(1, position-rapid.Uint64Range(1, 3).Draw(t, "behind")), Bound: 4,
		Workers: make(map[string][]string)}
	moves := make(map[string][]string)
	for _, name := range []string{"a", "b", "c", "d"} {
		if rapid.IntRange(0, 4).Draw(t, "left out") == 0 {
			continue
		}
		worker := rapid.SampledFrom([]string{"", "n1", "n2", "n3"}).Draw(t, "worker")
		if worker == "" {
			plan.Waiting = append(plan.Waiting, name)
		} else {
			plan.Workers[worker] = append(plan.Workers[worker], name)
		}
		i := slices.IndexFunc(g.Shards, func(s projections.Shard) bool { return s.Name == name })
		from := ""
		if i >= 0 {
			from = g.Planned(g.Shards[i])
		}
		if i < 0 || g.Shards[i].Worker != worker || from != worker {
			moves[from] = append(moves[from], name)
		}
	}
	for _, from := range []string{"", "n1", "n2", "n3"} {
		if len(moves[from]) > 0 {
			plan.Moves = append(plan.Moves, events.Move{From: from, Reason: "drawn", Shards: moves[from]})
		}
	}
	return plan
}

// Whatever the log says, no shard is with a node that is not live, a shard's fence rises with every change, one member at a
// time directs, and it is live.
func TestAssignmentsAreWithLiveNodes(t *testing.T) {
	applied := 0
	rapid.Check(t, func(t *rapid.T) {
		v := projections.New("test")
		before := make(map[string]projections.Shard)
		director := ""
		for _, rec := range groupLogs(t) {
			step, _ := v.Apply(rec)
			g, ok := v.Assignments.Group("g")
			if !ok {
				continue
			}
			if rec.Kind == events.Planned && step.Outcome.Result == events.Applied {
				applied++
				if director != "" && rec.Author != director {
					t.Fatalf("#%d: %s planned while %s directed", rec.Position, rec.Author, director)
				}
				if g.Position != rec.Position || g.Director != rec.Author {
					t.Fatalf("#%d was applied, and the plan is #%d of %q", rec.Position, g.Position, g.Director)
				}
			}
			director = g.Director
			if director != "" && !live(v, director) {
				t.Fatalf("#%d: %s directs, and is not live", rec.Position, director)
			}
			now := make(map[string]projections.Shard)
			for _, s := range g.Shards {
				if s.Worker != "" && !live(v, s.Worker) {
					t.Fatalf("#%d: %s has %s, and is not live", rec.Position, s.Worker, s.Name)
				}
				if was, ok := before[s.Name]; ok && was != s && s.Since != rec.Position {
					t.Fatalf("#%d: %+v became %+v, and not at this position", rec.Position, was, s)
				}
				now[s.Name] = s
			}
			before = now
		}
	})
	if applied == 0 {
		t.Error("no plan was ever applied")
	}
}

func live(v *projections.Views, id string) bool {
	n, ok := v.Registry.Node(id)
	return ok && n.State.Live()
}

// I9, for groups: in pieces, from a snapshot and twice over, the bytes are the same.
func TestI9AssignmentsSplitRestartAndRepeat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recs := groupLogs(t)
		whole, pieces := projections.New("test"), projections.New("test")
		var kept *projections.Views
		var state string
		for i, rec := range recs {
			whole.Apply(rec)
			pieces.Apply(rec)
			if rapid.IntRange(0, 5).Draw(t, "restart") == 0 {
				restored, err := projections.Decode("test", pieces.Encode())
				if err != nil {
					t.Fatal(err)
				}
				pieces = restored
				pieces.Apply(recs[rapid.IntRange(0, i).Draw(t, "again")])
			}
			if kept != nil && string(kept.Encode()) != state {
				t.Fatalf("#%d changed what was frozen before it", rec.Position)
			}
			kept = pieces.Freeze()
			state = string(kept.Encode())
		}
		if string(whole.Encode()) != string(pieces.Encode()) {
			t.Fatal("in pieces the bytes differ")
		}
	})
}

// I15: groups are bounded, and what is over the bound changes nothing.
func TestI15GroupsAreBounded(t *testing.T) {
	v := projections.New("test")
	v.Apply(events.Recorded{Position: 1, Event: events.Event{
		Kind: events.Joined, Cluster: "test", Node: "n1", Author: "n1", Incarnation: 1, Address: "127.0.0.1:1",
	}})
	for i := range projections.GroupsMax + 10 {
		rec := events.Recorded{Position: uint64(i + 2), Event: events.Event{
			Kind: events.Planned, Cluster: "test", Group: fmt.Sprint("g", i), Author: "n1",
			Plan: &events.Plan{Reason: "first plan", Seen: 1},
		}}
		step, _ := v.Apply(rec)
		if want := events.Refused; i >= projections.GroupsMax && step.Outcome.Result != want {
			t.Fatalf("group %d: %v", i, step.Outcome)
		}
	}
	v.Reject(&events.DecodeError{Position: v.Position() + 1, Subject: "rollcall.test.group.new.n1.planned", Err: errors.New("broken")})
	if n := len(v.Assignments.Groups()); n != projections.GroupsMax {
		t.Errorf("%d groups, want %d", n, projections.GroupsMax)
	}
}
