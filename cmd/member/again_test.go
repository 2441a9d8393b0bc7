package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/infra/cli"
)

// A check that is watched is printed again when it turns out otherwise, and ends as the newest one did.
func TestCheckWatch(t *testing.T) {
	t.Parallel() // most of its time it waits
	log, api := serve(t, story())
	p := start(t, "check", "n1", "--watch", "--api", api, "--max-lag", "0")
	p.wantLine("CHECK", "COUNT")
	p.until("ok", "1", "1")
	say(t, log, events.Event{Kind: events.HealthCheckFailed, Node: "n1", Author: "n3", Incarnation: 1}) // changes nothing
	say(t, log, events.Event{Kind: events.Refuted, Node: "n3", Author: "n3", Incarnation: 2, Address: "127.0.0.1:7003"})
	say(t, log, events.Event{Kind: events.Suspected, Node: "n1", Author: "n3", Incarnation: 1})
	p.until("failed", "0", "1")
	say(t, log, events.Event{Kind: events.Refuted, Node: "n1", Author: "n1", Incarnation: 2, Address: "127.0.0.1:7001"})
	p.until("ok", "1", "1")
	say(t, log, events.Event{Kind: events.Left, Node: "n1", Author: "n1", Incarnation: 2})
	p.until("failed", "0", "1")
	status, stderr := p.stop()
	if want := "0 nodes match, want at least 1\n"; status != cli.ExitFailed || strings.Count(stderr, want) != 3 { // twice, and at the end
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// What is wrong with the projector is said once, and the watch goes on.
func TestCheckWatchOutlivesAnAbsence(t *testing.T) {
	t.Parallel() // most of its time it waits
	_, api := serve(t, story())
	var away atomic.Bool
	refused := make(chan struct{})
	server := newProxy(t, api, func(w http.ResponseWriter) (answered bool) {
		if !away.Load() {
			return false
		}
		refused <- struct{}{}
		http.Error(w, "away", http.StatusBadGateway)
		return true
	})
	p := start(t, "check", "--watch", "--api", server, "-o", "name")
	p.wantLine("n1")
	away.Store(true)
	<-refused
	<-refused
	go func() { // until the proxy is back a third may have been asked
		for range refused {
		}
	}()
	away.Store(false)
	p.wantLine("n1")
	status, stderr := p.stop()
	close(refused)
	if status != cli.ExitOK || strings.Count(stderr, "502 Bad Gateway") != 1 {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// A projector that is not up to date when a check is begun may yet be.
func TestCheckWatchBeginsStale(t *testing.T) {
	t.Parallel() // most of its time it waits
	_, api := serve(t, story())
	turn(t, api, "pause")
	var asked atomic.Int32
	again := make(chan struct{})
	server := newProxy(t, api, func(http.ResponseWriter) (answered bool) {
		if asked.Add(1) == 2 { // it goes on after the answer that it was stale
			close(again)
		}
		return false
	})
	p := start(t, "check", "--watch", "--api", server)
	select {
	case <-again:
	case <-time.After(patience):
		status, stderr := p.stop()
		t.Fatalf("asked %d times, status %d, stderr %q", asked.Load(), status, stderr)
	}
	turn(t, api, "resume")
	p.wantLine("CHECK")
	p.wantLine("ok", "1")
	if status, stderr := p.stop(); status != cli.ExitOK || !strings.Contains(stderr, "the projector is paused at position 7 of 7") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// What is wrong is said again when it is something else, and not when only the numbers in it are.
func TestCheckWatchSaysWhatIsWrong(t *testing.T) {
	t.Parallel() // most of its time it waits
	_, api := serve(t, story())
	answers := make(chan string, 6)
	for _, answer := range []string{
		`{"position":1,"log":{"last":8}}`,
		`{"position":5,"log":{"last":9}}`,
		`{"position":5,"log":{"last":9},"ready":true,"state":"paused"}`,
		`{"position":5,"log":{"last":9},"ready":true,"state":"stopped","stopped":"the log was replaced"}`,
		`not JSON`,
		``,
	} {
		answers <- answer
	}
	server := newProxy(t, api, func(w http.ResponseWriter) (answered bool) {
		select {
		case answer := <-answers:
			if answer == "" {
				http.Error(w, "away", http.StatusBadGateway)
			} else {
				_, _ = io.WriteString(w, answer)
			}
			return true
		default:
			return false
		}
	})
	p := start(t, "check", "--watch", "--api", server)
	p.wantLine("CHECK")
	p.wantLine("ok", "1")
	status, stderr := p.stop()
	lines := strings.Split(stderr, "\n")
	want := []string{"is catching up: at position 1 of 8", "is paused", "has stopped: the log was replaced", "is not as expected", "502 Bad Gateway", ""}
	if status != cli.ExitOK || !slices.EqualFunc(lines, want, strings.Contains) {
		t.Errorf("status %d, stderr\n%swant\n%s", status, stderr, strings.Join(want, "\n"))
	}
}

func TestStatusWatch(t *testing.T) {
	t.Parallel() // most of its time it waits
	log, api := serve(t, story())
	p := start(t, "status", "--watch", "--api", api, "--max-lag", "0")
	p.wantLine("CLUSTER", "STATE", "POSITION")
	p.until("test", "live", "7", "0", "*", "1", "0", "1", "1")
	turn(t, api, "pause") // no event says so
	p.until("test", "paused", "7")
	turn(t, api, "resume")
	p.until("test", "live", "7")
	say(t, log, events.Event{Kind: events.Left, Node: "n1", Author: "n1", Incarnation: 1})
	p.until("test", "live", "8", "0", "*", "0", "0", "1", "2")
	status, stderr := p.stop()
	if status != cli.ExitOK || !strings.Contains(stderr, "the projector is paused at position 7 of 7") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

func TestHistoryWatch(t *testing.T) {
	t.Parallel() // most of its time it waits
	log, api := serve(t, story())
	table := start(t, "history", "n3", "--from", "5", "--watch", "--api", api)
	lines := start(t, "history", "n3", "--from", "5", "--watch", "--api", api, "-o", "json")
	table.wantLine("POSITION", "TIME")
	table.wantLine("6", "2026-03-01T12:00:06.000Z", "failed", "suspect>failed", "1", "n1")
	lines.wantPrefix(`{"position":6,"time":"2026-03-01T12:00:06Z",`)
	say(t, log, events.Event{Kind: events.Suspected, Node: "n1", Author: "n3", Incarnation: 1}) // of another node
	say(t, log, events.Event{
		Kind: events.Refuted, Node: "n3", Author: "n3", Incarnation: 2, Address: "127.0.0.1:7003", Tags: map[string]string{"role": "db"},
	})
	table.wantLine("9", "2026-03-01T12:00:06.000Z", "refuted", "failed>alive", "2", "n3")
	lines.wantPrefix(`{"position":9,`)
	for _, p := range []*program{table, lines} {
		if status, stderr := p.stop(); status != cli.ExitOK || stderr != "3 older events: member events --node n3\n" {
			t.Errorf("status %d, stderr %q", status, stderr)
		}
	}

	// A line of a watch is what the API's whole answer has of the event.
	var whole, stderr bytes.Buffer
	if status := cli.Run(t.Context(), newRoot(), []string{"history", "n3", "--api", api, "-o", "json"}, &whole, &stderr); status != cli.ExitOK {
		t.Fatalf("status %d: %s", status, stderr.String())
	}
	if line := lines.lines.Text(); !strings.Contains(whole.String(), line) {
		t.Errorf("the line of the watch is\n%s\nand the history\n%s", line, whole.String())
	}
}

// until reads lines to one that begins with these words, where * is any. A busy machine may show what is between.
func (p *program) until(words ...string) {
	p.t.Helper()
	for {
		got := strings.Fields(p.next())
		if len(got) >= len(words) && !slices.ContainsFunc(words, func(want string) bool {
			have := got[0]
			got = got[1:]
			return want != "*" && want != have
		}) {
			return
		}
	}
}

// newProxy returns the URL of a server that answers as the one behind it where instead does not.
func newProxy(t *testing.T, api string, instead func(w http.ResponseWriter) (answered bool)) string {
	t.Helper()
	behind, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !instead(w) {
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// turn controls the projector.
func turn(t *testing.T, api, action string) {
	t.Helper()
	response, err := http.Post(api+"/v1/projections/registry/"+action, "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", action, response.Status)
	}
}
