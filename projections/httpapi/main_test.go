package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait: only what never comes reaches it.
const patience = time.Minute

// world is a log, a projector that folds it, and a server that serves it.
type world struct {
	t      *testing.T
	log    *memlog.Log
	p      *projector.Projector
	server *httptest.Server
	stop   context.CancelFunc
	at     time.Time
	tags   map[string]string // of who joins next; nil: role=worker and zone=<id>
}

// newWorld starts everything; change adjusts the server's configuration.
func newWorld(t *testing.T, change func(*httpapi.Config)) *world {
	t.Helper()
	return newWorldOf(t, change, func(*projector.Config) {})
}

// newWorldOf is newWorld; fold adjusts the projector's configuration, whose Log is w.log.
func newWorldOf(t *testing.T, change func(*httpapi.Config), fold func(*projector.Config)) *world {
	t.Helper()
	w := &world{t: t, log: memlog.New("test"), at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	folded := projector.Config{Log: w.log, Cluster: "test", HeartbeatEvery: 20 * time.Millisecond}
	fold(&folded)
	w.p, err = projector.Open(folded)
	if err != nil {
		t.Fatal(err)
	}
	cfg := httpapi.Config{Projector: w.p, Version: "v-test"}
	if change != nil {
		change(&cfg)
	}
	handler, err := httpapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.p.Run(ctx) }()
	w.stop = cancel
	w.server = httptest.NewServer(handler)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, events.ErrReplaced) && !errors.Is(err, events.ErrUnknownKind) {
			t.Errorf("Run: %v", err)
		}
		w.server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return w
}

// say appends one event, a second after the last, and returns its position.
func (w *world) say(kind events.Kind, node, author string, incarnation uint64, evidence events.Evidence) uint64 {
	w.t.Helper()
	w.at = w.at.Add(time.Second)
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: "test", Node: node, Author: author, Time: w.at,
		Incarnation: incarnation, Evidence: evidence.Raw(),
	}
	if kind == events.Joined {
		ev.Address, ev.Tags = "127.0.0.1:7001", w.tags
		if w.tags == nil {
			ev.Tags = map[string]string{"role": "worker", "zone": node}
		}
	}
	newest, _ := w.log.Last(w.t.Context(), node) // at position 0 where there is none, and with one where it cannot be read
	position, err := w.log.Append(w.t.Context(), ev, newest.Position)
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

// settle waits until the views hold the whole log and know it.
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
	w.until("ready", func() bool { return w.p.Status().Ready })
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			w.t.Fatalf("not %s after %v", what, patience)
		case <-tick.C:
		}
	}
}

// episode is a small history: three join, n3 is accused by both others and failed, then back.
func (w *world) episode() {
	w.t.Helper()
	for _, id := range []string{"n1", "n2", "n3"} {
		w.say(events.Joined, id, id, 1, events.Evidence{Reason: "start"}) // 1 to 3
	}
	w.say(events.Suspected, "n3", "n1", 1, events.Evidence{Reason: "probe timeout", Probes: 1})              // 4
	w.say(events.Accused, "n3", "n2", 1, events.Evidence{Reason: "probe timeout"})                           // 5
	w.say(events.Failed, "n3", "n1", 1, events.Evidence{Accusers: []events.Accuser{{ID: "n1"}, {ID: "n2"}}}) // 6
	w.say(events.Joined, "n3", "n3", 2, events.Evidence{Reason: "start", Previous: 1})                       // 7
	w.settle()
}

type reply struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

func (w *world) do(method, path string, body io.Reader, header ...string) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	out := reply{status: res.StatusCode, header: res.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &out.body) // not everything is JSON; the caller looks
	return out
}

func (w *world) get(path string) reply {
	w.t.Helper()
	return w.do(http.MethodGet, path, nil)
}
