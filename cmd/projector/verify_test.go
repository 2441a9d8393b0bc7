package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/cli"
	"rollcall/infra/natsd"
)

// command runs the program in this process.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status = cli.Run(ctx, newRoot(), args, &out, &errs)
	return status, out.String(), errs.String()
}

// storage is an embedded server's log in a projector's directory.
type storage struct {
	dir    string
	server *natsd.Server
	js     jetstream.JetStream
}

// store writes the events of a small life: n1 to n3 join, n3 fails.
func store(t *testing.T) *storage {
	t.Helper()
	s := &storage{dir: t.TempDir()}
	var err error
	if s.server, err = natsd.Start(t.Context(), natsd.Config{Dir: filepath.Join(s.dir, natsDir), Listen: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.server.Shutdown)
	log, err := jslog.Connect(t.Context(), jslog.Config{InProcess: s.server, Cluster: "default", Provision: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	nc, err := nats.Connect(s.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if s.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	last := make(map[string]uint64)
	for _, e := range []struct {
		kind         events.Kind
		node, author string
	}{
		{events.Joined, "n1", "n1"}, {events.Joined, "n2", "n2"}, {events.Joined, "n3", "n3"},
		{events.Suspected, "n3", "n1"}, {events.Accused, "n3", "n2"}, {events.Failed, "n3", "n1"},
	} {
		ev := said(e.kind, e.node, e.author)
		if last[e.node], err = log.Append(t.Context(), ev, last[e.node]); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func said(kind events.Kind, node, author string) events.Event {
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: "default", Node: node, Author: author, Time: time.Now().UTC(), Incarnation: 1,
	}
	if kind == events.Joined {
		ev.Address = "127.0.0.1:7946"
	}
	return ev
}

// change has the stream set otherwise, as whoever may do anything can.
func (s *storage) change(t *testing.T, change func(*jetstream.StreamConfig)) jetstream.Stream {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), "ROLLCALL_default")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	change(&config)
	if stream, err = s.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	return stream
}

// put stores a message as it is, without asking anybody.
func (s *storage) put(t *testing.T, subject string, body []byte) {
	t.Helper()
	if _, err := s.js.Publish(t.Context(), subject, body); err != nil {
		t.Fatal(err)
	}
}

func encoded(t *testing.T, ev events.Event) []byte {
	t.Helper()
	body, err := events.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestVerifyWholeLog(t *testing.T) {
	s := store(t)
	const text = "cluster default, up to position 6: 6 events about 3 nodes (2 live), 0 of groups\n" +
		"5 applied, 1 evidence, 0 late, 0 refused\n0 violations, 0 notes\n"
	if status, out, errs := command(t, "verify", "--nats", s.server.URL()); status != cli.ExitOK || out != text {
		t.Errorf("served: status %d\n%s%s\nwant 0 and\n%s", status, out, errs, text)
	}
	if status, _, errs := command(t, "verify", "--data", s.dir); status != cli.ExitFailed || !strings.Contains(errs, "--nats") {
		t.Errorf("in use: status %d, %s; want 1 and the advice to use --nats", status, errs)
	}
	s.server.Shutdown()
	if status, out, errs := command(t, "verify", "--data", s.dir); status != cli.ExitOK || out != text {
		t.Errorf("at rest: status %d\n%s%s\nwant 0 and\n%s", status, out, errs, text)
	}
	status, out, errs := command(t, "status", "--data", s.dir, "--json")
	var got logStatus
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != cli.ExitOK || got.Last != 6 || !got.Whole {
		t.Errorf("status: %d, %+v, error %v\n%s", status, got, err, errs)
	}
}

// Whoever writes around the rules is found, and the exit status says so.
func TestVerifyFindsWhatDoesNotFollow(t *testing.T) {
	s := store(t)
	s.put(t, "rollcall.default.node.n2.n3.left", encoded(t, said(events.Left, "n2", "n2")))     // 7
	s.put(t, "rollcall.default.node.n2.n1.failed", encoded(t, said(events.Failed, "n2", "n1"))) // 8
	s.put(t, "rollcall.default.node.n9.n1.accused", encoded(t, said(events.Accused, "n9", "n1")))
	status, out, errs := command(t, "verify", "--nats", s.server.URL(), "--json")
	if status != cli.ExitFailed || !strings.Contains(errs, "2 violations") {
		t.Errorf("status %d, %s; want 1 and 2 violations", status, errs)
	}
	var got []string
	for line := range strings.Lines(out) {
		var l struct {
			Severity, Rule string
			Position       uint64
			Summary        struct{ Violations, Notes uint64 }
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if l.Rule == "" {
			if l.Summary.Violations != 2 || l.Summary.Notes != 1 {
				t.Errorf("summary %s", line)
			}
			continue
		}
		got = append(got, l.Severity+" "+l.Rule)
	}
	if want := "violation I3, violation I8, note I5"; strings.Join(got, ", ") != want {
		t.Errorf("found %v, want %s", got, want)
	}
}

// A log that lost its beginning, or goes on in a language of the future, is not called good.
func TestVerifyOfHalfALog(t *testing.T) {
	newer := store(t)
	newer.put(t, "rollcall.default.node.n1.n1.resurrected", []byte("{}"))
	if status, out, errs := command(t, "verify", "--nats", newer.server.URL()); status != cli.ExitStale ||
		!strings.Contains(errs, "up to position 6 of 7") || !strings.Contains(out, "0 violations") {
		t.Errorf("newer: status %d\n%s%s", status, out, errs)
	}
	trimmed := store(t)
	config := trimmed.change(t, func(*jetstream.StreamConfig) {}).CachedInfo().Config
	if err := trimmed.js.DeleteStream(t.Context(), config.Name); err != nil {
		t.Fatal(err)
	}
	config.DenyPurge = false
	made, err := trimmed.js.CreateStream(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		trimmed.put(t, "rollcall.default.node.n1.n1.joined", encoded(t, said(events.Joined, "n1", "n1")))
	}
	if err := made.Purge(t.Context(), jetstream.WithPurgeSequence(3)); err != nil {
		t.Fatal(err)
	}
	trimmed.change(t, func(c *jetstream.StreamConfig) { c.DenyPurge = true })
	for _, name := range []string{"verify", "status"} {
		if status, _, errs := command(t, name, "--nats", trimmed.server.URL()); status != cli.ExitStale || !strings.Contains(errs, "history incomplete") {
			t.Errorf("%s of a trimmed log: status %d, %s; want 4, history incomplete", name, status, errs)
		}
	}
}

func TestProvision(t *testing.T) {
	server, err := natsd.Start(t.Context(), natsd.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	if status, _, errs := command(t, "status", "--nats", server.URL()); status != cli.ExitNotFound {
		t.Errorf("status of a log that is not there: %d, %s; want 3", status, errs)
	}
	for range 2 { // the second finds it
		if status, out, errs := command(t, "provision", "--nats", server.URL()); status != cli.ExitOK || out != "ROLLCALL_default\n" {
			t.Errorf("provision: status %d, %s%s", status, out, errs)
		}
	}
	if status, _, errs := command(t, "status", "--nats", server.URL()); status != cli.ExitOK {
		t.Errorf("status: %d, %s; want 0", status, errs)
	}
}
