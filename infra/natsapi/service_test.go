package natsapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/infra/natsapi"
	"rollcall/infra/natsd"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = time.Minute
	askLimit = 5 * time.Second // a request that was under way to a connection that closes is answered by nobody
)

// world is a log in memory, a NATS server, and a client of it.
type world struct {
	t      *testing.T
	log    *memlog.Log
	server *natsd.Server
	client *nats.Conn
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	w := &world{t: t, log: memlog.New("test"), server: server}
	w.client = w.connect()
	return w
}

func (w *world) connect() *nats.Conn {
	w.t.Helper()
	conn, err := nats.Connect("", nats.InProcessServer(w.server))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(conn.Close)
	return conn
}

func (w *world) join(id string, tags map[string]string) {
	w.t.Helper()
	_, err := w.log.Append(w.t.Context(), events.Event{
		ID: events.NewID(), Kind: events.Joined, Cluster: "test", Node: id, Author: id, Incarnation: 1, Time: time.Now(),
		Address: "127.0.0.1:7001", Tags: tags,
	}, 0)
	if err != nil {
		w.t.Fatal(err)
	}
}

// projector folds the log from begin on, and is served over HTTP from now on.
type running struct {
	p     *projector.Projector
	h     http.Handler
	conn  atomic.Pointer[nats.Conn]
	begin func()
	stop  func() // of the service
}

func (w *world) projector() *running {
	w.t.Helper()
	p, err := projector.Open(projector.Config{Log: w.log, Cluster: "test", HeartbeatEvery: 10 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Config{Projector: p, Version: "v1.2.3"})
	if err != nil {
		w.t.Fatal(err)
	}
	r := &running{p: p, h: handler}
	r.conn.Store(w.connect())
	service, err := natsapi.New(natsapi.Config{Projector: p, Conn: r.conn.Load, Handler: handler, Version: "v1.2.3"})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	folding, end := context.WithCancel(context.Background())
	var serving, folds sync.WaitGroup
	serving.Go(func() { service.Run(ctx) })
	r.stop = func() { cancel(); serving.Wait() }
	r.begin = func() {
		folds.Go(func() {
			if err := p.Run(folding); err != nil {
				w.t.Errorf("Run: %v", err)
			}
		})
	}
	w.t.Cleanup(func() { r.stop(); end(); folds.Wait() })
	return r
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

// ask sends one request; code is that of an error, empty when there is none.
func (w *world) ask(endpoint, request string) (body, code string, err error) {
	reply, err := w.client.Request(natsapi.Subject("test", endpoint), []byte(request), askLimit)
	if err != nil {
		return "", "", err
	}
	return string(reply.Data), reply.Header.Get(micro.ErrorCodeHeader), nil
}

// answers waits until the service takes part.
func (w *world) answers() {
	w.t.Helper()
	w.until("answer", func() bool { _, _, err := w.ask("nodes", ""); return err == nil })
}

// overHTTP is what the HTTP API answers.
func (r *running) overHTTP(t *testing.T, path string) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	r.h.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(recorder.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

// withoutLag drops what differs from one moment to the next.
func withoutLag(t *testing.T, body string) string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	delete(all, "lag")
	out, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// What NATS is answered is what HTTP is answered, for the same question.
func TestAnswersAreThoseOfHTTP(t *testing.T) {
	w := newWorld(t)
	w.join("n1", map[string]string{"role": "web", "zone": "a"})
	w.join("n2", map[string]string{"role": "worker", "zone": "b"})
	r := w.projector()
	r.begin()
	w.answers()
	for _, tc := range []struct{ endpoint, request, path string }{
		{"nodes", "", "/v1/nodes"},
		{"nodes", `{}`, "/v1/nodes"},
		{"nodes", `{"status":"alive"}`, "/v1/nodes?status=alive"},
		{"services", `{"tag":["role=worker","zone=b"]}`, "/v1/services?tag=role%3Dworker&tag=zone%3Db"},
		{"services", `{"tag":"role=none"}`, "/v1/services?tag=role%3Dnone"},
		{"pick", `{"key":"order-1"}`, "/v1/pick?key=order-1"},
		{"pick", `{"key":17}`, "/v1/pick?key=17"},
		{"pick", `{"tag":"role=none"}`, "/v1/pick?tag=role%3Dnone"},
		{"pick", `{"strategy":"best"}`, "/v1/pick?strategy=best"},
	} {
		body, _, err := w.ask(tc.endpoint, tc.request)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := withoutLag(t, body), withoutLag(t, r.overHTTP(t, tc.path)); got != want {
			t.Errorf("%s %s: %s\nHTTP: %s", tc.endpoint, tc.request, got, want)
		}
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	w.join("n1", nil)
	w.projector().begin()
	w.answers()
	for _, tc := range []struct{ endpoint, request, code, want string }{
		{"pick", `{"tag":"role=none"}`, "404", "no-match"},
		{"nodes", `{"status":"well"}`, "400", "bad-parameter"},
		{"nodes", `{"at":"1"}`, "400", "nodes takes status, tag"},
		{"nodes", `{"min_position":9}`, "400", "nodes takes status, tag"},
		{"nodes", `tag=role`, "400", "want nothing, or a JSON object"},
		{"nodes", `{"tag":{"a":"b"}}`, "400", "want a string, a number or a list"},
		{"nodes", `{"tag":"` + strings.Repeat("x", natsapi.RequestMax) + `"}`, "400", "at most 16384 are read"},
	} {
		body, code, err := w.ask(tc.endpoint, tc.request)
		if err != nil {
			t.Fatal(err)
		}
		if code != tc.code || !strings.Contains(body, tc.want) || !strings.Contains(body, `"type":"urn:rollcall:problem:`) {
			t.Errorf("%s %.40s: %s %s, want %s %s", tc.endpoint, tc.request, code, body, tc.code, tc.want)
		}
	}
}

// An answer that the server would not carry is said to be too large, and a narrower one arrives.
func TestAnswerTooLargeForNATS(t *testing.T) {
	w := newWorld(t)
	for i := range 2000 {
		w.join(fmt.Sprintf("n%d", i), map[string]string{"role": fmt.Sprint(i % 400), "a": strings.Repeat("x", 250), "b": strings.Repeat("x", 240)})
	}
	w.projector().begin()
	w.answers()
	if body, code, err := w.ask("nodes", ""); err != nil || code != "413" || !strings.Contains(body, "narrow it") {
		t.Errorf("%s %.200s, %v", code, body, err)
	}
	if body, code, err := w.ask("nodes", `{"tag":"role=7"}`); err != nil || code != "" || strings.Count(body, `"id":`) != 5 {
		t.Errorf("%s %.200s, %v", code, body, err)
	}
}

// Two projectors share the requests, each is found by the protocol of services, and the one that is left takes all.
func TestTwoProjectorsShare(t *testing.T) {
	w := newWorld(t)
	w.join("n1", nil)
	one, two := w.projector(), w.projector()
	one.begin()
	two.begin()
	found := func() map[string]micro.Stats {
		stats := make(map[string]micro.Stats)
		inbox := w.client.NewInbox()
		replies, err := w.client.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = replies.Unsubscribe() }()
		if err := w.client.PublishRequest("$SRV.STATS."+natsapi.Name("test"), inbox, nil); err != nil {
			t.Fatal(err)
		}
		for {
			reply, err := replies.NextMsg(200 * time.Millisecond)
			var s micro.Stats
			if err != nil || json.Unmarshal(reply.Data, &s) != nil {
				return stats
			}
			stats[s.ID] = s
		}
	}
	w.until("two services", func() bool { return len(found()) == 2 })
	for range 200 {
		if _, code, err := w.ask("nodes", ""); err != nil || code != "" {
			t.Fatal(code, err)
		}
	}
	for id, s := range found() {
		if n := s.Endpoints[0].NumRequests; s.Version != "1.2.3" || len(s.Endpoints) != 3 || n < 20 || n > 180 {
			t.Errorf("%s: version %s, %d endpoints, %d of 200 requests", id, s.Version, len(s.Endpoints), n)
		}
	}
	one.stop()
	w.until("one service", func() bool { return len(found()) == 1 })
	if _, code, err := w.ask("nodes", ""); err != nil || code != "" {
		t.Error(code, err)
	}
	two.stop()
	w.until("nobody", func() bool { _, _, err := w.ask("nodes", ""); return errors.Is(err, nats.ErrNoResponders) })
}

// A projector whose views are not ready takes no part: nobody would know that they are not.
func TestNoPartBeforeReady(t *testing.T) {
	w := newWorld(t)
	w.join("n1", nil)
	early, ready := w.projector(), w.projector()
	ready.begin()
	w.answers()
	for range 20 {
		if body, _, err := w.ask("nodes", ""); err != nil || !strings.Contains(body, `"position":1,`) {
			t.Fatalf("%s, %v", body, err)
		}
	}
	ready.stop()
	w.until("nobody", func() bool { _, _, err := w.ask("nodes", ""); return errors.Is(err, nats.ErrNoResponders) })
	early.begin()
	w.answers()
}

// When the log's connection is replaced, the service moves along.
func TestFollowsTheConnection(t *testing.T) {
	w := newWorld(t)
	w.join("n1", nil)
	r := w.projector()
	r.begin()
	w.answers()
	old := r.conn.Load()
	r.conn.Store(nil)
	old.Close()
	w.until("nobody", func() bool { _, _, err := w.ask("nodes", ""); return errors.Is(err, nats.ErrNoResponders) })
	r.conn.Store(w.connect())
	w.answers()
}

func TestConfigIsRefused(t *testing.T) {
	w := newWorld(t)
	p, handler := w.projector().p, http.NotFoundHandler()
	none := func() *nats.Conn { return nil }
	for name, cfg := range map[string]natsapi.Config{
		"Projector": {Conn: none, Handler: handler}, "Conn": {Projector: p, Handler: handler}, "Handler": {Projector: p, Conn: none},
	} {
		if _, err := natsapi.New(cfg); !errors.Is(err, natsapi.ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
