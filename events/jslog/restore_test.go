package jslog_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/loopback"
)

// I9, I10: a server comes back with an older copy of its directory, and the log grows past where its readers were. The stream
// was made when it was made, so only what it holds tells.
func TestRestoredLogEndsSubscription(t *testing.T) {
	dir, copied := filepath.Join(t.TempDir(), "now"), filepath.Join(t.TempDir(), "copy")
	addr := loopback.Addr(t)
	srv := serve(t, dir, addr)
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	before, err := log.Info(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	last := fill(t, log, "n1", 0, 2)
	srv.Shutdown()
	eventually(t, "the log is away", func() bool { return !log.Connected() }) // or "back" below is that it was never missed
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	srv = serve(t, dir, addr)
	eventually(t, "the log is back", log.Connected)
	feeds := []*feed{
		follow(t, log, events.Filter{}, events.From{}),
		follow(t, log, events.Filter{Node: "n1"}, events.From{Position: 2}),
	}
	last = fill(t, log, "n1", last, 2)
	// These read nothing before the copy takes the place of the log, and begin where it is not the log any more.
	feeds = append(feeds,
		follow(t, log, events.Filter{}, events.From{Now: true}),
		follow(t, log, events.Filter{}, events.From{Position: last + 1}),
		follow(t, log, events.Filter{}, events.From{Time: time.Now().Add(time.Hour)}))
	_, js := plain(t, srv.URL())
	eventually(t, "all read", func() bool {
		stream, err := js.Stream(bounded(t), events.StreamName(cluster))
		return err == nil && stream.CachedInfo().State.Consumers == len(feeds)
	})
	for position := uint64(1); position <= last; position++ {
		feeds[0].want(t, position)
		if position > 1 {
			feeds[1].want(t, position)
		}
	}
	srv.Shutdown()
	elsewhere := serve(t, copied, "127.0.0.1:0") // so that the copy is longer when the readers see it
	fill(t, connect(t, jslog.Config{URL: elsewhere.URL()}), "n1", 2, 4)
	elsewhere.Shutdown()
	serve(t, copied, addr)
	for _, f := range feeds {
		f.wantLast(t, events.ErrReplaced)
	}
	if after, err := log.Info(bounded(t)); err != nil || after.Identity != before.Identity || after.Last != 6 {
		t.Errorf("the restored log is %+v (error %v), before it was %+v; want the same identity, or this shows nothing", after, err, before)
	}
}
