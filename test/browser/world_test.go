package browser

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
)

// world is a log in memory, a projector that folds it, and a server of the page.
type world struct {
	t      *testing.T
	log    *memlog.Log
	p      *projector.Projector
	server *httptest.Server
	at     time.Time
	tags   map[string]string // of who joins next
}

// newWorld starts everything. The first events are a minute old, one a second follows.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: memlog.New("test"), at: time.Now().Add(-time.Minute)}
	var err error
	w.p, err = projector.Open(projector.Config{Log: w.log, Cluster: "test", HeartbeatEvery: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Config{Projector: w.p, Version: "v-test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.p.Run(ctx) }()
	w.server = httptest.NewServer(handler)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		w.server.CloseClientConnections()
		w.server.Close()
	})
	return w
}

// guarded serves the same behind another handler, at another address.
func (w *world) guarded(guard func(http.Handler) http.Handler) string {
	w.t.Helper()
	server := httptest.NewServer(guard(w.server.Config.Handler))
	w.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// say appends one event about a node and returns its position.
func (w *world) say(kind events.Kind, node, author string, incarnation uint64, evidence events.Evidence) uint64 {
	w.t.Helper()
	w.at = w.at.Add(time.Second)
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: "test", Node: node, Author: author, Time: w.at,
		Incarnation: incarnation, Evidence: evidence.Raw(),
	}
	if kind == events.Joined {
		ev.Address, ev.Tags = "127.0.0.1:7001", w.tags
	}
	newest, _ := w.log.Last(w.t.Context(), node) // at position 0 where there is none, and with one where it cannot be read
	position, err := w.log.Append(w.t.Context(), ev, newest.Position)
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

func (w *world) join(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.say(events.Joined, id, id, 1, events.Evidence{Reason: "start"})
	}
}

// plan appends a plan of a group.
func (w *world) plan(group, author string, plan events.Plan) uint64 {
	w.t.Helper()
	newest, _ := w.log.LastOfGroup(w.t.Context(), group)
	info, err := w.log.Info(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	plan.Seen = info.Last
	position, err := w.log.Append(w.t.Context(), events.Event{
		ID: events.NewID(), Kind: events.Planned, Cluster: "test", Group: group, Author: author, Time: w.at, Plan: &plan,
	}, newest.Position)
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

// settle waits until the views hold the whole log.
func (w *world) settle() {
	w.t.Helper()
	info, err := w.log.Info(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := w.p.WaitFor(ctx, info.Last); err != nil {
		w.t.Fatal(err)
	}
}

// quoted writes a text as a JavaScript string.
func quoted(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string marshals
	}
	return string(raw)
}
