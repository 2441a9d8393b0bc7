package verify_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/events/verify"
	"rollcall/projections"
	"rollcall/projections/assignment"
)

// plan is a plan of group g1 by author, who had read up to seen. Layout and moves are "n2:s1,s2 -:s3", with "-" for nobody;
// a move is from whom, and may name a reason: "n3=failed:s2".
func (b *book) plan(author string, seen uint64, layout, moves string) events.Event {
	ev := b.event(events.Planned, "", author, 0)
	ev.Group = "g1"
	ev.Plan = &events.Plan{Reason: "test", Seen: seen, Bound: 9, Workers: make(map[string][]string)}
	for part := range strings.FieldsSeq(layout) {
		worker, list, _ := strings.Cut(part, ":")
		if worker == "-" {
			ev.Plan.Waiting = strings.Split(list, ",")
		} else {
			ev.Plan.Workers[worker] = strings.Split(list, ",")
		}
	}
	for part := range strings.FieldsSeq(moves) {
		from, list, _ := strings.Cut(part, ":")
		from, reason, given := strings.Cut(strings.TrimPrefix(from, "-"), "=")
		if !given {
			reason = "balance"
		}
		ev.Plan.Moves = append(ev.Plan.Moves, events.Move{From: from, Reason: reason, Shards: strings.Split(list, ",")})
	}
	return ev
}

// resign appends that author gives group g1 up.
func (b *book) resign(author string) {
	b.t.Helper()
	ev := b.event(events.Resigned, "", author, 0)
	ev.Group = "g1"
	b.append(ev)
}

// planned is a log in which n1 to n5 joined and n1 then, at position 6, gave s1 to n2 and s2 to n3.
func planned(t *testing.T) *book {
	b := five(t)
	b.append(b.plan("n1", 5, "n2:s1 n3:s2", "-:s1,s2"))
	return b
}

// A group's life as directors write it has nothing to find: workers fail, leave and come back, and directors change.
func TestWholeLogOfAGroup(t *testing.T) {
	b := planned(t)
	b.say(events.Left, "n3", "n3", 1)                                     // 7
	b.append(b.plan("n1", 7, "n2:s1 n4:s2", "n3=left:s2"))                // 8
	b.say(events.Suspected, "n4", "n1", 1)                                // 9: it keeps what it has
	b.append(b.plan("n1", 9, "n2:s1,s3 n4:s2", "-:s3"))                   // 10: s3 is new
	b.say(events.Left, "n1", "n1", 1)                                     // 11: nobody directs
	b.append(b.plan("n5", 11, "n2:s1,s3 n4:s2", ""))                      // 12: nothing moves
	b.say(events.Refuted, "n4", "n4", 2)                                  // 13
	b.say(events.Left, "n2", "n2", 1)                                     // 14
	b.say(events.Joined, "n2", "n2", 2)                                   // 15: what it had is nobody's all the same
	b.append(b.plan("n5", 15, "n2:s3 n4:s1,s2", "n2=left:s1,s3"))         // 16
	b.resign("n5")                                                        // 17
	b.append(b.plan("n2", 17, "n2:s3 n4:s1 -:s2", "n4=unmatched:s2"))     // 18
	b.append(b.plan("n2", 18, "n2:s3 n4:s1 n5:s2", "-=nobody_had_it:s2")) // 19
	found, sum := b.read()
	for _, f := range found {
		t.Errorf("found %v", f)
	}
	if sum.Groups != 8 || sum.Applied != sum.Groups+sum.Events {
		t.Errorf("summary %+v, want 8 events of groups, all of them applied", sum)
	}
}

func TestPlantedFaultsOfGroups(t *testing.T) {
	for _, c := range []struct {
		name     string
		plant    func(b *book) // the last event is the fault
		severity verify.Severity
		rule     string
		text     string // part of it
	}{
		{"another directs", func(b *book) { b.append(b.plan("n4", 6, "n2:s1 n3:s2", "")) }, verify.Violation, "I3", "n1 directs the group"},
		{"another resigns", func(b *book) { b.resign("n4") }, verify.Violation, "I3", "does not direct"},
		{"resigned twice", func(b *book) {
			b.resign("n1")
			b.resign("n1")
		}, verify.Violation, "I3", "does not direct"},
		{"a stranger plans", func(b *book) {
			b.resign("n1")
			b.append(b.plan("n9", 7, "n2:s1 n3:s2", ""))
		}, verify.Violation, "I3", "its author is not a live member: it is unknown"},
		{"planned before it joined", func(b *book) {
			b.resign("n1")
			b.say(events.Joined, "n6", "n6", 1)
			b.append(b.plan("n6", 7, "n2:s1 n3:s2", ""))
		}, verify.Violation, "I3", "its author was not a live member at position 7"},
		{"the body names another author", func(b *book) {
			b.append(b.plan("n1", 6, "n2:s1 n3:s2", ""))
			b.entries[6].subject = "rollcall.test.group.g1.n4.planned"
		}, verify.Violation, "I3", `author: body says "n1", subject says "n4"`},
		{"of another cluster", func(b *book) {
			b.append(b.plan("n1", 6, "n2:s1 n3:s2", ""))
			b.entries[6].subject = "rollcall.elsewhere.group.g1.n1.planned"
		}, verify.Violation, "I3", "of another cluster"},
		{"made on an older plan", func(b *book) { b.append(b.plan("n1", 5, "n2:s1 n3:s2", "")) }, verify.Violation, "I5", "before the group's newest event at 6"},
		{"made on what was to come", func(b *book) { b.append(b.plan("n1", 9, "n2:s1 n3:s2", "")) }, verify.Violation, "I5", "still to come"},
		{"a worker that never joined", func(b *book) { b.append(b.plan("n1", 6, "n2:s1 n9:s2", "n3:s2")) }, verify.Violation, "I5", "worker n9 is not a live member"},
		{"a worker that had left", func(b *book) {
			b.say(events.Left, "n3", "n3", 1)
			b.append(b.plan("n1", 7, "n2:s1 n3:s2", ""))
		}, verify.Violation, "I5", "worker n3 is not a live member: it is left"},
		{"a worker that was still to join", func(b *book) {
			b.say(events.Joined, "n6", "n6", 1)
			b.append(b.plan("n1", 6, "n2:s1 n6:s2", "n3:s2"))
		}, verify.Violation, "I5", "worker n6 was not a live member at position 6"},
		{"a shard moves without a word", func(b *book) { b.append(b.plan("n1", 6, "n2:s1 n4:s2", "")) }, verify.Violation, "I5", "shard s2 is not where it was"},
		{"a shard is said to move", func(b *book) { b.append(b.plan("n1", 6, "n2:s1 n3:s2", "n3:s2")) }, verify.Violation, "I5", "shard s2 moves and is where it was"},
		{"a shard moves from where it was not", func(b *book) { b.append(b.plan("n1", 6, "n2:s1 n4:s2", "n2:s2")) }, verify.Violation, "I5", `moves from "n2" and was of "n3"`},
		{"a plan that fits by what came later", func(b *book) {
			b.say(events.Left, "n3", "n3", 1)
			b.say(events.Joined, "n3", "n3", 2)
			b.append(b.plan("n1", 6, "n2:s1 n3:s2", "n3:s2"))
		}, verify.Violation, "I5", "at position 6, up to which its author had read, shard s2 moves and is where it was"},
		{"a suspect worker is given a shard", func(b *book) {
			b.say(events.Suspected, "n5", "n1", 1)
			b.append(b.plan("n1", 7, "n2:s1 n5:s2", "n3:s2"))
		}, verify.Violation, "I5", "shard s2 is given to n5, which was suspect at position 7"},
		{"a worker is said to have failed", func(b *book) { b.append(b.plan("n1", 6, "n2:s1 n4:s2", "n3=failed:s2")) }, verify.Violation, "I3", "n3 failed, and up to position 6 it had not"},
		{"an author's time goes back", func(b *book) {
			ev := b.plan("n1", 6, "n2:s1 n3:s2", "")
			ev.Time = start
			b.append(ev)
		}, verify.Note, "I4", "goes back by 6s"},
		{"a worker left meanwhile", func(b *book) {
			b.say(events.Left, "n3", "n3", 1)
			b.append(b.plan("n1", 6, "n2:s1 n3:s2", ""))
		}, verify.Note, "I5", "worker n3 is not a live member: it is left since position 6"},
		{"a worker left and came back meanwhile", func(b *book) {
			b.say(events.Left, "n3", "n3", 1)
			b.say(events.Joined, "n3", "n3", 2)
			b.append(b.plan("n1", 6, "n2:s1 n3:s2", ""))
		}, verify.Note, "I5", "shard s2 is not where it was and does not move, since position 6"},
		{"the director left meanwhile", func(b *book) {
			b.say(events.Left, "n1", "n1", 1)
			b.append(b.plan("n1", 6, "n2:s1 n3:s2", ""))
		}, verify.Note, "I3", "its author is not a live member: it is left since position 6"},
		{"the director left and resigns", func(b *book) {
			b.say(events.Left, "n1", "n1", 1)
			b.resign("n1")
		}, verify.Note, "I3", "directs the group no more"},
		{"no JSON", func(b *book) {
			b.entries = append(b.entries, entry{"rollcall.test.group.g1.n1.planned", []byte("bye")})
		}, verify.Violation, "I15", "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := planned(t)
			c.plant(b)
			at := uint64(len(b.entries))
			b.say(events.HealthCheckFailed, "n2", "n4", 1) // life goes on
			found, _ := b.read()
			if len(found) != 1 {
				t.Fatalf("found %v, want one thing", found)
			}
			if f := found[0]; f.Severity != c.severity || f.Rule != c.rule || f.Position != at || !strings.Contains(f.Text, c.text) ||
				f.Group != "g1" || f.Author == "" {
				t.Errorf("found %v\nwant %s %s at position %d: … %s …", f, c.severity, c.rule, at, c.text)
			}
		})
	}
}

// What cannot be read is the group's newest event all the same, and what follows has to name it.
func TestUnreadableEventOfAGroup(t *testing.T) {
	b := planned(t)
	b.entries = append(b.entries, entry{"rollcall.test.group.g1.n4.planned", []byte("bye")})
	b.append(b.plan("n1", 6, "n2:s1 n3:s2", ""))
	b.append(b.plan("n1", 8, "n2:s1 n3:s2", ""))
	found, _ := b.read()
	if len(found) != 2 || found[0].Position != 7 || found[1].Position != 8 || !strings.Contains(found[1].Text, "newest event at 7") {
		t.Errorf("found %v, want what is unreadable, and what was written before it", found)
	}
}

// There are as many groups as the view keeps, and what is said of one more is lost to everybody.
func TestTooManyGroups(t *testing.T) {
	b := five(t)
	for i := range projections.GroupsMax + 1 {
		ev := b.plan("n1", 5, "n2:s1", "-:s1")
		ev.Group = fmt.Sprintf("g%d", i)
		b.append(ev)
	}
	found, sum := b.read()
	if len(found) != 1 || found[0].Severity != verify.Note || found[0].Rule != "I15" || sum.Refused != 1 {
		t.Errorf("found %v, %d refused; want one note of I15", found, sum.Refused)
	}
}

// The verifier and the view say the same of every event, whatever directors say and however far they had read.
func TestGroupsAreJudgedAsTheViewDoes(t *testing.T) {
	results := make(map[events.Result]int)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b, views := &book{t: t}, projections.New(cluster)
		var found []verify.Finding
		v := verify.New(cluster, func(f verify.Finding) { found = append(found, f) })
		for range 150 {
			ev, ok := b.anything(rng, views)
			if !ok {
				continue
			}
			b.append(ev)
			position := uint64(len(b.entries))
			before := v.Summary()
			found = found[:0]
			if err := v.Next(position, b.entries[position-1].subject, b.entries[position-1].body); err != nil {
				t.Fatal(err)
			}
			step, _ := views.Apply(events.Recorded{Event: ev, Position: position})
			if ev.Group == "" {
				continue
			}
			results[step.Outcome.Result]++
			if got := resultOf(before, v.Summary()); got != step.Outcome.Result {
				t.Fatalf("seed %d: position %d is %s, by the view %s (%s)\n%s", seed, position, got, step.Outcome.Result,
					step.Outcome.Reason, b.transcript())
			}
			if len(found) == 0 && step.Outcome.Result != events.Applied {
				t.Fatalf("seed %d: position %d is %s and nothing was found", seed, position, step.Outcome.Result)
			}
		}
	}
	if results[events.Applied] < 100 || results[events.Refused] < 100 || results[events.Late] < 10 {
		t.Errorf("results %v: too few of a kind to have compared anything", results)
	}
}

func resultOf(before, after verify.Summary) events.Result {
	switch {
	case after.Applied > before.Applied:
		return events.Applied
	case after.Late > before.Late:
		return events.Late
	default:
		return events.Refused
	}
}

// anything is an event of a node that its own history allows, or something said of a group, mostly near to what is allowed.
func (b *book) anything(rng *rand.Rand, views *projections.Views) (events.Event, bool) {
	id := func() string { return fmt.Sprintf("n%d", rng.IntN(5)) }
	if rng.IntN(3) > 0 {
		return b.ofNode(rng, views, id())
	}
	if rng.IntN(10) == 0 {
		ev := b.event(events.Resigned, "", id(), 0)
		ev.Group = "g1"
		return ev, true
	}
	g, known := views.Assignments.Group("g1")
	if !known {
		g = &projections.Group{}
	}
	ev := b.plan(id(), views.Position(), "", "")
	if g.Director != "" && rng.IntN(4) > 0 {
		ev.Author = g.Director
	}
	moves := make(map[string][]string)
	for i := range 3 {
		shard, worker := fmt.Sprintf("s%d", i), id()
		at := slices.IndexFunc(g.Shards, func(s projections.Shard) bool { return s.Name == shard })
		from, stays := "", false
		if at >= 0 {
			from = g.Planned(g.Shards[at])
			if from != "" && rng.IntN(3) > 0 {
				worker = from
			}
			stays = g.Shards[at].Worker == worker && from == worker
		}
		ev.Plan.Workers[worker] = append(ev.Plan.Workers[worker], shard)
		if stays != (rng.IntN(20) == 0) {
			continue
		}
		moves[from] = append(moves[from], shard)
	}
	for _, from := range []string{"", "n0", "n1", "n2", "n3", "n4"} {
		if len(moves[from]) > 0 {
			ev.Plan.Moves = append(ev.Plan.Moves, events.Move{From: from, Reason: "balance", Shards: moves[from]})
		}
	}
	ev.Plan.Seen -= min(ev.Plan.Seen-1, uint64(rng.IntN(4)))
	return ev, views.Position() > 0
}

// ofNode is something that a node can say of itself, or that another can say of it.
func (b *book) ofNode(rng *rand.Rand, views *projections.Views, id string) (events.Event, bool) {
	n, ok := views.Registry.Node(id)
	switch {
	case !ok || !n.State.Live():
		incarnation := uint64(1)
		if ok {
			incarnation = n.Incarnation + 1
		}
		return b.event(events.Joined, id, id, incarnation), true
	case rng.IntN(4) == 0:
		return b.event(events.Left, id, id, n.Incarnation), true
	case n.State == events.StateSuspect:
		return b.event(events.Refuted, id, id, n.Incarnation+1), true
	default:
		return b.event(events.Suspected, id, id[:1]+string('0'+(id[1]-'0'+1)%5), n.Incarnation), true
	}
}

// Directors that plan as this project's does, however late they read, never leave a violation.
func TestDirectorsInGoodFaith(t *testing.T) {
	plans, races := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		b, truth := five(t), projections.New(cluster)
		var said []events.Recorded
		for i, e := range b.entries {
			rec, err := events.Decode(e.subject, e.body)
			if err != nil {
				t.Fatal(err)
			}
			rec.Position = uint64(i + 1)
			said = append(said, rec)
			truth.Apply(rec)
		}
		replicas := []*projections.Views{projections.New(cluster), projections.New(cluster)}
		for range 120 {
			ev, ok := b.ofNode(rng, truth, fmt.Sprintf("n%d", 1+rng.IntN(4)))
			if rng.IntN(2) == 0 {
				who := rng.IntN(len(replicas))
				for int(replicas[who].Position()) < len(said) && rng.IntN(10) > 0 {
					replicas[who].Apply(said[replicas[who].Position()])
				}
				ev, ok = b.direct(replicas[who], truth, fmt.Sprintf("n%d", who+1))
			}
			if !ok || ev.Group == "" && rng.IntN(3) > 0 {
				continue
			}
			b.append(ev)
			said = append(said, events.Recorded{Event: ev, Position: uint64(len(b.entries))})
			step, _ := truth.Apply(said[len(said)-1])
			if ev.Group != "" && step.Outcome.Result == events.Applied {
				plans++
			}
		}
		found, _ := b.read()
		for _, f := range found {
			if f.Severity == verify.Violation && f.Group != "" {
				t.Fatalf("seed %d: %v\n%s", seed, f, b.transcript())
			}
			if f.Group != "" {
				races++
			}
		}
	}
	if plans < 200 || races == 0 {
		t.Errorf("%d plans, %d races that were lost: these directors show nothing", plans, races)
	}
}

// direct is what self plans by its replica, if that is up to it, and if the log takes it.
func (b *book) direct(replica, truth *projections.Views, self string) (events.Event, bool) {
	me, ok := replica.Registry.Node(self)
	g, known := replica.Assignments.Group("g1")
	newest, planned := truth.Assignments.Group("g1")
	switch {
	case !ok || !me.State.Live(), known && g.Director != "" && g.Director != self:
		return events.Event{}, false
	case planned && (!known || newest.LastPosition != g.LastPosition):
		return events.Event{}, false // a conflict
	case !known:
		return b.plan(self, replica.Position(), self+":s1,s2,s3", "-:s1,s2,s3"), true
	}
	plan, differs, err := assignment.WhatIf(replica, "g1", assignment.Assumption{})
	if err != nil {
		b.t.Fatal(err)
	}
	ev := b.plan(self, replica.Position(), "", "")
	ev.Plan = &plan
	return ev, differs || g.Director != self
}
