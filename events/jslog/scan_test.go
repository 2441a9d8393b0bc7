package jslog_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/loopback"
)

// scanned returns the positions that a scan yields.
func scanned(t testing.TB, log *jslog.Log, last uint64) []uint64 {
	t.Helper()
	var positions []uint64
	for m, err := range log.Scan(bounded(t), last) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject == "" || m.Stored.IsZero() || len(m.Body) == 0 {
			t.Errorf("message %+v is not whole", m)
		}
		positions = append(positions, m.Position)
	}
	return positions
}

// A scan yields what there is and ends: also what no reader of events sees, and up to an end that is missing.
func TestScan(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	_, js := plain(t, srv.URL())
	if got := scanned(t, log, 0); got != nil {
		t.Errorf("an empty log holds %v", got)
	}
	mustAppend(t, log, event(events.Joined, "n1"), 0)
	for _, subject := range []string{"rollcall.test.group.g1.n1.no.event", "rollcall.test.node.n1.n1.resurrected"} {
		if _, err := js.Publish(bounded(t), subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, log, event(events.Joined, "n2"), 0)
	for last, want := range map[uint64][]uint64{4: {1, 2, 3, 4}, 2: {1, 2}, 9: {1, 2, 3, 4}} {
		if got := scanned(t, log, last); !slices.Equal(got, want) {
			t.Errorf("scan up to %d yields %v, want %v", last, got, want)
		}
	}
}

// What is missing is for the reader to notice, but for the beginning.
func TestScanOfDamagedLog(t *testing.T) {
	good, js, cfg := made(t)
	cfg.Cluster = "damaged"
	like(t, js, good, cfg.Cluster, func(c *jetstream.StreamConfig) { c.DenyPurge, c.DenyDelete = false, false })
	stream, err := js.Stream(bounded(t), events.StreamName(cfg.Cluster))
	if err != nil {
		t.Fatal(err)
	}
	for range 6 {
		if _, err := js.Publish(bounded(t), "rollcall.damaged.node.n1.n1.left", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	for _, position := range []uint64{3, 6} {
		if err := stream.DeleteMsg(bounded(t), position); err != nil {
			t.Fatal(err)
		}
	}
	safe := stream.CachedInfo().Config
	safe.DenyPurge, safe.DenyDelete = true, true
	if _, err := js.UpdateStream(bounded(t), safe); err != nil {
		t.Fatal(err)
	}
	log := connect(t, cfg)
	if got, want := scanned(t, log, 6), []uint64{1, 2, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("scan yields %v, want %v", got, want)
	}
}

func TestScanOfTrimmedLog(t *testing.T) {
	good, js, cfg := made(t)
	cfg.Cluster = "trimmed"
	like(t, js, good, cfg.Cluster, func(c *jetstream.StreamConfig) { c.DenyPurge = false })
	stream, err := js.Stream(bounded(t), events.StreamName(cfg.Cluster))
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := js.Publish(bounded(t), "rollcall.trimmed.node.n1.n1.left", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Purge(bounded(t), jetstream.WithPurgeSequence(3)); err != nil {
		t.Fatal(err)
	}
	safe := stream.CachedInfo().Config
	safe.DenyPurge = true
	if _, err := js.UpdateStream(bounded(t), safe); err != nil {
		t.Fatal(err)
	}
	log := connect(t, cfg)
	for m, err := range log.Scan(bounded(t), 4) {
		if !errors.Is(err, events.ErrIncomplete) {
			t.Fatalf("scan yields position %d, error %v; want ErrIncomplete", m.Position, err)
		}
	}
}

// A scan outlives the server.
func TestScanAcrossRestart(t *testing.T) {
	dir, addr := t.TempDir(), loopback.Addr(t)
	srv := serve(t, dir, addr)
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	last := fill(t, log, "n1", 0, 20)
	want := uint64(1)
	for m, err := range log.Scan(bounded(t), last) {
		if err != nil || m.Position != want {
			t.Fatalf("scan yields position %d, error %v; want %d", m.Position, err, want)
		}
		if want++; m.Position == 7 {
			srv.Shutdown()
			eventually(t, "the log is away", func() bool { return !log.Connected() })
			serve(t, dir, addr)
		}
	}
	if want != last+1 {
		t.Errorf("scan ends at position %d, want %d", want-1, last)
	}
}

// Who wants a stretch of the log is sent that stretch: the pulls of a subscription with an end ask for no more.
func TestSubscribeThroughPullsNoMore(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	fill(t, log, "n1", 0, 120)
	nc, _ := plain(t, srv.URL())
	pulls, err := nc.SubscribeSync("$JS.API.CONSUMER.MSG.NEXT.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, err := range log.Subscribe(bounded(t), events.Filter{}, events.From{Position: 11, Through: 60}) {
		if err != nil {
			t.Fatal(err)
		}
		read++
	}
	if err := nc.Flush(); err != nil { // what was pulled has come by now
		t.Fatal(err)
	}
	asked := 0
	for n, _, _ := pulls.Pending(); n > 0; n-- {
		msg, err := pulls.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		var pull struct{ Batch int }
		if err := json.Unmarshal(msg.Data, &pull); err != nil {
			t.Fatal(err)
		}
		asked += pull.Batch
	}
	if read != 50 || asked != 50 {
		t.Errorf("read %d events and asked for %d, want 50 of both", read, asked)
	}
}
