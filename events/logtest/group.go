package logtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"rollcall/events"
)

// plan returns a valid plan of a group, made when its author had read up to seen.
func plan(group, author string, seen uint64) events.Event {
	return events.Event{
		ID: events.NewID(), Kind: events.Planned, Cluster: cluster, Group: group, Author: author, Time: time.Now().UTC(),
		Plan: &events.Plan{
			Reason: "first plan", Selector: "role=worker", Seen: max(1, seen), Bound: 2,
			Workers: map[string][]string{"n1": {"s0", "s2"}, "n2": {"s1"}},
			Moves:   []events.Move{{Reason: "new shard", Shards: []string{"s0", "s1", "s2"}}},
		},
	}
}

func testGroups(t *testing.T, open Open) {
	log := open(t, cluster)
	_, err := log.LastOfGroup(bounded(t), "n1")
	wantError(t, err, events.ErrNotFound, "last of a group of an empty log")
	node := mustAppend(t, log, event(events.Joined, "n1", 1), 0)
	sent := plan("n1", "n1", node) // of the same id as the node, and nothing to do with it
	first := mustAppend(t, log, sent, 0)
	rec, err := log.LastOfGroup(bounded(t), "n1")
	if err != nil {
		t.Fatalf("last of group: %v", err)
	}
	wantSame(t, rec, sent, first)
	if rec, err := log.Last(bounded(t), "n1"); err != nil || rec.Position != node {
		t.Errorf("last about the node is at %d, error %v; want %d", rec.Position, err, node)
	}

	_, err = log.Append(bounded(t), plan("n1", "n2", first), 0)
	wantError(t, err, events.ErrConflict, "append by one who does not know the plan before")
	_, err = log.Append(bounded(t), plan("n1", "n2", first), node)
	wantError(t, err, events.ErrConflict, "append expecting the node's event")
	mustAppend(t, log, plan("other", "n2", first), 0)
	second := mustAppend(t, log, plan("n1", "n2", first), first) // by another author: the expectation is the group's
	mustAppend(t, log, event(events.Suspected, "n1", 1), node)

	_, err = log.Append(bounded(t), sent, second)
	wantError(t, err, events.ErrDuplicate, "append of a plan that is there")
	wantPosition(t, err, first)

	const writers = 4
	var wg sync.WaitGroup
	won := make([]error, writers)
	for w := range writers {
		ev := plan("n1", fmt.Sprintf("d%d", w), second)
		ctx := bounded(t)
		wg.Go(func() { _, won[w] = log.Append(ctx, ev, second) })
	}
	wg.Wait()
	winners := 0
	for _, err := range won {
		if err == nil {
			winners++
			continue
		}
		wantError(t, err, events.ErrConflict, "racing append")
	}
	if winners != 1 {
		t.Fatalf("%d directors wrote, want one", winners)
	}
}

func testGroupFilter(t *testing.T, open Open) {
	log := open(t, cluster)
	mustAppend(t, log, event(events.Joined, "n1", 1), 0) // 1
	mustAppend(t, log, plan("g1", "n1", 1), 0)           // 2
	mustAppend(t, log, plan("n1", "n1", 2), 0)           // 3
	mustAppend(t, log, event(events.Left, "n1", 1), 1)   // 4
	mustAppend(t, log, plan("g1", "n2", 4), 2)           // 5
	for name, c := range map[string]struct {
		filter events.Filter
		want   []uint64
	}{
		"all":              {events.Filter{}, []uint64{1, 2, 3, 4, 5}},
		"group":            {events.Filter{Group: "g1"}, []uint64{2, 5}},
		"group and author": {events.Filter{Group: "g1", Author: "n2"}, []uint64{5}},
		"node of that id":  {events.Filter{Node: "n1"}, []uint64{1, 4}},
		"author":           {events.Filter{Author: "n1"}, []uint64{1, 2, 3, 4}},
		"kind of groups":   {events.Filter{Kind: events.Planned}, []uint64{2, 3, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			f := follow(t, log, c.filter, events.From{})
			for _, position := range c.want {
				f.want(t, position)
			}
			f.end(t)
		})
	}
}
