package recorder_test

import (
	"slices"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/recorder"
	"rollcall/swim"
)

// I8: a verdict of ours whose accusation the log lacks brings the accusation first, as what the log can still take.
func TestVerdictBringsItsAccusation(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startAll(t, log, 1)[0]
		inject(t, log, events.Joined, "v", "v", 1)
		m.record(failed("v"))
		m.drained()
		if got := story(lawful(t, log), "v"); !slices.Equal(got, []string{"v joined 1", "m0 suspected 1", "m0 failed 1"}) {
			t.Errorf("nobody had accused: the log has %v", got)
		}
		inject(t, log, events.Joined, "w", "w", 1)
		inject(t, log, events.Joined, "b", "b", 1)
		inject(t, log, events.Suspected, "w", "b", 1)
		m.record(failed("w"))
		m.drained()
		want := []string{"w joined 1", "b suspected 1", "m0 accused 1", "m0 failed 1"}
		if got := story(lawful(t, log), "w"); !slices.Equal(got, want) {
			t.Errorf("another had accused: the log has %v, want %v", got, want)
		}
	})
}

// A member that the log does not hold as one accuses in vain: kept as evidence, after a while.
func TestAccuserUnknownToTheLog(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		inject(t, log, events.Joined, "v", "v", 1)
		m := start(t, log, "m0")
		m.record(suspected("v"), failed("v"))
		time.Sleep(2 * time.Minute)
		if got := story(lawful(t, log), "v"); !slices.Equal(got, []string{"v joined 1", "m0 accused 1", "m0 accused 1"}) {
			t.Errorf("the log has %v", got)
		}
		if n, _ := m.Node("v"); n.State != events.StateAlive || m.Stats().Pending != 0 {
			t.Errorf("v is %s, %d pending", n.State, m.Stats().Pending)
		}
	})
}

// What no step of the log can use is put aside, not dropped; what our own later word overtook is dropped and counted.
func TestOwnLeftovers(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		m.record(own(swim.TransitionLeft, "m0", 1))
		m.drained()
		if s := m.Stats(); s.Refused != 1 || s.Aside != 1 {
			t.Errorf("left without joined: %+v", s)
		}
		m.record(own(swim.TransitionJoined, "m0", 3), own(swim.TransitionTagged, "m0", 2), own(swim.TransitionLeft, "m0", 2))
		m.drained()
		if s := m.Stats(); s.Superseded != 2 {
			t.Errorf("tagged and left of an older incarnation: %+v", s)
		}
		if got := story(lawful(t, log), "m0"); !slices.Equal(got, []string{"m0 joined 3"}) {
			t.Errorf("the log has %v", got)
		}
	})
}

// I11: what a process left behind when it went while the log was away is said by the next one, which must not judge it
// before it has read the log.
func TestLeftoversOfAnEarlierLife(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startAll(t, log, 1)[0]
		log.SetAvailable(false)
		m.record(own(swim.TransitionLeft, "m0", 1))
		m.stop()
		m.run(log)
		m.record(own(swim.TransitionJoined, "m0", 2))
		time.Sleep(time.Minute)
		log.SetAvailable(true)
		m.drained()
		want := []string{"m0 joined 1", "m0 left 1", "m0 joined 2"}
		if got := story(lawful(t, log), "m0"); !slices.Equal(got, want) || m.Stats().Aside != 0 {
			t.Errorf("the log has %v, want %v; %+v", got, want, m.Stats())
		}
	})
}

func TestSay(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := startAll(t, log, 1)[0]
		inject(t, log, events.Joined, "v", "v", 1)
		err := m.Say(
			events.Event{Kind: events.HealthCheckFailed, Node: "v", Incarnation: 1, Time: time.Now()},
			events.Event{Kind: events.Partitioned, Node: "m0", Incarnation: 1, Time: time.Now()},
		)
		if err != nil {
			t.Fatal(err)
		}
		m.drained()
		all := lawful(t, log)
		if v, me := kinds(all, "v"), kinds(all, "m0"); v[events.HealthCheckFailed] != 1 || me[events.Partitioned] != 1 {
			t.Errorf("the log has %v and %v", v, me)
		}
	})
}

// I3: the outbox of another member is not said in our name, and not in its own: it is put aside. An entry that is there
// twice, because a write that failed had reached the disk, is said once.
func TestForeignAndDoubleEntries(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		m.record(joined("m0"))
		m.drained()
		inject(t, log, events.Joined, "v", "v", 1)
		log.SetAvailable(false)
		ev := events.Event{
			ID: events.NewID(), Kind: events.Suspected, Cluster: cluster, Node: "v", Author: "m0", Time: time.Now(), Incarnation: 1,
		}
		foreign := ev
		foreign.ID, foreign.Author = events.NewID(), "m1"
		if err := m.box.Put(ev, foreign, ev); err != nil {
			t.Fatal(err)
		}
		m.record(own(swim.TransitionRefuted, "m0", 2))
		log.SetAvailable(true)
		m.drained()
		if got := story(lawful(t, log), "v"); !slices.Equal(got, []string{"v joined 1", "m0 suspected 1"}) {
			t.Errorf("the log has %v", got)
		}
		aside, err := m.box.Aside(10)
		if err != nil || len(aside) != 1 || aside[0].Event.ID != foreign.ID {
			t.Errorf("put aside: %+v, %v", aside, err)
		}
	})
}

// An outbox that is closed under a running recorder ends it; nothing in it is touched.
func TestOutboxClosedUnderneath(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0")
		log.SetAvailable(false)
		m.record(joined("m0"))
		time.Sleep(time.Minute)
		if err := m.box.Close(); err != nil {
			t.Fatal(err)
		}
		log.SetAvailable(true)
		time.Sleep(time.Minute)
		m.stop()
		m.run(log)
		m.drained()
		if got := story(lawful(t, log), "m0"); !slices.Equal(got, []string{"m0 joined 1"}) {
			t.Errorf("the log has %v", got)
		}
	})
}

// One Run at a time.
func TestRunTwice(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		m := start(t, log, "m0", func(c *recorder.Config) { c.Logger = nil })
		m.record(joined("m0"))
		m.drained()
		if err := m.Run(t.Context()); err == nil {
			t.Error("a second Run started beside the first")
		}
	})
}
