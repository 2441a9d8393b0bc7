package assignment_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projections"
	"rollcall/projections/assignment"
	"rollcall/projections/projector"
)

func TestDirectorPlansMovesAndRests(t *testing.T) {
	bubble(t, func(w *world) {
		began := time.Now()
		w.director("n1", w.p, 6)
		w.want("n1: n2=s0,s3 n3=s1,s4 n4=s2,s5")
		if waited := time.Since(began); waited < assignment.DefaultSettle {
			t.Errorf("the first plan came after %v: it did not wait for who is about to join", waited)
		}
		first := w.group()
		if first.Selector != "role=worker" || first.Bound != 2 || first.Reason != "first plan" {
			t.Errorf("first plan %+v", first)
		}

		w.fail("n4")
		w.want("n1: n2=s0,s2,s3 n3=s1,s4,s5") // what n4 had, and nothing else
		g := w.group()
		if g.Reason != "n4 failed" {
			t.Errorf("reason %q", g.Reason)
		}
		for _, s := range g.Shards {
			if moved := s.Name == "s2" || s.Name == "s5"; moved != (s.Since == g.Position && s.From == "n4" && s.Reason == "failed") {
				t.Errorf("shard %+v of plan #%d", s, g.Position)
			}
		}

		w.join("n4")
		joined := time.Now()
		w.want("n1: n2=s0,s2 n3=s1,s4 n4=s3,s5")
		if waited := time.Since(joined); waited < assignment.DefaultSettle {
			t.Errorf("moved for balance after %v", waited)
		}
		w.say(events.Tagged, "n3", "n3", func(ev *events.Event) { ev.Incarnation, w.life["n3"] = 2, 2 })
		w.want("n1: n2=s0,s1,s2 n4=s3,s4,s5") // a worker that no longer matches
		end := w.group().LastPosition
		w.pass(time.Hour)
		if g := w.group(); g.LastPosition != end || g.Refused != 0 {
			t.Errorf("with nothing to do the group went from #%d to #%d, %d refused", end, g.LastPosition, g.Refused)
		}
	})
}

func TestSuspectWorkerKeepsItsShards(t *testing.T) {
	bubble(t, func(w *world) {
		w.director("n1", w.p, 6)
		w.want("n1: n2=s0,s3 n3=s1,s4 n4=s2,s5")
		w.say(events.Suspected, "n4", "n1", nil)
		w.pass(time.Minute)
		w.want("n1: n2=s0,s3 n3=s1,s4 n4=s2,s5")
		w.fail("n3")
		w.want("n1: n2=s0,s1,s3,s4 n4=s2,s5") // a suspect is given nothing
	})
}

// Nobody is alive to work: the shards wait, and are given out when somebody is.
func TestShardsWaitForWorkers(t *testing.T) {
	bubble(t, func(w *world) {
		for _, id := range []string{"n2", "n3", "n4"} {
			w.say(events.Left, id, id, nil)
		}
		w.director("n1", w.p, 2)
		w.want("n1: =s0,s1")
		w.join("n3")
		w.want("n1: n3=s0,s1")
		w.say(events.Left, "n3", "n3", nil)
		w.want("n1: =s0,s1")
		w.pass(time.Minute)
		waiting := w.group()
		if waiting.Reason != "n3 left" || waiting.Shards[0].From != "n3" {
			t.Errorf("waiting: %+v", waiting)
		}
		w.pass(time.Hour)
		if g := w.group(); g.LastPosition != waiting.LastPosition {
			t.Errorf("while the shards waited the group went from #%d to #%d", waiting.LastPosition, g.LastPosition)
		}
		w.join("n4")
		w.want("n1: n4=s0,s1")
	})
}

func TestSecondDirectorTakesOver(t *testing.T) {
	bubble(t, func(w *world) {
		_, crash := w.director("n1", w.p, 6)
		w.want("n1: n2=s0,s3 n3=s1,s4 n4=s2,s5")
		w.director("n2", w.replica(), 6)
		w.director("n3", w.replica(), 6)
		plan := w.group().Position
		w.pass(time.Minute)
		if g := w.group(); g.Position != plan || g.Refused != 0 {
			t.Fatalf("those who stood by planned: %+v", g)
		}
		crash()
		w.pass(time.Minute)
		if g := w.group(); g.Director != "n1" {
			t.Fatalf("n1 is live, and %q directs", g.Director)
		}
		w.fail("n1")
		w.pass(time.Second)
		g := w.group()
		if g.Director != "n2" && g.Director != "n3" || g.Refused != 0 || !strings.Contains(g.Reason, "n1 failed") {
			t.Fatalf("%q directs after n1 failed, because of %q, %d refused", g.Director, g.Reason, g.Refused)
		}
		w.want(g.Director + ": n2=s0,s3 n3=s1,s4 n4=s2,s5") // taking over moves nothing
	})
}

func TestOnlyLiveMembersDirect(t *testing.T) {
	bubble(t, func(w *world) {
		w.director("n9", w.p, 2)
		w.pass(time.Minute)
		if g := w.group(); g.LastPosition != 0 {
			t.Fatalf("one that is no member planned: %+v", g)
		}
		w.join("n9")
		w.want("n9: n2=s0 n3=s1")
	})
}

// The shards or the selector of the config changed: what is no longer named is no more, and the rest stays.
func TestDirectorFollowsItsConfig(t *testing.T) {
	bubble(t, func(w *world) {
		_, stop := w.director("n1", w.p, 6)
		w.want("n1: n2=s0,s3 n3=s1,s4 n4=s2,s5")
		stop()
		_, stop = w.director("n1", w.p, 4)
		w.want("n1: n2=s0,s3 n3=s1 n4=s2")
		stop()
		d, err := assignment.NewDirector(assignment.DirectorConfig{
			Cluster: cluster, Group: "orders", Self: "n1", Selector: "role", Shards: []string{"s0", "s1", "s2", "s3"},
			Log: w.log, Views: w.p,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.running.Go(func() { _ = d.Run(w.ctx) })
		w.pass(time.Second)
		if g := w.group(); g.Selector != "role" || w.layout() != "n1: n2=s0,s3 n3=s1 n4=s2" {
			t.Errorf("selector %q, %s", g.Selector, w.layout())
		}
	})
}

// Fencing: the log itself refuses a director that slept while another took over, and the fold would too.
func TestOldDirectorCannotWrite(t *testing.T) {
	bubble(t, func(w *world) {
		_, stop := w.director("n1", w.p, 2)
		w.want("n1: n2=s0 n3=s1")
		known := w.group().LastPosition
		stop()
		w.fail("n1")
		_, stopSecond := w.director("n4", w.p, 2)
		w.want("n4: n2=s0 n3=s1")
		stopSecond()

		old := events.Event{
			ID: events.NewID(), Kind: events.Planned, Cluster: cluster, Group: "orders", Author: "n1", Time: time.Now().UTC(),
			Plan: &events.Plan{
				Reason: "I slept", Seen: known, Bound: 2, Workers: map[string][]string{"n2": {"s0", "s1"}},
				Moves: []events.Move{{From: "n3", Reason: "balance", Shards: []string{"s1"}}},
			},
		}
		if _, err := w.log.Append(w.ctx, old, known); !errors.Is(err, events.ErrConflict) {
			t.Fatalf("append by the old director: %v, want ErrConflict", err)
		}
		for _, reborn := range []bool{false, true} {
			if reborn {
				w.join("n1") // alive again, and still not the director
			}
			old.ID = events.NewID()
			if _, err := w.log.Append(w.ctx, old, w.group().LastPosition); err != nil {
				t.Fatal(err)
			}
			w.want("n4: n2=s0 n3=s1")
		}
		if g := w.group(); g.Refused != 2 {
			t.Errorf("%d refused, want 2", g.Refused)
		}
	})
}

// late is a log on the way to which, for whatever it is asked first, another director is faster.
type late struct {
	*memlog.Log
	once   sync.Once
	faster func()
}

func (l *late) Append(ctx context.Context, ev events.Event, expect uint64) (uint64, error) {
	l.once.Do(l.faster)
	return l.Log.Append(ctx, ev, expect)
}

func (l *late) LastOfGroup(ctx context.Context, group string) (events.Recorded, error) {
	l.once.Do(l.faster)
	return l.Log.LastOfGroup(ctx, group)
}

// Of two directors that plan at the same time one writes: a plan is appended under the expectation of what it was made from.
func TestOfTwoDirectorsOneWrites(t *testing.T) {
	bubble(t, func(w *world) {
		log := &late{Log: w.log, faster: func() {
			w.director("n2", w.replica(), 3)
			for {
				if _, err := w.log.LastOfGroup(w.ctx, "orders"); err == nil {
					return
				}
				<-time.After(10 * time.Millisecond)
			}
		}}
		d, err := assignment.NewDirector(assignment.DirectorConfig{
			Cluster: cluster, Group: "orders", Self: "n1", Selector: "role = worker", Shards: []string{"s0", "s1", "s2"}, Log: log, Views: w.p,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.running.Go(func() { _ = d.Run(w.ctx) })
		w.want("n2: n2=s0 n3=s1 n4=s2")
		w.pass(time.Minute)
		info, err := w.log.Info(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		plans := 0
		for rec, err := range w.log.Subscribe(w.ctx, events.Filter{Group: "orders"}, events.From{Through: info.Last}) {
			if err != nil {
				t.Fatal(err)
			}
			plans++
			t.Logf("%s by %s: %s", rec.Kind, rec.Author, rec.Plan.Reason)
		}
		if g := w.group(); plans != 1 || g.Director != "n2" || g.Refused != 0 {
			t.Errorf("%d plans, %q directs, %d refused; want one, by n2", plans, g.Director, g.Refused)
		}
	})
}

func TestResignedGroupIsFree(t *testing.T) {
	bubble(t, func(w *world) {
		first, stop := w.director("n1", w.p, 3)
		w.want("n1: n2=s0 n3=s1 n4=s2")
		second, _ := w.director("n2", w.replica(), 3)
		if err := second.Resign(w.ctx); !errors.Is(err, assignment.ErrNotDirector) {
			t.Errorf("resign of one who stands by: %v", err)
		}
		stop()
		w.log.LoseAck() // it resigns all the same, and once
		if err := first.Resign(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.want("n2: n2=s0 n3=s1 n4=s2")
	})
}

// The log goes away, loses an answer, and is full: one plan comes of it in the end, and none twice.
func TestDirectorOutlivesTheLog(t *testing.T) {
	bubble(t, func(w *world) {
		w.log.LoseAck()
		w.director("n1", w.p, 3)
		w.want("n1: n2=s0 n3=s1 n4=s2")
		w.log.SetAvailable(false)
		w.pass(time.Minute)
		w.log.SetAvailable(true)
		w.say(events.Left, "n4", "n4", nil)
		w.log.SetFull(true) // before or after the plan: it is only late
		w.pass(time.Minute)
		w.log.SetFull(false)
		w.want("n1: n2=s0,s2 n3=s1")
		if g := w.group(); g.Refused != 0 {
			t.Errorf("%d refused", g.Refused)
		}
	})
}

func TestDirectorEndsWhenItMayNotPlan(t *testing.T) {
	bubble(t, func(w *world) {
		w.log.Deny("n1")
		d, err := assignment.NewDirector(assignment.DirectorConfig{
			Cluster: cluster, Group: "orders", Self: "n1", Shards: []string{"s0"}, Log: w.log, Views: w.p,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Run(w.ctx); !errors.Is(err, events.ErrDenied) {
			t.Errorf("run: %v, want ErrDenied", err)
		}
	})
}

func TestDirectorEndsWithItsReplica(t *testing.T) {
	bubble(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.ctx)
		p, err := projector.Open(projector.Config{Log: w.log, Cluster: cluster})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = p.Run(ctx) }()
		d, err := assignment.NewDirector(assignment.DirectorConfig{
			Cluster: cluster, Group: "orders", Self: "n9", Shards: []string{"s0"}, Log: w.log, Views: p,
		})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := d.Run(w.ctx); !errors.Is(err, projector.ErrStopped) {
			t.Errorf("run: %v, want ErrStopped", err)
		}
	})
}

func TestWhatIfAppendsNothing(t *testing.T) {
	bubble(t, func(w *world) {
		w.director("n1", w.p, 6)
		w.want("n1: n2=s0,s3 n3=s1,s4 n4=s2,s5")
		end := w.group().LastPosition
		w.p.View(func(v *projections.Views) {
			plan, differs, err := assignment.WhatIf(v, "orders", assignment.Assumption{Without: []string{"n4"}})
			if err != nil || !differs || !slices.Equal(plan.Workers["n2"], []string{"s0", "s2", "s3"}) || len(plan.Workers) != 2 {
				t.Errorf("without n4: %+v, %v, %v", plan, differs, err)
			}
			plan, _, err = assignment.WhatIf(v, "orders", assignment.Assumption{With: []string{"n5", "n6", "n7"}})
			if err != nil || plan.Bound != 1 || len(plan.Workers["n7"]) != 1 || len(plan.Workers) != 6 {
				t.Errorf("with three more: %+v, %v", plan, err)
			}
			if _, differs, err := assignment.WhatIf(v, "orders", assignment.Assumption{}); differs || err != nil {
				t.Errorf("as it is: differs %v, error %v", differs, err)
			}
			if _, _, err := assignment.WhatIf(v, "nothing", assignment.Assumption{}); !errors.Is(err, assignment.ErrNoGroup) {
				t.Errorf("of no group: %v", err)
			}
		})
		if got := w.group().LastPosition; got != end {
			t.Errorf("the group's newest event is #%d, was #%d", got, end)
		}
	})
}

func TestDirectorConfigIsChecked(t *testing.T) {
	bubble(t, func(w *world) {
		good := assignment.DirectorConfig{
			Cluster: cluster, Group: "g", Self: "n1", Shards: []string{"s0", "s1"}, Log: w.log, Views: w.p,
		}
		if _, err := assignment.NewDirector(good); err != nil {
			t.Fatal(err)
		}
		for name, spoil := range map[string]func(*assignment.DirectorConfig){
			"cluster":         func(c *assignment.DirectorConfig) { c.Cluster = "" },
			"group":           func(c *assignment.DirectorConfig) { c.Group = "a.b" },
			"self":            func(c *assignment.DirectorConfig) { c.Self = "*" },
			"shard":           func(c *assignment.DirectorConfig) { c.Shards = []string{"a b"} },
			"shard twice":     func(c *assignment.DirectorConfig) { c.Shards = []string{"s0", "s0"} },
			"no shards":       func(c *assignment.DirectorConfig) { c.Shards = nil },
			"log":             func(c *assignment.DirectorConfig) { c.Log = nil },
			"replica":         func(c *assignment.DirectorConfig) { c.Views = nil },
			"settle":          func(c *assignment.DirectorConfig) { c.Settle = -1 },
			"selector's size": func(c *assignment.DirectorConfig) { c.Selector = strings.Repeat("x", events.PlanSelectorMax+1) },
		} {
			cfg := good
			spoil(&cfg)
			if _, err := assignment.NewDirector(cfg); !errors.Is(err, assignment.ErrConfig) {
				t.Errorf("%s: %v, want ErrConfig", name, err)
			}
		}
		good.Selector = "role in ("
		if _, err := assignment.NewDirector(good); !errors.Is(err, projections.ErrSelector) {
			t.Errorf("selector: %v, want ErrSelector", err)
		}
	})
}
