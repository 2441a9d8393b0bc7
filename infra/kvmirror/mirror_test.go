package kvmirror_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/infra/kvmirror"
	"rollcall/infra/natsd"
	"rollcall/projections/projector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// world is a log in memory, and a NATS server for the bucket.
type world struct {
	t    *testing.T
	log  *memlog.Log
	conn *nats.Conn
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := nats.Connect("", nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return &world{t: t, log: memlog.New("test"), conn: conn}
}

// projector folds the log until the test ends.
func (w *world) projector() *projector.Projector {
	w.t.Helper()
	p, err := projector.Open(projector.Config{Log: w.log, Cluster: "test", HeartbeatEvery: 10 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	return p
}

// mirror mirrors p until stop, or the end of the test.
func (w *world) mirror(p *projector.Projector) (stop func()) {
	w.t.Helper()
	return w.comparing(p, 0)
}

// comparing is mirror, and how often the bucket is compared with the views.
func (w *world) comparing(p *projector.Projector, every time.Duration) (stop func()) {
	w.t.Helper()
	m, err := kvmirror.New(kvmirror.Config{Projector: p, Conn: func() *nats.Conn { return w.conn }, CompareEvery: every})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) say(kind events.Kind, node string, incarnation uint64) uint64 {
	w.t.Helper()
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: "test", Node: node, Author: node, Incarnation: incarnation, Time: time.Now(),
	}
	if kind == events.Joined {
		ev.Address = "127.0.0.1:7001"
	}
	if kind != events.Left {
		ev.Tags = map[string]string{"incarnation": fmt.Sprint(incarnation)}
	}
	newest, _ := w.log.Last(w.t.Context(), node) // at position 0 when there is none
	position, err := w.log.Append(w.t.Context(), ev, newest.Position)
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

func (w *world) bucket() jetstream.KeyValue {
	w.t.Helper()
	js, err := jetstream.New(w.conn)
	if err != nil {
		w.t.Fatal(err)
	}
	var bucket jetstream.KeyValue
	w.until("a bucket", func() bool {
		bucket, err = js.KeyValue(w.t.Context(), kvmirror.Bucket("test"))
		return err == nil
	})
	return bucket
}

func (w *world) read(key string) (n kvmirror.Node, ok bool) {
	w.t.Helper()
	entry, err := w.bucket().Get(w.t.Context(), key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return n, false
	}
	if err == nil {
		err = json.Unmarshal(entry.Value(), &n)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return n, true
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-deadline:
			w.t.Fatalf("no %s after %v", what, patience)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestBucketFollowsTheRegistry(t *testing.T) {
	w := newWorld(t)
	w.say(events.Joined, "n1", 1)
	w.say(events.Joined, "n2", 1)
	w.mirror(w.projector())
	w.until("n1 and n2", func() bool { _, one := w.read("n1"); _, two := w.read("n2"); return one && two })
	last := w.say(events.Left, "n2", 1)
	w.say(events.Tagged, "n1", 2)
	w.until("departure of n2", func() bool { n, _ := w.read("n2"); return n.State == events.StateLeft && n.Position == last })
	w.until("tags of n1", func() bool { n, _ := w.read("n1"); return n.Tags["incarnation"] == "2" && n.Incarnation == 2 })
	if n, _ := w.read("n1"); n.ID != "n1" || n.Address != "127.0.0.1:7001" || n.State != events.StateAlive || n.Log == "" {
		t.Errorf("n1: %+v", n)
	}
}

// A projector that stands behind the others takes nothing back.
func TestNoValueGoesBack(t *testing.T) {
	w := newWorld(t)
	w.say(events.Joined, "n1", 1)
	w.say(events.Joined, "n2", 1)
	behind, ahead := w.projector(), w.projector()
	w.until("two projectors", func() bool { return behind.Status().Ready && behind.Position() == 2 && ahead.Status().Ready })
	behind.Pause()
	last := w.say(events.Tagged, "n1", 2)
	stop := w.mirror(ahead)
	w.until("newest n1", func() bool { n, _ := w.read("n1"); _, two := w.read("n2"); return n.Position == last && two })
	stop()
	if err := w.bucket().Delete(t.Context(), "n2"); err != nil {
		t.Fatal(err)
	}

	w.mirror(behind)
	w.until("n2 by the one behind, after it had its turn at n1", func() bool { _, ok := w.read("n2"); return ok })
	if n, _ := w.read("n1"); n.Position != last {
		t.Errorf("n1 went back to position %d from %d", n.Position, last)
	}
}

// However many write, watchers see positions rise alone, and the last value is the newest.
func TestManyWritersOneHistory(t *testing.T) {
	w := newWorld(t)
	w.say(events.Joined, "n1", 1)
	for range 3 {
		w.mirror(w.projector())
	}
	watcher, err := w.bucket().Watch(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Stop() })
	const changes = 200
	last := uint64(0)
	for i := range uint64(changes) {
		last = w.say(events.Tagged, "n1", i+2)
	}
	deadline := time.After(patience)
	for seen := uint64(0); seen < last; {
		select {
		case entry := <-watcher.Updates():
			if entry == nil {
				continue // what was there is delivered
			}
			var n kvmirror.Node
			if err := json.Unmarshal(entry.Value(), &n); err != nil {
				t.Fatal(err)
			}
			if n.Position <= seen {
				t.Fatalf("position %d after %d", n.Position, seen)
			}
			seen = n.Position
		case <-deadline:
			t.Fatalf("position %d of %d after %v", seen, last, patience)
		}
	}
}

// What somebody else put under a key, or deleted, is put right at a start, and when the node changes.
func TestStrangeValuesAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.say(events.Joined, "n1", 1)
	stop := w.mirror(w.projector())
	w.until("n1", func() bool { _, ok := w.read("n1"); return ok })
	stop()
	if _, err := w.bucket().Put(t.Context(), "n1", []byte("not JSON")); err != nil {
		t.Fatal(err)
	}
	stop = w.mirror(w.projector())
	w.until("n1 again", func() bool {
		entry, err := w.bucket().Get(t.Context(), "n1")
		return err == nil && json.Valid(entry.Value())
	})
	if err := w.bucket().Delete(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	last := w.say(events.Tagged, "n1", 2)
	w.until("n1 after its deletion", func() bool { n, _ := w.read("n1"); return n.Position == last })
	stop()
}

// What is deleted or damaged while the mirror runs, or says at the same position something else, is put right though nothing
// happens to the nodes; a newer value of another projector and somebody else's key stay.
func TestBucketIsRepairedWithoutAnEvent(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"n1", "n2", "n3", "n4"} {
		w.say(events.Joined, id, 1)
	}
	w.comparing(w.projector(), 20*time.Millisecond)
	w.until("n4", func() bool { _, ok := w.read("n4"); return ok })
	bucket := w.bucket()
	forge := func(key string, change func(*kvmirror.Node)) {
		n, _ := w.read(key)
		change(&n)
		raw, err := json.Marshal(n)
		if err == nil {
			_, err = bucket.Put(t.Context(), key, raw)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	forge("n4", func(n *kvmirror.Node) { n.Position += 100 })
	if _, err := bucket.Put(t.Context(), "other", []byte("not ours")); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Delete(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), "n2", []byte("not JSON")); err != nil {
		t.Fatal(err)
	}
	forge("n3", func(n *kvmirror.Node) { n.Address = "127.0.0.1:9" })

	for _, id := range []string{"n1", "n2", "n3"} {
		w.until("repaired "+id, func() bool {
			var n kvmirror.Node
			entry, err := bucket.Get(t.Context(), id)
			return err == nil && json.Unmarshal(entry.Value(), &n) == nil && n.Address == "127.0.0.1:7001"
		})
	}
	if n, _ := w.read("n4"); n.Position < 100 {
		t.Errorf("a newer n4 was taken back to position %d", n.Position)
	}
	if entry, err := bucket.Get(t.Context(), "other"); err != nil || string(entry.Value()) != "not ours" {
		t.Errorf("the key of somebody else: %v, %v", entry, err)
	}
}

// A bucket in which everything is as it should be is not written.
func TestComparingWritesNothingTwice(t *testing.T) {
	w := newWorld(t)
	w.say(events.Joined, "n1", 1)
	w.comparing(w.projector(), 5*time.Millisecond)
	w.until("n1", func() bool { _, ok := w.read("n1"); return ok })
	bucket := w.bucket()
	first, err := bucket.Get(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // each was repaired by a comparison of its own
		if err := bucket.Delete(t.Context(), "n1"); err != nil {
			t.Fatal(err)
		}
		w.until("n1 again", func() bool { _, ok := w.read("n1"); return ok })
	}
	last, err := bucket.Get(t.Context(), "n1")
	if err != nil || last.Revision() != first.Revision()+6 {
		t.Errorf("revision %d after %d, error %v; want three deletions and three repairs", last.Revision(), first.Revision(), err)
	}
}

// A node of a log that is no more must not stay alive in the bucket for ever; whoever else has keys there keeps them.
func TestNodesOfAnotherLogAreTakenOut(t *testing.T) {
	w := newWorld(t)
	w.say(events.Joined, "n1", 1)
	w.say(events.Joined, "n2", 1)
	p := w.projector()
	stop := w.mirror(p)
	w.until("both nodes", func() bool {
		_, first := w.read("n1")
		_, second := w.read("n2")
		return first && second
	})
	stop()
	for key, value := range map[string]string{
		"gone":    `{"id":"gone","state":"alive","position":7,"log":"another"}`,
		"lost":    `{"id":"lost","state":"alive","position":2,"log":"` + p.Status().Identity + `"}`, // the views have passed 2
		"coming":  `{"id":"coming","state":"alive","position":99,"log":"` + p.Status().Identity + `"}`,
		"foreign": `{"id":"other"}`,
	} {
		if _, err := w.bucket().PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	w.mirror(p)
	w.until("those of another log are out", func() bool {
		_, gone := w.read("gone")
		_, lost := w.read("lost")
		return !gone && !lost
	})
	for _, key := range []string{"n1", "n2", "coming", "foreign"} {
		if _, there := w.read(key); !there {
			t.Errorf("%s is not there any more", key)
		}
	}
}

func TestConfigIsRefused(t *testing.T) {
	p, err := projector.Open(projector.Config{Log: memlog.New("test"), Cluster: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]kvmirror.Config{
		"Projector": {Conn: func() *nats.Conn { return nil }}, "Conn": {Projector: p},
		"Replicas":     {Projector: p, Conn: func() *nats.Conn { return nil }, Replicas: 6},
		"CompareEvery": {Projector: p, Conn: func() *nats.Conn { return nil }, CompareEvery: -1},
	} {
		if _, err := kvmirror.New(cfg); !errors.Is(err, kvmirror.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
