package jslog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/natsd"
)

// A server that is shut down goes on waiting for the source of a stream, for as long as half a minute: one test makes such
// streams, whose sources are nowhere.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).setupMirrorConsumer.func3"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"))
}

// patience bounds every wait: far above what a loaded machine needs, so that only a hang reaches it.
const patience = time.Minute

const cluster = "test"

// serve runs an embedded server on listen ("127.0.0.1:0" for any port) until the test ends.
func serve(t testing.TB, dir, listen string) *natsd.Server {
	t.Helper()
	srv, err := natsd.Start(t.Context(), natsd.Config{Dir: dir, Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	return srv
}

// connect opens a log until the test ends. Its calls wait with patience, unless cfg says otherwise.
func connect(t testing.TB, cfg jslog.Config) *jslog.Log {
	t.Helper()
	if cfg.Cluster == "" {
		cfg.Cluster = cluster
	}
	if cfg.AppendTimeout == 0 {
		cfg.AppendTimeout = patience
	}
	log, err := jslog.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log
}

// plain is a client that knows nothing of this package.
func plain(t testing.TB, url string, opts ...nats.Option) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// bounded is the context of one call, also of one made while the test cleans up.
func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

// event is a valid event of kind about node, by the node itself or by "observer".
func event(kind events.Kind, node string) events.Event {
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: cluster, Node: node, Author: node, Time: time.Now().UTC(), Incarnation: 1,
	}
	switch {
	case kind == events.Joined:
		ev.Address = "127.0.0.1:7946"
		ev.Tags = map[string]string{"role": "worker"}
	case !kind.ByOwner():
		ev.Author = "observer"
		ev.Evidence = events.Evidence{Reason: "probe timeout", Probes: 1, TimeoutMS: 500}.Raw()
	}
	return ev
}

func mustAppend(t testing.TB, log *jslog.Log, ev events.Event, expect uint64) uint64 {
	t.Helper()
	position, err := log.Append(bounded(t), ev, expect)
	if err != nil {
		t.Fatalf("append %s of %s, expecting %d: %v", ev.Kind, ev.Node, expect, err)
	}
	return position
}

// eventually waits until hold does.
func eventually(t testing.TB, what string, hold func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !hold(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// feed is a subscription that runs on its own and is taken from one event at a time.
type feed struct{ items chan item }

type item struct {
	rec events.Recorded
	err error
}

func follow(t testing.TB, log events.Log, filter events.Filter, from events.From) *feed {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &feed{items: make(chan item)}
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
	t.Cleanup(func() {
		cancel()
		for range f.items {
		}
	})
	return f
}

func (f *feed) next(t testing.TB) item {
	t.Helper()
	select {
	case it, ok := <-f.items:
		if !ok {
			t.Fatal("the subscription has ended")
		}
		return it
	case <-time.After(patience):
		t.Fatal("the subscription yields nothing")
	}
	return item{}
}

// want takes the next event, which must be at position.
func (f *feed) want(t testing.TB, position uint64) {
	t.Helper()
	if it := f.next(t); it.err != nil || it.rec.Position != position {
		t.Fatalf("subscription yields position %d, error %v; want position %d", it.rec.Position, it.err, position)
	}
}

// wantLast takes an error, after which the subscription must end.
func (f *feed) wantLast(t testing.TB, target error) {
	t.Helper()
	if it := f.next(t); !errors.Is(it.err, target) {
		t.Fatalf("subscription yields position %d, error %v; want error %v", it.rec.Position, it.err, target)
	}
	select {
	case it, ok := <-f.items:
		if ok {
			t.Fatalf("subscription goes on after its last error: %+v", it)
		}
	case <-time.After(patience):
		t.Fatal("subscription does not end after its last error")
	}
}
