package logtest

import (
	"context"
	"errors"
	"sort"
	"testing"
	"time"

	"rollcall/events"
)

func testLast(t *testing.T, open Open) {
	log := open(t, cluster)
	_, err := log.Last(bounded(t), "n1")
	wantError(t, err, events.ErrNotFound, "last of an empty log")
	joined := mustAppend(t, log, event(events.Joined, "n1", 1), 0)
	accusation := event(events.Suspected, "n1", 1)
	accused := mustAppend(t, log, accusation, joined)
	mustAppend(t, log, event(events.Joined, "n10", 1), 0)
	about := event(events.Suspected, "n10", 1) // n1 speaks, about another
	about.Author = "n1"
	mustAppend(t, log, about, accused+1)
	rec, err := log.Last(bounded(t), "n1")
	if err != nil {
		t.Fatalf("last: %v", err)
	}
	wantSame(t, rec, accusation, accused)
	for _, node := range []string{"n", "n2", "observer"} {
		_, err := log.Last(bounded(t), node)
		wantError(t, err, events.ErrNotFound, "last of "+node)
	}
}

func testInfo(t *testing.T, open Open) {
	log := open(t, cluster)
	empty, err := log.Info(bounded(t))
	if err != nil {
		t.Fatalf("info: %v", err)
	}
	if empty.Cluster != cluster || empty.Identity == "" || empty.Last != 0 {
		t.Errorf("new log is %+v, want of cluster %s, with an identity, ending at 0", empty, cluster)
	}
	appendSome(t, log, "n1", 0, 3)
	after, err := log.Info(bounded(t))
	if err != nil {
		t.Fatalf("info: %v", err)
	}
	if want := (events.Info{Cluster: cluster, Identity: empty.Identity, First: 1, Last: 3}); after != want {
		t.Errorf("log with three events is %+v, want %+v", after, want)
	}
}

func testClusters(t *testing.T, open Open) {
	here, there := open(t, cluster), open(t, cluster+"-2")
	mustAppend(t, here, event(events.Joined, "n1", 1), 0)
	if got := last(t, there); got != 0 {
		t.Errorf("the other cluster's log ends at %d, want 0", got)
	}
	_, err := there.Last(bounded(t), "n1")
	wantError(t, err, events.ErrNotFound, "last in the other cluster")
	a, errA := here.Info(bounded(t))
	b, errB := there.Info(bounded(t))
	if errA != nil || errB != nil || a.Identity == b.Identity {
		t.Errorf("identities %q (error %v) and %q (error %v), want two", a.Identity, errA, b.Identity, errB)
	}
}

func testFromPosition(t *testing.T, open Open) {
	log := open(t, cluster)
	appendSome(t, log, "n1", 0, 5)
	for from, want := range map[uint64]uint64{0: 1, 1: 1, 2: 2, 5: 5} {
		f := follow(t, log, events.Filter{}, events.From{Position: from})
		for position := want; position <= 5; position++ {
			f.want(t, position)
		}
		f.end(t)
	}
	f := follow(t, log, events.Filter{}, events.From{Position: 6}) // where a reader that is up to date goes on
	mustAppend(t, log, event(events.HealthCheckFailed, "n1", 1), 5)
	f.want(t, 6)
}

// testFromBeyond: who has read further than the log reaches has read another log.
func testFromBeyond(t *testing.T, open Open) {
	log := open(t, cluster)
	appendSome(t, log, "n1", 0, 2)
	f := follow(t, log, events.Filter{}, events.From{Position: 4})
	it, ok := f.next(t)
	if !ok {
		t.Fatal("subscription ends without an error")
	}
	wantError(t, it.err, events.ErrReplaced, "subscription from position 4 of a log that ends at 2")
	if it, ok := f.next(t); ok {
		t.Fatalf("subscription goes on after its last error with %+v", it)
	}
}

// testFromSeen: a reader goes on in the log that it knows, and in no other.
func testFromSeen(t *testing.T, open Open) {
	log, other := open(t, cluster), open(t, cluster+"-2")
	appendSome(t, log, "n1", 0, 5)
	f := follow(t, log, events.Filter{}, events.From{})
	var seen events.Mark
	for position := uint64(1); position <= 3; position++ {
		seen = f.want(t, position).Mark()
	}
	f.end(t)
	for _, from := range []uint64{1, 3, 4, 5} {
		f := follow(t, log, events.Filter{}, events.From{Position: from, Seen: seen})
		for position := from; position <= 5; position++ {
			f.want(t, position)
		}
		f.end(t)
	}
	another := event(events.Joined, "n1", 1)
	another.Cluster = cluster + "-2"
	mustAppend(t, other, another, 0)
	all, some := events.Filter{}, events.Filter{Node: "n1"}
	foreign := events.Mark{Position: 3, Stored: seen.Stored.Add(-1)}
	for what, c := range map[string]struct {
		log    events.Log
		filter events.Filter
		from   events.From
	}{
		"another event there":        {log, all, events.From{Position: 4, Seen: foreign}},
		"and from before it":         {log, all, events.From{Position: 2, Seen: foreign}},
		"and with a filter":          {log, some, events.From{Position: 4, Seen: foreign}},
		"a log that ends before":     {other, all, events.From{Position: 4, Seen: seen}},
		"the beginning of a shorter": {other, all, events.From{Position: 1, Seen: seen}},
	} {
		f := follow(t, c.log, c.filter, c.from)
		if it, ok := f.next(t); !ok || !errors.Is(it.err, events.ErrReplaced) {
			t.Errorf("%s: subscription yields position %d, error %v (running: %v); want ErrReplaced", what, it.rec.Position, it.err, ok)
		}
	}
}

// testThrough: a subscription with an end yields what lies before it, and ends by itself.
func testThrough(t *testing.T, open Open) {
	log := open(t, cluster)
	seven(t, log)
	all := follow(t, log, events.Filter{}, events.From{})
	first := all.want(t, 1)
	all.end(t)
	for name, c := range map[string]struct {
		filter events.Filter
		from   events.From
		want   []uint64
	}{
		"from the beginning":          {events.Filter{}, events.From{Through: 3}, []uint64{1, 2, 3}},
		"one":                         {events.Filter{}, events.From{Position: 4, Through: 4}, []uint64{4}},
		"to the end":                  {events.Filter{}, events.From{Position: 6, Through: 7}, []uint64{6, 7}},
		"none":                        {events.Filter{}, events.From{Position: 5, Through: 4}, nil},
		"from now":                    {events.Filter{}, events.From{Now: true, Through: 7}, nil},
		"from a time":                 {events.Filter{}, events.From{Time: first.Stored, Through: 2}, []uint64{1, 2}},
		"from a time to come":         {events.Filter{}, events.From{Time: first.Stored.Add(time.Hour), Through: 7}, nil},
		"of a node":                   {events.Filter{Node: "n1"}, events.From{Position: 2, Through: 4}, []uint64{3, 4}},
		"of a node, up to another's":  {events.Filter{Node: "n1"}, events.From{Through: 5}, []uint64{1, 3, 4}},
		"of a node, with none behind": {events.Filter{Node: "n1"}, events.From{Through: 7}, []uint64{1, 3, 4, 6}},
		"of a node, none":             {events.Filter{Node: "n2"}, events.From{Position: 3, Through: 4}, nil},
		"of a node that has none":     {events.Filter{Node: "n8"}, events.From{Through: 7}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := follow(t, log, c.filter, c.from)
			for _, position := range c.want {
				f.want(t, position)
			}
			if it, ok := f.next(t); ok {
				t.Errorf("subscription goes on with position %d, error %v", it.rec.Position, it.err)
			}
		})
	}
}

// testThroughBeyond: who knows of a position that the log does not reach knows another log.
func testThroughBeyond(t *testing.T, open Open) {
	log := open(t, cluster)
	appendSome(t, log, "n1", 0, 2)
	f := follow(t, log, events.Filter{}, events.From{Through: 3})
	it, ok := f.next(t)
	if !ok {
		t.Fatal("subscription ends without an error")
	}
	wantError(t, it.err, events.ErrReplaced, "subscription through position 3 of a log that ends at 2")
}

func testFromTime(t *testing.T, open Open) {
	log := open(t, cluster)
	appendSome(t, log, "n1", 0, 6)
	all := follow(t, log, events.Filter{}, events.From{})
	var stored []time.Time
	for position := uint64(1); position <= 6; position++ {
		stored = append(stored, all.want(t, position).Stored)
	}
	for _, at := range []time.Time{stored[0].Add(-time.Hour), stored[0], stored[3], stored[3].Add(1), stored[5]} {
		want := sort.Search(6, func(i int) bool { return !stored[i].Before(at) }) + 1
		f := follow(t, log, events.Filter{}, events.From{Time: at})
		for position := want; position <= 6; position++ {
			f.want(t, uint64(position))
		}
		f.end(t)
	}
	f := follow(t, log, events.Filter{}, events.From{Time: stored[5].Add(1)})
	mustAppend(t, log, event(events.HealthCheckFailed, "n1", 1), 6)
	f.want(t, 7)
}

// testFromNow cannot know when the subscription stands, so it appends until the first event arrives; from there on none
// may be missing, and none from before the subscription may come.
func testFromNow(t *testing.T, open Open) {
	log := open(t, cluster)
	end := appendSome(t, log, "n1", 0, 3)[2]
	f := follow(t, log, events.Filter{}, events.From{Now: true})
	var first item
	for deadline := time.Now().Add(patience); first.rec.Position == 0; {
		end = mustAppend(t, log, event(events.HealthCheckFailed, "n1", 1), end)
		select {
		case first = <-f.items:
		case <-time.After(10 * time.Millisecond):
			if time.Now().After(deadline) {
				t.Fatal("subscription from now yields nothing")
			}
		}
	}
	if first.err != nil || first.rec.Position < 4 {
		t.Fatalf("subscription from now begins with position %d (error %v), want one after 3", first.rec.Position, first.err)
	}
	end = mustAppend(t, log, event(events.HealthCheckFailed, "n1", 1), end)
	for position := first.rec.Position + 1; position <= end; position++ {
		f.want(t, position)
	}
}

func testFilter(t *testing.T, open Open) {
	for name, c := range map[string]struct {
		filter events.Filter
		from   uint64
		want   []uint64
	}{
		"node":                      {events.Filter{Node: "n1"}, 0, []uint64{1, 3, 4, 6}},
		"author":                    {events.Filter{Author: "n2"}, 0, []uint64{2, 3, 6, 7}},
		"kind":                      {events.Filter{Kind: events.Suspected}, 0, []uint64{3, 5}},
		"node and author":           {events.Filter{Node: "n1", Author: "n2"}, 0, []uint64{3, 6}},
		"node, author and kind":     {events.Filter{Node: "n1", Author: "n2", Kind: events.Failed}, 0, []uint64{6}},
		"node from a position":      {events.Filter{Node: "n1"}, 2, []uint64{3, 4, 6}},
		"kind from a position":      {events.Filter{Kind: events.Joined}, 2, []uint64{2}},
		"node that has none so far": {events.Filter{Node: "n8"}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			log := open(t, cluster)
			expect := seven(t, log)
			f := follow(t, log, c.filter, events.From{Position: c.from})
			for _, position := range c.want {
				f.want(t, position)
			}
			// That nothing else comes is shown by what comes next.
			ev := matching(c.filter)
			f.want(t, mustAppend(t, log, ev, expect[ev.Node]))
		})
	}
}

// seven stores events by several authors about two nodes, and returns what the next append about each must expect.
func seven(t *testing.T, log events.Log) map[string]uint64 {
	t.Helper()
	expect := make(map[string]uint64)
	for _, e := range []struct {
		author string
		kind   events.Kind
		node   string
	}{
		{"n1", events.Joined, "n1"},    // 1
		{"n2", events.Joined, "n2"},    // 2
		{"n2", events.Suspected, "n1"}, // 3
		{"n3", events.Accused, "n1"},   // 4
		{"n1", events.Suspected, "n2"}, // 5
		{"n2", events.Failed, "n1"},    // 6
		{"n2", events.Left, "n2"},      // 7
	} {
		ev := event(e.kind, e.node, 1)
		ev.Author = e.author
		expect[e.node] = mustAppend(t, log, ev, expect[e.node])
	}
	return expect
}

// matching returns an event that passes filter.
func matching(filter events.Filter) events.Event {
	kind := filter.Kind
	if kind == "" {
		kind = events.HealthCheckFailed
	}
	node := filter.Node
	if node == "" {
		node = "n9"
	}
	ev := event(kind, node, 1)
	if filter.Author != "" {
		ev.Author = filter.Author
	}
	return ev
}

func testTail(t *testing.T, open Open) {
	log := open(t, cluster)
	appendSome(t, log, "n1", 0, 20)
	feeds := []*feed{
		follow(t, log, events.Filter{}, events.From{}),
		follow(t, log, events.Filter{}, events.From{Position: 15}),
	}
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		expect := uint64(20)
		for range 40 {
			position, err := log.Append(t.Context(), event(events.HealthCheckFailed, "n1", 1), expect)
			if err != nil {
				t.Errorf("append: %v", err)
				return
			}
			expect = position
		}
	}()
	for i, from := range []uint64{1, 15} {
		for position := from; position <= 60; position++ {
			feeds[i].want(t, position)
		}
	}
	<-done // a subscriber may hear of an event before its author does
}

func testBreak(t *testing.T, open Open) {
	log := open(t, cluster)
	appendSome(t, log, "n1", 0, 5)
	ctx := bounded(t)
	sequence := log.Subscribe(ctx, events.Filter{}, events.From{})
	for range 3 { // a broken sequence can be started again
		var got []uint64
		for rec, err := range sequence {
			if err != nil {
				t.Fatalf("subscription: %v", err)
			}
			if got = append(got, rec.Position); len(got) == 2 {
				break
			}
		}
		if len(got) != 2 || got[0] != 1 || got[1] != 2 {
			t.Fatalf("subscription yields %v, want positions 1 and 2", got)
		}
	}
}

func testCancel(t *testing.T, open Open) {
	log := open(t, cluster)
	appendSome(t, log, "n1", 0, 2)
	for _, received := range []int{0, 1, 2} { // not begun, behind, waiting at the end
		ctx, cancel := context.WithCancel(t.Context())
		f := &feed{items: make(chan item), stop: cancel}
		go func() {
			defer close(f.items)
			for rec, err := range log.Subscribe(ctx, events.Filter{}, events.From{}) {
				f.items <- item{rec, err}
			}
		}()
		for position := range received {
			f.want(t, uint64(position)+1)
		}
		cancel()
		// What was on its way may still come; an error may not, and the sequence ends.
		for it, ok := f.next(t); ok; it, ok = f.next(t) {
			if it.err != nil {
				t.Errorf("subscription that was ended after %d events yields error %v, want it to end", received, it.err)
			}
		}
	}
}
