package nats_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/loopback"
	"rollcall/infra/nats"
)

// TestMain lets a test run a NATS server as a process of its own, to be killed: this test binary, which then is the server.
func TestMain(m *testing.M) {
	if conf := os.Getenv(serverConf); conf != "" {
		os.Exit(serve(conf))
	}
	goleak.VerifyTestMain(m)
}

const (
	cluster = "c1"
	// patience bounds every wait: far above what a loaded machine needs.
	patience = time.Minute
)

// servers is a running cluster of NATS servers, made from generated files and nothing else.
type servers struct {
	cfg  nats.Config
	said *record
	all  []*server.Server
}

// start generates a configuration for n servers on loopback and runs it until the test ends.
func start(t *testing.T, n int, members ...string) *servers {
	t.Helper()
	dir := t.TempDir()
	s := &servers{said: &record{}, cfg: nats.Config{
		Cluster: cluster, Members: members, Directors: members[:1], Readers: []string{"projector", "service"}, Projectors: []string{"projector"},
		Dir: dir, Store: t.TempDir(), Servers: freePorts(t, n),
	}}
	if _, err := nats.Generate(s.cfg, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		opts, err := server.ProcessConfigFile(filepath.Join(dir, nats.ServerFile(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		if !opts.SyncAlways {
			t.Error("the servers do not flush before they acknowledge")
		}
		opts.NoSigs = true
		ns, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		ns.SetLogger(s.said, false, false)
		go ns.Start()
		t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
		s.all = append(s.all, ns)
	}
	eventually(t, "the servers elect a leader", func() bool {
		for _, ns := range s.all {
			if n == 1 && ns.ReadyForConnections(time.Second) || ns.JetStreamIsLeader() && len(ns.JetStreamClusterPeers()) == n {
				return true
			}
		}
		return false
	})
	return s
}

func freePorts(t *testing.T, n int) []nats.Server {
	t.Helper()
	ports := loopback.Ports(t, 2*n)
	list := make([]nats.Server, n)
	for i := range list {
		list[i] = nats.Server{Host: "127.0.0.1", Port: ports[2*i], RoutePort: ports[2*i+1]}
	}
	return list
}

// file is one of the generated files.
func (s *servers) file(name string) string { return filepath.Join(s.cfg.Dir, name) }

// log opens the log as the user whose seed is in key.
func (s *servers) log(t *testing.T, key string, change func(*jslog.Config)) (*jslog.Log, error) {
	t.Helper()
	cfg := jslog.Config{
		URL: s.cfg.URL(), Cluster: cluster, Name: key, NKeyFile: s.file(key), CAFile: s.file(nats.CAFile),
		Replicas: min(3, len(s.all)),
	}
	if change != nil {
		change(&cfg)
	}
	log, err := jslog.Connect(bounded(t), cfg)
	if err == nil {
		t.Cleanup(log.Close)
	}
	return log, err
}

func (s *servers) member(t *testing.T, id string) *jslog.Log {
	t.Helper()
	log, err := s.log(t, nats.MemberKey(id), nil)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// provision makes the stream as the provisioner.
func (s *servers) provision(t *testing.T) {
	t.Helper()
	log, err := s.log(t, nats.ProvisionerKey, func(cfg *jslog.Config) { cfg.Provision = true })
	if err != nil {
		t.Fatal(err)
	}
	log.Close()
}

// plain connects as the user of a seed, with a client that knows nothing of ours, and passes on what the server denies.
func (s *servers) plain(t *testing.T, key string) (*natsgo.Conn, <-chan error) {
	t.Helper()
	denied := make(chan error, 100)
	user, err := natsgo.NkeyOptionFromSeed(s.file(key))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := natsgo.Connect(s.cfg.URL(), user, natsgo.RootCAs(s.file(nats.CAFile)),
		natsgo.CustomInboxPrefix(jslog.Inbox(s.publicKey(t, key))),
		natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) { denied <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, denied
}

func (s *servers) publicKey(t *testing.T, key string) string {
	t.Helper()
	pair, err := nkeys.ParseDecoratedNKey([]byte(read(t, s.file(key))))
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// record is a log of what servers say.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) line(format string, args ...any) { fmt.Fprintf(r, format+"\n", args...) }

func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(line)
}

// has reports whether a line holds all of parts.
func (r *record) has(parts ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.text.String()) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

func (r *record) Noticef(format string, v ...any) {}
func (r *record) Warnf(format string, v ...any)   { r.line(format, v...) }
func (r *record) Fatalf(format string, v ...any)  { r.line(format, v...) }
func (r *record) Errorf(format string, v ...any)  { r.line(format, v...) }
func (r *record) Debugf(format string, v ...any)  {}
func (r *record) Tracef(format string, v ...any)  {}

// bounded is the context of one call.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, hold func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !hold(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// event is a valid event of kind by author about node.
func event(kind events.Kind, node, author string) events.Event {
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: cluster, Node: node, Author: author, Time: time.Now().UTC(), Incarnation: 1,
	}
	if kind == events.Joined {
		ev.Address = "127.0.0.1:7946"
	}
	return ev
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
