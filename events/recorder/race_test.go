package recorder_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/recorder"
	"rollcall/swim"
)

// I5, I8: eight members see the same failure at the same moment.
func TestOneOfEachTransitionHoweverManyObserve(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		members := startAll(t, log, 8)
		inject(t, log, events.Joined, "victim", "victim", 1)
		everyone(members, func(m *member) { m.record(suspected("victim"), failed("victim")) })
		var agreed uint64
		for _, m := range members {
			m.drained()
			agreed += m.Stats().Agreed
		}
		want := map[events.Kind]int{events.Joined: 1, events.Suspected: 1, events.Accused: 7, events.Failed: 1}
		if got := kinds(lawful(t, log), "victim"); !maps.Equal(got, want) {
			t.Errorf("the log has %v, want %v", got, want)
		}
		if agreed != 7 {
			t.Errorf("%d verdicts dropped as agreed, want 7", agreed)
		}
		for _, m := range members {
			if n, _ := m.Node("victim"); n.State != events.StateFailed || len(n.Accusers) < events.Quorum(9) {
				t.Errorf("%s holds the victim %s, accused by %v", m.id, n.State, n.Accusers)
			}
		}
	})
}

// Half of a cluster dies: many nodes are in flight together, each in order.
func TestStorm(t *testing.T) {
	const observers, victims = 8, 200
	bubble(t, func(t *testing.T, log *memlog.Log) {
		members := startAll(t, log, observers)
		for i := range victims {
			inject(t, log, events.Joined, victim(i), victim(i), 1)
		}
		everyone(members, func(m *member) {
			var ts []swim.Transition
			for i := range victims {
				ts = append(ts, suspected(victim(i)))
			}
			for i := range victims {
				ts = append(ts, failed(victim(i)))
			}
			m.record(ts...)
		})
		for _, m := range members {
			m.drained()
		}
		all := lawful(t, log)
		want := map[events.Kind]int{events.Joined: 1, events.Suspected: 1, events.Accused: observers - 1, events.Failed: 1}
		for i := range victims {
			if got := kinds(all, victim(i)); !maps.Equal(got, want) {
				t.Errorf("%s: the log has %v, want %v", victim(i), got, want)
			}
		}
	})
}

// crowded is a log that takes nothing until enough appends wait for it together, each about another node.
type crowded struct {
	*memlog.Log
	enough int

	mu      sync.Mutex
	waiting map[string]bool // by node
	most    int
	full    chan struct{} // closed once enough wait
	twice   []string      // nodes that had two in flight
}

func (c *crowded) Append(ctx context.Context, ev events.Event, expect uint64) (uint64, error) {
	c.mu.Lock()
	if c.waiting[ev.Node] {
		c.twice = append(c.twice, ev.Node)
	}
	c.waiting[ev.Node] = true
	c.most = max(c.most, len(c.waiting))
	if c.most == c.enough {
		close(c.full)
		c.enough = 0
	}
	c.mu.Unlock()
	select {
	case <-c.full:
	case <-time.After(time.Minute): // fewer than enough come
	}
	position, err := c.Log.Append(ctx, ev, expect)
	c.mu.Lock()
	delete(c.waiting, ev.Node)
	c.mu.Unlock()
	return position, err
}

// In a storm as many nodes as may be are in flight together, and of each one event.
func TestManyNodesAreInFlightTogether(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		slow := &crowded{Log: log, enough: recorder.InFlightMax, waiting: make(map[string]bool), full: make(chan struct{})}
		const victims = 3 * recorder.InFlightMax
		for i := range victims {
			inject(t, log, events.Joined, victim(i), victim(i), 1)
		}
		inject(t, log, events.Joined, "m0", "m0", 1)
		m := start(t, slow, "m0")
		var ts []swim.Transition
		for i := range victims {
			ts = append(ts, suspected(victim(i)))
		}
		m.record(append(ts, suspected(victim(0)))...)
		m.drained()
		slow.mu.Lock()
		defer slow.mu.Unlock()
		if slow.most != recorder.InFlightMax || len(slow.twice) > 0 {
			t.Errorf("%d appends together, want %d; twice in flight: %v", slow.most, recorder.InFlightMax, slow.twice)
		}
	})
}

// I10: the callback has every event of the log once, in its order, with what every other reader makes of it.
func TestOnEventFollowsTheLog(t *testing.T) {
	bubble(t, func(t *testing.T, log *memlog.Log) {
		members := startAll(t, log, 3)
		inject(t, log, events.Joined, "victim", "victim", 1)
		everyone(members, func(m *member) { m.record(suspected("victim"), failed("victim")) })
		for _, m := range members {
			m.drained()
		}
		m := members[0]
		if err := m.CaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		roll := events.NewRoll(cluster)
		m.seen.Lock()
		defer m.seen.Unlock()
		all := history(t, log)
		if len(m.seen.positions) != len(all) {
			t.Fatalf("told of %d events, the log has %d", len(m.seen.positions), len(all))
		}
		for i, rec := range all {
			if m.seen.positions[i] != rec.Position {
				t.Errorf("told of position %d in place of %d", m.seen.positions[i], rec.Position)
			}
			if want := roll.Apply(rec); m.seen.outcomes[rec.ID] != want {
				t.Errorf("position %d: told %+v, the log says %+v", rec.Position, m.seen.outcomes[rec.ID], want)
			}
		}
	})
}

// startAll starts n members m0, m1, … that have joined.
func startAll(t *testing.T, log events.Log, n int) []*member {
	t.Helper()
	members := make([]*member, n)
	for i := range members {
		members[i] = start(t, log, fmt.Sprintf("m%d", i))
		members[i].record(joined(members[i].id))
	}
	for _, m := range members {
		m.drained()
	}
	return members
}

func everyone(members []*member, f func(*member)) {
	var wg sync.WaitGroup
	for _, m := range members {
		wg.Go(func() { f(m) })
	}
	wg.Wait()
}

func victim(i int) string { return fmt.Sprintf("v%d", i) }
