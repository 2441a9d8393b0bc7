package jslog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/handover"
	"rollcall/events/jslog"
)

// fill appends n events about node.
func fill(t testing.TB, log *jslog.Log, node string, expect uint64, n int) uint64 {
	t.Helper()
	for range n {
		expect = mustAppend(t, log, event(events.HealthCheckFailed, node), expect)
	}
	return expect
}

func TestReplacedLogEndsSubscription(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	cfg := jslog.Config{URL: srv.URL(), Cluster: cluster, Provision: true}
	log := connect(t, cfg)
	_, js := plain(t, srv.URL())
	before, err := log.Info(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, log, "n1", 0, 3)
	f := follow(t, log, events.Filter{}, events.From{})
	for position := uint64(1); position <= 3; position++ {
		f.want(t, position)
	}
	if err := js.DeleteStream(bounded(t), events.StreamName(cluster)); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(bounded(t), event(events.Joined, "n2"), 0); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("append to a log that is gone: %v; want ErrUnavailable", err)
	}
	eventually(t, "the log is found to be gone", func() bool { return errors.Is(log.Status().Err, events.ErrNotFound) })
	again := connect(t, cfg)
	fill(t, again, "n1", 0, 5) // longer than before: only its identity tells
	f.wantLast(t, events.ErrReplaced)
	eventually(t, "the log that was there first sees the new one", log.Connected)
	if after, err := log.Info(bounded(t)); err != nil || after.Identity == before.Identity || after.Last != 5 {
		t.Errorf("after the replacement the log is %+v (error %v), before it was %+v; want another identity", after, err, before)
	}
}

// I10: a log that lost its beginning says so to who needs it, and to nobody else.
func TestTrimmedLog(t *testing.T) {
	good, js, cfg := made(t)
	cfg.Cluster = "trimmed"
	like(t, js, good, cfg.Cluster, func(c *jetstream.StreamConfig) { c.DenyPurge, c.DenyDelete = false, false })
	stream, err := js.Stream(bounded(t), events.StreamName(cfg.Cluster))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := js.Publish(bounded(t), "rollcall.trimmed.node.n1.n1.left", fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Purge(bounded(t), jetstream.WithPurgeSequence(5)); err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(bounded(t), 8); err != nil {
		t.Fatal(err)
	}
	safe := stream.CachedInfo().Config
	safe.DenyPurge, safe.DenyDelete = true, true
	if _, err := js.UpdateStream(bounded(t), safe); err != nil {
		t.Fatal(err)
	}
	log := connect(t, cfg)
	if info, err := log.Info(bounded(t)); err != nil || info.First != 5 || info.Last != 10 {
		t.Errorf("info %+v (error %v), want positions 5 to 10", info, err)
	}
	for name, from := range map[string]events.From{
		"the beginning": {}, "position 4": {Position: 4}, "long ago": {Time: time.Now().Add(-time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			follow(t, log, events.Filter{}, from).wantLast(t, events.ErrIncomplete)
		})
	}
	f := follow(t, log, events.Filter{}, events.From{Position: 5})
	for position := uint64(5); position <= 7; position++ {
		if it := f.next(t); it.rec.Position != position {
			t.Fatalf("subscription yields position %d, error %v; want position %d", it.rec.Position, it.err, position)
		}
	}
	f.wantLast(t, events.ErrIncomplete) // there is no position 8, and a reader of everything must know
	rest := follow(t, log, events.Filter{}, events.From{Position: 9})
	for position := uint64(9); position <= 10; position++ {
		if it := rest.next(t); it.rec.Position != position {
			t.Fatalf("subscription yields position %d, error %v; want position %d", it.rec.Position, it.err, position)
		}
	}
}

// What cannot be read is yielded with its position and passed.
func TestForeignMessages(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	_, js := plain(t, srv.URL())
	mustAppend(t, log, event(events.Joined, "n1"), 0)
	for _, subject := range []string{
		"rollcall.test.group.g1.n1.assigned",   // 2: from a newer version
		"rollcall.test.node.n1.n1.left",        // 3: no event in it
		"rollcall.test.node.n1.n1.resurrected", // 4: from a newer version
		"rollcall.test.node.n2",                // 5: not a subject of ours
		"rollcall.test.group.n1.n1.planned",    // 6: no event in it, and of a group that has the id of a node
	} {
		if _, err := js.Publish(bounded(t), subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if rec, err := log.Last(bounded(t), "n1"); rec.Position != 4 || !errors.Is(err, events.ErrUnknownKind) {
		t.Errorf("last: position %d, error %v; want position 4, of an unknown kind", rec.Position, err)
	}
	if rec, err := log.LastOfGroup(bounded(t), "n1"); rec.Position != 6 || !errors.Is(err, events.ErrInvalid) {
		t.Errorf("last of group n1: position %d, error %v; want position 6, invalid", rec.Position, err)
	}
	mustAppend(t, log, event(events.Joined, "n3"), 0)
	f := follow(t, log, events.Filter{}, events.From{})
	f.want(t, 1)
	for _, want := range []struct {
		position uint64
		reason   error
	}{
		{2, events.ErrUnknownKind}, {3, events.ErrInvalid}, {4, events.ErrUnknownKind}, {5, events.ErrInvalid},
		{6, events.ErrInvalid},
	} {
		it := f.next(t)
		var undecoded *events.DecodeError
		if !errors.As(it.err, &undecoded) || undecoded.Position != want.position || it.rec.Position != want.position ||
			!errors.Is(it.err, want.reason) {
			t.Errorf("yields position %d, error %v; want a DecodeError at %d: %v", it.rec.Position, it.err, want.position, want.reason)
		}
	}
	f.want(t, 7)
}

func TestImpossibleFilterIsRefused(t *testing.T) {
	srv := serve(t, t.TempDir(), "")
	log := connect(t, jslog.Config{InProcess: srv, Provision: true})
	for _, filter := range []events.Filter{{Node: "a.b"}, {Author: "*"}, {Kind: "resurrected"}} {
		follow(t, log, filter, events.From{}).wantLast(t, events.ErrInvalid)
	}
}

// I15: subscriptions leave nothing on the server, however they end.
func TestSubscriptionLeavesNoConsumer(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	_, js := plain(t, srv.URL())
	stream, err := js.Stream(bounded(t), events.StreamName(cluster))
	if err != nil {
		t.Fatal(err)
	}
	consumers := func() int {
		info, err := stream.Info(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Consumers
	}
	fill(t, log, "n1", 0, 5)
	for range 5 {
		for _, err := range log.Subscribe(bounded(t), events.Filter{}, events.From{}) {
			if err != nil {
				t.Fatal(err)
			}
			if n := consumers(); n == 0 {
				t.Error("a running subscription has no consumer: this test looks at the wrong thing")
			}
			break
		}
	}
	eventually(t, "every consumer is gone", func() bool { return consumers() == 0 })
}

// I15: of large events, a reader that stands still is sent no more than two pulls and what its handover holds.
func TestI15SlowReaderIsSentABoundedNumberOfBytes(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	nc, js := plain(t, srv.URL())
	const large, last = 16 << 10, 1500
	ev := event(events.HealthCheckFailed, "n1")
	ev.Evidence = events.Evidence{Reason: strings.Repeat("x", large-100)}.Raw()
	body, err := events.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	for range last {
		if err := nc.Publish(events.Subject(ev), body); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the log has them all", func() bool {
		info, err := log.Info(bounded(t))
		return err == nil && info.Last == last
	})
	for _, err := range log.Subscribe(bounded(t), events.Filter{}, events.From{Position: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		read := 0 // meanwhile another reader gets through all of it: time enough for this one
		for _, err := range log.Subscribe(bounded(t), events.Filter{}, events.From{Position: 1, Through: last}) {
			if err != nil {
				t.Fatal(err)
			}
			read++
		}
		if read != last {
			t.Fatalf("%d of %d read", read, last)
		}
		stream, err := js.Stream(bounded(t), events.StreamName(cluster))
		if err != nil {
			t.Fatal(err)
		}
		sent := uint64(0)
		for consumer := range stream.ListConsumers(bounded(t)).Info() {
			if n := consumer.Delivered.Consumer; n < last {
				sent = max(sent, n)
			}
		}
		const most = 2*jslog.PrefetchBytes + 2*(handover.BytesMax+large)
		if bytes := sent * uint64(len(body)); bytes == 0 || bytes > most {
			t.Errorf("%d events were sent, %d bytes; want 1 to %d", sent, bytes, most)
		}
		return
	}
}

// Who gives up gets nothing more, however much was on its way.
func TestSubscriptionEndsWithItsContext(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	fill(t, log, "n1", 0, 50)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := 0
	for _, err := range log.Subscribe(ctx, events.Filter{}, events.From{Position: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if got++; got == 10 {
			cancel()
		}
	}
	if got != 10 {
		t.Errorf("%d events, given up after 10", got)
	}
}

// A consumer that disappears under a subscription is replaced by one that goes on behind the last event.
func TestLostConsumer(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	_, js := plain(t, srv.URL())
	stream, err := js.Stream(bounded(t), events.StreamName(cluster))
	if err != nil {
		t.Fatal(err)
	}
	last := fill(t, log, "n1", 0, 3)
	f := follow(t, log, events.Filter{}, events.From{Now: true})
	eventually(t, "the subscription stands", func() bool {
		info, err := stream.Info(bounded(t))
		return err == nil && info.State.Consumers == 1
	})
	for range 3 {
		names := stream.ConsumerNames(bounded(t))
		for name := range names.Name() {
			if err := stream.DeleteConsumer(bounded(t), name); err != nil {
				t.Fatal(err)
			}
		}
		if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
			t.Fatal(err)
		}
		last = fill(t, log, "n1", last, 2)
		f.want(t, last-1)
		f.want(t, last)
	}
}
