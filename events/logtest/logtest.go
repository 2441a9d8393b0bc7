// Package logtest is the suite that every [events.Log] passes:
//
//	func TestLog(t *testing.T) {
//		logtest.Run(t, func(t *testing.T, cluster string) events.Log { return memlog.New(cluster) })
//	}
//
// It tests what the interface promises and leaves open what the interface leaves open; what only one implementation can
// do (fail on request, be damaged from outside) is for that one's own tests. That nothing leaks is for goleak in its
// TestMain: the suite ends every subscription it starts.
package logtest

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"testing"
	"time"

	"rollcall/events"
)

// patience bounds every wait of the suite: far above what a loaded machine needs, so that only a hang reaches it.
const patience = time.Minute

// Open returns the empty log of a cluster, and sees to its end with t.Cleanup. Two calls in one test name two clusters.
type Open func(t *testing.T, cluster string) events.Log

// Run runs the suite, each of its parts on a log of its own.
func Run(t *testing.T, open func(t *testing.T, cluster string) events.Log) {
	for _, part := range []struct {
		name string
		test func(t *testing.T, open Open)
	}{
		{"append and read back", testRoundTrip},
		{"append expects the last event about the node", testExpectation},
		{"append of a stored id changes nothing (I2)", testDuplicate},
		{"append of another event's id changes nothing (I2)", testTaken},
		{"append refuses what is no event", testInvalid},
		{"append with an ended context", testAppendEnded},
		{"racing appends have one winner", testRace},
		{"each author's events keep their order (I4)", testAuthorOrder},
		{"last", testLast},
		{"groups have expectations of their own", testGroups},
		{"groups and nodes are told apart by filters", testGroupFilter},
		{"info", testInfo},
		{"clusters are apart", testClusters},
		{"subscribe from a position", testFromPosition},
		{"subscribe from beyond the end", testFromBeyond},
		{"subscribe to the log that was read before", testFromSeen},
		{"subscribe from a time", testFromTime},
		{"subscribe from now", testFromNow},
		{"subscribe with a filter", testFilter},
		{"subscribe through a position", testThrough},
		{"subscribe through a position beyond the end", testThroughBeyond},
		{"subscribe follows the tail, each position once (I10)", testTail},
		{"subscribe ends with its loop", testBreak},
		{"subscribe ends with its context", testCancel},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open) })
	}
}

const cluster = "logtest"

// event returns a valid event of kind about node at an incarnation; its author is the node itself or "observer".
func event(kind events.Kind, node string, incarnation uint64) events.Event {
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: cluster, Node: node, Author: node,
		Time: time.Now().UTC(), Incarnation: incarnation,
	}
	switch {
	case kind == events.Joined:
		ev.Address = "127.0.0.1:7946"
		ev.Tags = map[string]string{"role": "worker", "zone": "<a&b>"}
		ev.Evidence = events.Evidence{Reason: "start"}.Raw()
	case !kind.ByOwner():
		ev.Author = "observer"
		ev.Evidence = events.Evidence{Reason: "probe timeout", Probes: 1, TimeoutMS: 500}.Raw()
	}
	return ev
}

// bounded is the context of one call.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func mustAppend(t *testing.T, log events.Log, ev events.Event, expect uint64) uint64 {
	t.Helper()
	position, err := log.Append(bounded(t), ev, expect)
	if err != nil {
		t.Fatalf("append %s of %s, expecting %d: %v", ev.Kind, ev.Node, expect, err)
	}
	return position
}

// appendSome stores n health_check_failed about node, which change no state, one after the other.
func appendSome(t *testing.T, log events.Log, node string, expect uint64, n int) []uint64 {
	t.Helper()
	positions := make([]uint64, n)
	for i := range positions {
		expect = mustAppend(t, log, event(events.HealthCheckFailed, node, 1), expect)
		positions[i] = expect
	}
	return positions
}

func wantError(t *testing.T, got, want error, what string) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: error %v, want %v", what, got, want)
	}
}

func wantSame(t *testing.T, got events.Recorded, want events.Event, position uint64) {
	t.Helper()
	if got.Position != position || got.Mismatch != "" || got.Stored.IsZero() {
		t.Errorf("event %s: position %d, mismatch %q, stored %v; want position %d, none, a time",
			got.ID, got.Position, got.Mismatch, got.Stored, position)
	}
	ev := got.Event
	if !ev.Time.Equal(want.Time) || string(ev.Evidence) != string(want.Evidence) || !maps.Equal(ev.Tags, want.Tags) {
		t.Errorf("read back %+v, want %+v", ev, want)
	}
	if ev.ID != want.ID || ev.Kind != want.Kind || ev.Cluster != want.Cluster || ev.Node != want.Node ||
		ev.Author != want.Author || ev.Incarnation != want.Incarnation || ev.Address != want.Address ||
		ev.TraceParent != want.TraceParent || ev.Group != want.Group || !reflect.DeepEqual(ev.Plan, want.Plan) {
		t.Errorf("read back %+v, want %+v", ev, want)
	}
}

// last returns the position of the newest event in the log.
func last(t *testing.T, log events.Log) uint64 {
	t.Helper()
	info, err := log.Info(bounded(t))
	if err != nil {
		t.Fatalf("info: %v", err)
	}
	return info.Last
}

// feed is a subscription that a test takes events from one at a time.
type feed struct {
	items chan item
	stop  context.CancelFunc
}

type item struct {
	rec events.Recorded
	err error
}

// follow starts a subscription, which ends at the latest with the test.
func follow(t *testing.T, log events.Log, filter events.Filter, from events.From) *feed {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &feed{items: make(chan item), stop: cancel}
	go func() {
		defer close(f.items)
		for rec, err := range log.Subscribe(ctx, filter, from) {
			select {
			case f.items <- item{rec, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() { f.end(t) })
	return f
}

// next returns what the subscription yields next; ok is false when it has ended.
func (f *feed) next(t *testing.T) (it item, ok bool) {
	t.Helper()
	select {
	case it, ok = <-f.items:
		return it, ok
	case <-time.After(patience):
		t.Fatal("subscription yields nothing")
		return item{}, false
	}
}

// want takes the next event, which must be at position.
func (f *feed) want(t *testing.T, position uint64) events.Recorded {
	t.Helper()
	it, ok := f.next(t)
	if !ok || it.err != nil || it.rec.Position != position {
		t.Fatalf("subscription yields position %d, error %v (running: %v); want position %d", it.rec.Position, it.err, ok, position)
	}
	return it.rec
}

// end ends the subscription and waits until it has.
func (f *feed) end(t *testing.T) {
	t.Helper()
	f.stop()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-f.items:
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("subscription does not end with its context")
		}
	}
}
