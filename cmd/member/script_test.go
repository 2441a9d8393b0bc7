package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/infra/loopback"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
)

var update = flag.Bool("update", false, "rewrite the expected output of the scripts; read the diff")

// patience bounds every wait: only what never comes reaches it.
const patience = time.Minute

// TestMain lets a script run "member" as a process of its own: this test binary, which then is the program.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"member": main})
}

type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	status := m.M.Run()
	if err := goleak.Find(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// TestScripts runs testdata/script. In a script, $API is a projector over a log in which three nodes joined, n3 was
// suspected, accused and failed, and n2 left; $GONE is one that has stopped and $LATE one that does not answer. Nothing listens
// at $FREE, and the projector at $TAKEN. $SECURE is the projector behind TLS and a token, which the files $CA and $TOKEN open.
func TestScripts(t *testing.T) {
	_, api := serve(t, story())
	secured := secure(t, api)
	late := newSilentServer(t)
	gone := "http://" + loopback.Addr(t)
	notOurs := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(notOurs.Close)
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector would sleep a second in every process
			env.Setenv("ROLLCALL_TIMEOUT", patience.String())
			env.Setenv("API", api)
			env.Setenv("SECURE", secured.url)
			env.Setenv("CA", secured.ca)
			env.Setenv("TOKEN", secured.token)
			env.Setenv("LATE", late)
			env.Setenv("GONE", gone)
			env.Setenv("ALIEN", notOurs.URL)
			env.Setenv("FREE", loopback.Addr(t))
			env.Setenv("TAKEN", strings.TrimPrefix(api, "http://"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": exitStatus, "eventually": eventually,
		},
	})
}

// eventually is the script command "eventually member …": the command must succeed in the end, and is tried until it does.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: eventually command [args...]")
	}
	deadline := time.After(patience)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("not within %v: %v", patience, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// exitStatus is the script command "status N member …": the command must exit with status N.
func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [args...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := interface{ ExitCode() int }(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// story is what the log of the scripts holds, one event a second.
func story() []events.Event {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var list []events.Event
	say := func(kind events.Kind, node, author string, evidence events.Evidence) {
		n := len(list) + 1
		ev := events.Event{
			ID: fmt.Sprintf("01957600-0000-7000-8000-%012d", n), Kind: kind, Cluster: "test", Node: node, Author: author,
			Time: start.Add(time.Duration(n) * time.Second), Incarnation: 1, Evidence: evidence.Raw(),
		}
		if kind == events.Joined {
			ev.Address = fmt.Sprintf("127.0.0.1:700%d", n)
			ev.Tags = map[string]string{"role": "web", "zone": "z" + node[1:]}
		}
		list = append(list, ev)
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		say(events.Joined, id, id, events.Evidence{Reason: "start"})
	}
	say(events.Suspected, "n3", "n1", events.Evidence{
		Reason: "probe timeout", Probes: 2, TimeoutMS: 500, Relays: []events.Relay{{ID: "n2", Answer: "nack"}},
	})
	say(events.Accused, "n3", "n2", events.Evidence{Reason: "probe timeout", Probes: 3})
	say(events.Failed, "n3", "n1", events.Evidence{
		Reason: "suspicion timeout", Accusers: []events.Accuser{{ID: "n1"}, {ID: "n2"}},
	})
	say(events.Left, "n2", "n2", events.Evidence{Reason: "leave"})
	return list
}

// serve returns a log with these events and the URL of a projector that has folded all of them.
func serve(t *testing.T, list []events.Event) (*memlog.Log, string) {
	t.Helper()
	log := memlog.New("test")
	last := make(map[string]uint64)
	for _, ev := range list {
		position, err := log.Append(t.Context(), ev, last[ev.Node])
		if err != nil {
			t.Fatal(err)
		}
		last[ev.Node] = position
	}
	p, err := projector.Open(projector.Config{Log: log, Cluster: "test", HeartbeatEvery: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Config{Projector: p, Version: "v-test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("projector: %v", err)
		}
		server.CloseClientConnections()
		server.Close()
	})
	waiting, done := context.WithTimeout(t.Context(), patience)
	defer done()
	if err := p.WaitFor(waiting, uint64(len(list))); err != nil {
		t.Fatal(err)
	}
	for !p.Status().Ready {
		select {
		case <-waiting.Done():
			t.Fatal("the projector does not become ready")
		case <-time.After(time.Millisecond):
		}
	}
	return log, server.URL
}

// newSilentServer returns the URL of a server that takes a request and never answers.
func newSilentServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}
