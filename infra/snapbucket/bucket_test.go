package snapbucket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/infra/natsd"
	"rollcall/infra/snapbucket"
	"rollcall/projections"
	"rollcall/projections/projector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// world is a log in memory, and a NATS server for the bucket.
type world struct {
	t    *testing.T
	log  *memlog.Log
	srv  *natsd.Server
	conn atomic.Pointer[nats.Conn] // nil while the server is away
	now  atomic.Int64              // how far the bucket's clock is ahead
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := nats.Connect("", nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w := &world{t: t, log: memlog.New("test"), srv: server}
	w.conn.Store(conn)
	return w
}

// bucket is the cluster's, as one process sees it.
func (w *world) bucket(cluster string) *snapbucket.Bucket {
	w.t.Helper()
	b, err := snapbucket.New(snapbucket.Config{
		Cluster: cluster, Conn: w.conn.Load,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.now.Load())) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) names(b *snapbucket.Bucket) (names []string) {
	w.t.Helper()
	list, err := b.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range list {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// messages is how many the bucket's stream holds.
func (w *world) messages() uint64 {
	w.t.Helper()
	js, err := jetstream.New(w.conn.Load())
	if err != nil {
		w.t.Fatal(err)
	}
	stream, err := js.Stream(w.t.Context(), "OBJ_ROLLCALL_test_snapshots")
	if err != nil {
		w.t.Fatal(err)
	}
	info, err := stream.Info(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return info.State.Msgs
}

func save(t *testing.T, b *snapbucket.Bucket, name string, content []byte) {
	t.Helper()
	err := b.Save(t.Context(), name, func(w io.Writer) error { _, err := w.Write(content); return err })
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsSavedIsReadAndRemovedWithoutTrace(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("test")
	if names := w.names(b); len(names) > 0 {
		t.Fatalf("a new bucket holds %v", names)
	}
	content := bytes.Repeat([]byte("snapshot"), 100_000) // several chunks
	save(t, b, "one", content)
	save(t, b, "two", nil)
	src, size, err := b.Open(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(src)
	if err := errors.Join(err, src.Close()); err != nil || size != int64(len(content)) || !bytes.Equal(got, content) {
		t.Errorf("%d bytes of %d, %v", len(got), size, err)
	}
	full := errors.New("disk full")
	err = b.Save(t.Context(), "three", func(w io.Writer) error {
		_, _ = w.Write(content)
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("half written: %v", err)
	}
	if names := fmt.Sprint(w.names(b)); names != "[one two]" {
		t.Errorf("listed: %s", names)
	}
	if aside, err := b.SetAside(t.Context(), "two"); err != nil || aside != "two.bad" {
		t.Errorf("put aside as %q, %v", aside, err)
	}
	for _, name := range []string{"one", "never was"} {
		if err := b.Remove(t.Context(), name); err != nil {
			t.Errorf("remove %s: %v", name, err)
		}
		if _, _, err := b.Open(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %s: %v", name, err)
		}
		if _, err := b.SetAside(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("put %s aside: %v", name, err)
		}
	}
	if names := fmt.Sprint(w.names(b)); names != "[two.bad]" || w.messages() != 1 { // a name without content
		t.Errorf("%v listed, %d messages left", names, w.messages())
	}
}

// I15: what a killed projector left half-written is removed, and what another writes now is not.
func TestI15OrphansAreSwept(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("test")
	save(t, b, "whole", []byte("content"))
	if err := w.conn.Load().Publish("$O.ROLLCALL_test_snapshots.C.orphan", []byte("chunk")); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.Load().Flush(); err != nil {
		t.Fatal(err)
	}
	before := w.messages()
	if w.names(b); w.messages() != before {
		t.Fatalf("%d messages of %d: it may be on its way", w.messages(), before)
	}
	w.now.Store(int64(time.Hour))
	if names := fmt.Sprint(w.names(b)); names != "[whole]" || w.messages() != before-1 {
		t.Errorf("%s listed, %d messages of %d", names, w.messages(), before)
	}
}

func (w *world) joins(n int) (last uint64) {
	w.t.Helper()
	for range n {
		info, err := w.log.Info(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		id := fmt.Sprint("n", info.Last+1)
		last, err = w.log.Append(w.t.Context(), events.Event{
			ID: events.NewID(), Kind: events.Joined, Cluster: "test", Node: id, Author: id, Incarnation: 1,
			Time: time.Now(), Address: "127.0.0.1:7946",
		}, 0)
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return last
}

// projector runs one with a bucket of its own to look through, until stop or the end of the test.
func (w *world) projector(cfg projector.Config) (p *projector.Projector, stop func()) {
	w.t.Helper()
	cfg.Log, cfg.Cluster, cfg.Store, cfg.HeartbeatEvery = w.log, "test", w.bucket("test"), 10*time.Millisecond
	p, err := projector.Open(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return p, stop
}

func (w *world) reach(p *projector.Projector, position uint64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := p.WaitFor(ctx, position); err != nil {
		w.t.Fatal(err)
	}
}

func state(p *projector.Projector) (out []byte) {
	p.View(func(v *projections.Views) { out = v.Encode() })
	return out
}

// I9: a projector without a directory goes on from what another one wrote, and holds the same bytes.
func TestI9AnotherProjectorStartsFromTheBucket(t *testing.T) {
	w := newWorld(t)
	last := w.joins(20)
	first, stop := w.projector(projector.Config{SnapshotEvery: 5, CheckpointEvery: 4})
	w.reach(first, last)
	b := w.bucket("test")
	checkpoint := func(name string) bool { return strings.HasSuffix(name, ".checkpoint") }
	for deadline := time.After(patience); !slices.ContainsFunc(w.names(b), checkpoint); {
		select {
		case <-deadline:
			t.Fatalf("no checkpoint among %v", w.names(b))
		default:
		}
	}
	stop()
	last = w.joins(3)
	second, _ := w.projector(projector.Config{})
	third, _ := w.projector(projector.Config{})
	for _, p := range []*projector.Projector{second, third} {
		w.reach(p, last)
		if folded := p.Status().Folded; folded != 3 {
			t.Errorf("%d events folded, the tail has 3", folded)
		}
	}
	if !bytes.Equal(state(second), state(third)) {
		t.Error("two projectors from one bucket differ")
	}
	past, err := second.AsOf(t.Context(), projector.At{Position: 18})
	if err != nil || past.Position() != 18 || past.Registry.Len() != 18 {
		t.Errorf("as of 18: %v", err)
	}
}

// Two projectors write one bucket: what stays is the newest, and each can be read.
func TestTwoProjectorsOneBucket(t *testing.T) {
	w := newWorld(t)
	a, stopA := w.projector(projector.Config{SnapshotEvery: 2})
	b, stopB := w.projector(projector.Config{SnapshotEvery: 3})
	first := w.joins(1) // neither starts from what the other one wrote
	w.reach(a, first)
	w.reach(b, first)
	last := w.joins(39)
	w.reach(a, last)
	w.reach(b, last)
	stopA()
	stopB()
	names := w.names(w.bucket("test"))
	if len(names) != 2 || !strings.HasPrefix(names[0], "00000000000000000040-") || !strings.HasPrefix(names[1], "00000000000000000040-") {
		t.Errorf("left in the bucket: %v", names)
	}
	c, _ := w.projector(projector.Config{})
	w.reach(c, last)
	if c.Status().Folded != 0 || !bytes.Equal(state(c), state(a)) {
		t.Errorf("%d events folded after a snapshot of all", c.Status().Folded)
	}
}

// What is broken or of another cluster is put aside, and the one before it, or the log, is read.
func TestBrokenAndForeignArePutAside(t *testing.T) {
	w := newWorld(t)
	last := w.joins(4)
	p, stop := w.projector(projector.Config{})
	w.reach(p, last)
	stop()
	b := w.bucket("test")
	whole := w.names(b)[0]
	src, _, err := b.Open(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(src)
	if err := errors.Join(err, src.Close()); err != nil {
		t.Fatal(err)
	}
	newer := func(position int) string {
		_, ending, _ := strings.Cut(whole, ".")
		return fmt.Sprintf("%020d-%019d-%012d.%s", position, time.Now().UnixNano(), position, ending)
	}
	bent := bytes.Clone(content)
	bent[len(bent)/2] ^= 1
	foreign := bytes.Replace(content, []byte(`"cluster":"test"`), []byte(`"cluster":"else"`), 1)
	for i, spoiled := range [][]byte{bent, foreign, content[:100], nil} {
		save(t, b, newer(100+i), spoiled)
	}
	again, stop := w.projector(projector.Config{})
	w.reach(again, last)
	if again.Status().Folded != 0 {
		t.Errorf("%d events folded: the whole snapshot was not used", again.Status().Folded)
	}
	stop()
	names := slices.DeleteFunc(w.names(b), func(name string) bool { return strings.HasSuffix(name, ".bad") })
	if len(names) != 1 || names[0] != whole {
		t.Errorf("left in the bucket: %v", names)
	}
}

// A server that is away is waited for: it is no reason to read the log from its start.
func TestBucketThatIsAwayIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	last := w.joins(3)
	p, stop := w.projector(projector.Config{})
	w.reach(p, last)
	stop()
	conn := w.conn.Swap(nil)
	again, _ := w.projector(projector.Config{})
	if again.Status().Ready {
		t.Error("ready without its snapshot")
	}
	w.conn.Store(conn)
	w.reach(again, last)
	if again.Status().Folded != 0 {
		t.Errorf("%d events folded", again.Status().Folded)
	}
}
