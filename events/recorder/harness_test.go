package recorder_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/outbox"
	"rollcall/events/recorder"
	"rollcall/swim"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cluster = "test"

// bubble runs f in virtual time: every wait of a recorder passes at once, in order, on any machine.
func bubble(t *testing.T, f func(t *testing.T, log *memlog.Log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, memlog.New(cluster)) })
}

// member is a recorder with its outbox, running.
type member struct {
	*recorder.Recorder
	t      *testing.T
	id     string
	path   string
	limit  int // of the outbox; 0 is the usual one
	box    *outbox.Outbox
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned err
	err    error
	seen   seen
}

// seen is what OnEvent and OnStale told.
type seen struct {
	sync.Mutex
	positions []uint64
	outcomes  map[string]events.Outcome // by event id
	stale     []uint64
}

// start runs a recorder for id on log, with an outbox of its own, until the test ends.
func start(t *testing.T, log events.Log, id string, options ...func(*recorder.Config)) *member {
	t.Helper()
	m := &member{t: t, id: id, path: filepath.Join(t.TempDir(), id+".db")}
	m.run(log, options...)
	t.Cleanup(m.stop)
	return m
}

// run opens the outbox and starts the recorder, as a process that comes up does.
func (m *member) run(log events.Log, options ...func(*recorder.Config)) {
	m.t.Helper()
	box, err := outbox.Open(outbox.Config{Path: m.path, Limit: m.limit})
	if err != nil {
		m.t.Fatal(err)
	}
	m.box = box
	m.seen.outcomes = make(map[string]events.Outcome)
	cfg := recorder.Config{Cluster: cluster, Self: swim.ID(m.id), Log: log, Outbox: box, OnEvent: m.onEvent, OnStale: m.onStale}
	for _, option := range options {
		option(&cfg)
	}
	if m.Recorder, err = recorder.New(cfg); err != nil {
		m.t.Fatal(err)
	}
	m.runAgain()
}

// runAgain starts the recorder, which does not run.
func (m *member) runAgain() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m.cancel, m.done = cancel, done
	go func() {
		defer close(done)
		m.err = m.Run(ctx)
	}()
}

// stop ends the process: the recorder, then the outbox.
func (m *member) stop() {
	if m.cancel == nil {
		return
	}
	m.cancel()
	<-m.done
	m.cancel = nil
	if err := m.box.Close(); err != nil {
		m.t.Error(err)
	}
}

func (m *member) onEvent(rec events.Recorded, out events.Outcome) {
	m.seen.Lock()
	defer m.seen.Unlock()
	m.seen.positions = append(m.seen.positions, rec.Position)
	m.seen.outcomes[rec.ID] = out
}

func (m *member) onStale(incarnation uint64) {
	m.seen.Lock()
	defer m.seen.Unlock()
	m.seen.stale = append(m.seen.stale, incarnation)
}

func (m *member) record(ts ...swim.Transition) {
	m.t.Helper()
	if err := m.Record(ts...); err != nil {
		m.t.Fatal(err)
	}
}

// drained fails the test when the outbox does not drain within a minute of virtual time.
func (m *member) drained() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := m.Drained(ctx); err != nil {
		m.t.Fatalf("%s: %v; %+v", m.id, err, m.Stats())
	}
}

// own is a transition about subject that its observer, or the subject itself, has to say.
func own(kind swim.TransitionKind, subject string, incarnation uint64) swim.Transition {
	t := swim.Transition{
		Kind: kind, Own: true, Subject: swim.ID(subject), Incarnation: incarnation, At: time.Now(),
		Evidence: swim.Evidence{Reason: "probe timeout", Probes: 2},
	}
	switch kind {
	case swim.TransitionSuspected, swim.TransitionFailed:
	default:
		t.Addr = netip.MustParseAddrPort("127.0.0.1:7946")
		t.Evidence = swim.Evidence{Reason: "start"}
	}
	return t
}

func joined(id string) swim.Transition         { return own(swim.TransitionJoined, id, 1) }
func suspected(subject string) swim.Transition { return own(swim.TransitionSuspected, subject, 1) }
func failed(subject string) swim.Transition    { return own(swim.TransitionFailed, subject, 1) }

// inject stores an event that no recorder of the test makes, and returns its position.
func inject(t *testing.T, log events.Log, kind events.Kind, node, author string, incarnation uint64) uint64 {
	t.Helper()
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: cluster, Node: node, Author: author, Time: time.Now(), Incarnation: incarnation,
	}
	if kind == events.Joined {
		ev.Address = "127.0.0.1:7946"
	}
	var expect uint64
	if last, err := log.Last(context.Background(), node); err == nil {
		expect = last.Position
	}
	position, err := log.Append(context.Background(), ev, expect)
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// history reads the whole log.
func history(t *testing.T, log events.Log) []events.Recorded {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	info, err := log.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var all []events.Recorded
	if info.Last == 0 {
		return nil
	}
	for rec, err := range log.Subscribe(ctx, events.Filter{}, events.From{}) {
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, rec); rec.Position == info.Last {
			break
		}
	}
	return all
}

// lawful replays the log into a fresh roll: nothing in it is refused (I5 to I8), no id is there twice (I2), and each
// author's events about a node are in the order in which it made them (I4). It returns the history.
func lawful(t *testing.T, log events.Log) []events.Recorded {
	t.Helper()
	all := history(t, log)
	roll := events.NewRoll(cluster)
	ids := make(map[string]bool)
	order := make(map[string]string)
	for _, rec := range all {
		if out := roll.Apply(rec); out.Result == events.Refused {
			t.Errorf("position %d: %s of %s by %s: refused: %s", rec.Position, rec.Kind, rec.Node, rec.Author, out.Reason)
		}
		if ids[rec.ID] {
			t.Errorf("I2: position %d: id %s again", rec.Position, rec.ID)
		}
		ids[rec.ID] = true
		edge := rec.Author + " of " + rec.Node
		if rec.ID < order[edge] {
			t.Errorf("I4: position %d: %s by %s came before what is stored before it", rec.Position, rec.Kind, edge)
		}
		order[edge] = rec.ID
	}
	return all
}

// kinds counts the events about node by kind.
func kinds(all []events.Recorded, node string) map[events.Kind]int {
	n := make(map[events.Kind]int)
	for _, rec := range all {
		if rec.Node == node {
			n[rec.Kind]++
		}
	}
	return n
}

// story is the events about node in a line.
func story(all []events.Recorded, node string) []string {
	var s []string
	for _, rec := range all {
		if rec.Node == node {
			s = append(s, fmt.Sprintf("%s %s %d", rec.Author, rec.Kind, rec.Incarnation))
		}
	}
	return s
}

// lines is a log handler that counts messages, but for those that only show when they are asked for.
type lines struct {
	slog.Handler
	mu    sync.Mutex
	count map[string]int
}

func newLines() *lines { return &lines{Handler: slog.DiscardHandler, count: make(map[string]int)} }

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *lines) WithGroup(string) slog.Handler                    { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[r.Message]++
	return nil
}

// counts is how often each message was said so far.
func (l *lines) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.count)
}
