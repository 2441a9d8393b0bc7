package snapbucket_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/infra/natsd"
	"rollcall/infra/snapbucket"
	"rollcall/projections/projector"
)

const chunk = 128 << 10

// read reads name whole, within patience.
func read(t *testing.T, b *snapbucket.Bucket, name string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience/4)
	defer cancel()
	src, _, err := b.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(src)
	return content, errors.Join(err, src.Close())
}

// loseChunks removes all chunks but keep of the bucket.
func (w *world) loseChunks(keep uint64) {
	w.t.Helper()
	js, err := jetstream.New(w.conn.Load())
	if err != nil {
		w.t.Fatal(err)
	}
	stream, err := js.Stream(w.t.Context(), "OBJ_ROLLCALL_test_snapshots")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := stream.Purge(w.t.Context(), jetstream.WithPurgeSubject("$O.*.C.>"), jetstream.WithPurgeKeep(keep)); err != nil {
		w.t.Fatal(err)
	}
}

// A snapshot whose content is not all there is broken, and said to be at once: it keeps no projector from starting.
func TestSnapshotWithoutItsChunksIsPutAside(t *testing.T) {
	for _, keep := range []uint64{0, 2} {
		w := newWorld(t)
		b := w.bucket("test")
		last := w.joins(4)
		p, stop := w.projector(projector.Config{})
		w.reach(p, last)
		stop()
		whole := w.names(b)[0]
		content, err := read(t, b, whole)
		if err != nil {
			t.Fatal(err)
		}
		broken := strings.Replace(whole, "00000000000000000004", "00000000000000000005", 1)
		save(t, b, broken, bytes.Repeat(content, 3*chunk/len(content)+1))
		w.loseChunks(keep)
		again, stop := w.projector(projector.Config{})
		w.reach(again, last)
		stop()
		if names := strings.Join(w.names(b), " "); !strings.Contains(names, broken+".bad") {
			t.Errorf("%d chunks left: %s", keep, names)
		}
	}
}

// lostAnswer is a context that ends, once armed, between what is sent and its answer.
type lostAnswer struct {
	context.Context
	armed, waited atomic.Bool
	over          chan struct{}
}

func (l *lostAnswer) Deadline() (time.Time, bool) { return time.Now().Add(patience), true }

func (l *lostAnswer) Done() <-chan struct{} {
	if !l.armed.Load() {
		return l.Context.Done()
	}
	l.waited.Store(true)
	return l.over
}

func (l *lostAnswer) Err() error {
	if l.waited.Load() {
		return context.DeadlineExceeded
	}
	return l.Context.Err()
}

// gate is a way to the server, and nothing comes back through it while it is locked.
type gate struct {
	sync.Mutex
	server *natsd.Server
}

func (g *gate) InProcessConn() (net.Conn, error) {
	conn, err := g.server.InProcessConn()
	return gated{conn, g}, err
}

type gated struct {
	net.Conn
	gate *gate
}

func (c gated) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.gate.Lock()
	defer c.gate.Unlock()
	return n, err
}

// What was stored without an answer is there whole.
func TestSnapshotWhoseAcknowledgementIsLostStaysWhole(t *testing.T) {
	w := newWorld(t)
	way := &gate{server: w.srv}
	conn, err := nats.Connect("", nats.InProcessServer(way))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w.conn.Store(conn)
	b := w.bucket("test")
	content := bytes.Repeat([]byte("x"), 2*chunk) // nothing is left to write when the gate is locked
	ctx := &lostAnswer{Context: t.Context(), over: make(chan struct{})}
	close(ctx.over)
	err = b.Save(ctx, "one", func(out io.Writer) error {
		_, err := out.Write(content)
		way.Lock()
		ctx.armed.Store(true)
		return err
	})
	way.Unlock()
	if !errors.Is(err, events.ErrUnavailable) {
		t.Fatalf("Save: %v", err)
	}
	if err := w.conn.Load().FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(patience); len(w.names(b)) == 0; {
		select {
		case <-deadline:
			t.Fatal("it was never stored")
		default:
		}
	}
	if got, err := read(t, b, "one"); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A bucket that goes away while it is read is away, and what was read not broken.
func TestBucketThatGoesAwayWhileItIsReadIsUnavailable(t *testing.T) {
	w := newWorld(t)
	b := w.bucket("test")
	save(t, b, "one", make([]byte, 3*chunk))
	src, _, err := b.Open(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := io.ReadFull(src, make([]byte, chunk)); err != nil {
		t.Fatal(err)
	}
	w.conn.Load().Close()
	if _, err := io.ReadAll(src); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("read on: %v", err)
	}
}
