package projector_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projections"
	"rollcall/projections/projector"
)

// patience bounds every wait: far above what a loaded machine needs.
const patience = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tape is a log that is spoken onto.
type tape struct {
	t *testing.T
	*memlog.Log
	at time.Time
}

func newTape(t *testing.T) *tape {
	return &tape{t: t, Log: memlog.New("test"), at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (l *tape) say(kind events.Kind, node, author string, incarnation uint64) uint64 {
	l.t.Helper()
	l.at = l.at.Add(time.Second)
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: "test", Node: node, Author: author, Incarnation: incarnation, Time: l.at,
	}
	if kind == events.Joined {
		ev.Address, ev.Tags = "127.0.0.1:7001", map[string]string{"role": "worker"}
	}
	newest, _ := l.Last(l.t.Context(), node) // at position 0 where there is none, and with one where it cannot be read
	position, err := l.Append(l.t.Context(), ev, newest.Position)
	if err != nil {
		l.t.Fatal(err)
	}
	return position
}

// evidence appends n events that change no state, and returns the last position.
func (l *tape) evidence(n int) (last uint64) {
	l.t.Helper()
	for range n {
		last = l.say(events.HealthCheckFailed, "n1", "n2", 1)
	}
	return last
}

func (l *tape) joins(ids ...string) (last uint64) {
	l.t.Helper()
	for _, id := range ids {
		last = l.say(events.Joined, id, id, 1)
	}
	return last
}

// running is a projector whose Run goes on until stop, which returns what it returned.
type running struct {
	*projector.Projector
	t    *testing.T
	stop func() error
}

func open(t *testing.T, cfg projector.Config) *projector.Projector {
	t.Helper()
	cfg.Cluster = "test"
	if cfg.HeartbeatEvery == 0 {
		cfg.HeartbeatEvery = 10 * time.Millisecond
	}
	p, err := projector.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func start(t *testing.T, cfg projector.Config) *running {
	t.Helper()
	p := open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() }) // a test that minds the error asks for it itself
	return &running{Projector: p, t: t, stop: stop}
}

// reach waits until position is folded.
func (r *running) reach(position uint64) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := r.WaitFor(ctx, position); err != nil {
		r.t.Fatal(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not %s after %v", what, patience)
		case <-tick.C:
		}
	}
}

// state returns the encoded views.
func state(p *projector.Projector) (out []byte) {
	p.View(func(v *projections.Views) { out = v.Encode() })
	return out
}

// replayed folds the log up to position from its start, without a projector.
func replayed(t *testing.T, log events.Log, position uint64) []byte {
	t.Helper()
	views := projections.New("test")
	for rec, err := range log.Subscribe(t.Context(), events.Filter{}, events.From{}) {
		if err != nil {
			t.Fatal(err)
		}
		views.Apply(rec)
		if rec.Position >= position {
			break
		}
	}
	return views.Encode()
}
