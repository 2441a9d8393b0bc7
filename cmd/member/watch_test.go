package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/infra/cli"
)

// program is a running command whose output is read line by line.
type program struct {
	t     *testing.T
	lines *bufio.Scanner
	stop  func() (status int, stderr string)
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- cli.Run(ctx, newRoot(), args, stdout, &stderr)
		stdout.Close()
	}()
	return &program{t: t, lines: bufio.NewScanner(out), stop: func() (int, string) {
		cancel()
		return <-status, stderr.String()
	}}
}

// wantLine reads the next line, which must begin with these words.
func (p *program) wantLine(words ...string) {
	p.t.Helper()
	if got := strings.Fields(p.next()); strings.Join(got[:min(len(got), len(words))], " ") != strings.Join(words, " ") {
		p.t.Fatalf("line %q, want it to begin with %q", p.lines.Text(), words)
	}
}

// wantPrefix reads the next line, which must begin with this text.
func (p *program) wantPrefix(prefix string) {
	p.t.Helper()
	if got := p.next(); !strings.HasPrefix(got, prefix) {
		p.t.Fatalf("line %q, want it to begin with %q", got, prefix)
	}
}

func (p *program) next() string {
	p.t.Helper()
	if !p.lines.Scan() {
		status, stderr := p.stop()
		p.t.Fatalf("output ended, status %d: %s", status, stderr)
	}
	return p.lines.Text()
}

// say appends an event that follows the story.
func say(t *testing.T, log *memlog.Log, ev events.Event) {
	t.Helper()
	last, err := log.Last(t.Context(), ev.Node)
	if err != nil {
		t.Fatal(err)
	}
	ev.ID, ev.Cluster, ev.Time = events.NewID(), "test", last.Time
	if _, err := log.Append(t.Context(), ev, last.Position); err != nil {
		t.Fatal(err)
	}
}

func TestListWatchPrintsWhatChanges(t *testing.T) {
	log, api := serve(t, story())
	p := start(t, "list", "--watch", "--api", api, "--status", "alive")
	p.wantLine("ID", "STATE")
	p.wantLine("n1", "alive", "1")

	// n2 is not alive and stays out; n3 comes in; n1 was printed and is followed out of the filter.
	say(t, log, events.Event{Kind: events.Accused, Node: "n2", Author: "n1", Incarnation: 1})
	say(t, log, events.Event{Kind: events.Refuted, Node: "n3", Author: "n3", Incarnation: 2, Address: "127.0.0.1:7003"})
	p.wantLine("n3", "alive", "2")
	say(t, log, events.Event{Kind: events.HealthCheckFailed, Node: "n1", Author: "n3", Incarnation: 1}) // changes nothing
	say(t, log, events.Event{Kind: events.Suspected, Node: "n1", Author: "n3", Incarnation: 1})
	p.wantLine("n1", "suspect", "1")
	say(t, log, events.Event{Kind: events.Accused, Node: "n1", Author: "n2", Incarnation: 1}) // in no column of this table
	say(t, log, events.Event{Kind: events.Refuted, Node: "n1", Author: "n1", Incarnation: 2, Address: "127.0.0.1:7001"})
	p.wantLine("n1", "alive", "2")

	if status, stderr := p.stop(); status != cli.ExitOK || stderr != "" {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// Nodes that are named are followed, in whatever state, and no others.
func TestListWatchOfNamedNodes(t *testing.T) {
	log, api := serve(t, story())
	p := start(t, "list", "n3", "n1", "--watch", "--api", api)
	p.wantLine("ID", "STATE")
	p.wantLine("n3", "failed", "1")
	p.wantLine("n1", "alive", "1")
	say(t, log, events.Event{Kind: events.Joined, Node: "n2", Author: "n2", Incarnation: 2, Address: "127.0.0.1:7002"})
	say(t, log, events.Event{Kind: events.Suspected, Node: "n1", Author: "n2", Incarnation: 1})
	p.wantLine("n1", "suspect", "1")
	if status, stderr := p.stop(); status != cli.ExitOK || stderr != "" {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// A node that is parked is named with the reason, and the answer is complete all the same.
func TestStatusNamesParkedNodes(t *testing.T) {
	log, api := serve(t, story())
	position := log.Inject("rollcall.test.node.n1.n1.tagged", []byte("not JSON"))
	var stdout, stderr bytes.Buffer
	if status := cli.Run(t.Context(), newRoot(), []string{
		"list", "--api", api, "--min-position", strconv.FormatUint(position, 10),
	}, &stdout, &stderr); status != cli.ExitOK {
		t.Fatalf("status %d: %s", status, stderr.String())
	}
	stdout.Reset()
	status := cli.Run(t.Context(), newRoot(), []string{"status", "--api", api, "-o", "wide"}, &stdout, &stderr)
	if status != cli.ExitOK || !strings.HasPrefix(stderr.String(), "n1 is parked at position 8: ") {
		t.Errorf("status %d, %s%s", status, stdout.String(), stderr.String())
	}
}

// Who cannot be called is not printed when something about it changes either: a parked node, which is alive.
func TestServicesWatchLeavesParkedNodesOut(t *testing.T) {
	log, api := serve(t, story())
	log.Inject("rollcall.test.node.n3.n3.tagged", []byte("not JSON"))
	p := start(t, "services", "--watch", "--api", api, "--min-position", "8")
	p.wantLine("ID", "STATE")
	p.wantLine("n1")
	newest, err := log.Last(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	rejoined := events.Event{
		ID: events.NewID(), Kind: events.Joined, Cluster: "test", Node: "n3", Author: "n3", Time: newest.Time, Incarnation: 2, Address: "127.0.0.1:7003",
	}
	if _, err := log.Append(t.Context(), rejoined, 8); err != nil {
		t.Fatal(err)
	}
	say(t, log, events.Event{Kind: events.Joined, Node: "n2", Author: "n2", Incarnation: 2, Address: "127.0.0.1:7002"})
	p.wantLine("n2")
	if status, stderr := p.stop(); status != cli.ExitOK || stderr != "" {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

func TestEventsWatchBeginsNow(t *testing.T) {
	log, api := serve(t, story())
	p := start(t, "events", "--watch", "--api", api, "-o", "table")
	p.wantLine("POSITION", "TIME")
	say(t, log, events.Event{Kind: events.HealthCheckFailed, Node: "n1", Author: "n3", Incarnation: 1})
	p.wantLine("8")
	if status, stderr := p.stop(); status != cli.ExitOK || stderr != "" {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}
