package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/devcluster"
	"rollcall/projections"
	"rollcall/projections/assignment"
	"rollcall/projections/projector"
)

const (
	shardGroup = "orders"
	shardCount = 12
)

// workshop is a cluster of two that may direct, n1 and n2, and four that work, n3 to n6.
type workshop struct {
	*devcluster.Cluster
	t     *testing.T
	log   *slog.Logger
	store *store
	stop  map[string]context.CancelFunc // of the director or worker of each member
}

func openWorkshop(t *testing.T) *workshop {
	t.Helper()
	log := slog.New(slog.NewTextHandler(newTranscript(t, "log of the workshop"), nil))
	dev, err := devcluster.Start(bounded(t), devcluster.Config{
		Nodes: 6, Dir: t.TempDir(), Logger: log, Tags: func(i int) map[string]string {
			if i <= 2 {
				return map[string]string{"role": "director"}
			}
			return map[string]string{"role": "worker"}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	w := &workshop{Cluster: dev, t: t, log: log, store: newStore(), stop: make(map[string]context.CancelFunc)}
	for _, id := range []string{"n3", "n4", "n5", "n6"} {
		w.work(id)
	}
	return w
}

// background runs something of a member's until it is stopped, at the latest with the test.
func (w *workshop) background(id string, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			w.t.Errorf("%s: %v", id, err)
		}
	}()
	w.stop[id] = func() { cancel(); <-done }
	w.t.Cleanup(w.stop[id])
}

// direct runs a director over a connection and a replica of its own, as a process would. It returns the connection.
func (w *workshop) direct(id string) events.Log {
	w.t.Helper()
	log, err := jslog.Connect(bounded(w.t), jslog.Config{URL: w.NATS(), Cluster: "default", Name: id, Logger: w.log})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(log.Close)
	replica, err := projector.Open(projector.Config{Log: log, Cluster: "default", Logger: w.log})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := assignment.DirectorConfig{
		Cluster: "default", Group: shardGroup, Self: id, Selector: "role=worker", Log: log, Views: replica, Logger: w.log,
	}
	for i := range shardCount {
		cfg.Shards = append(cfg.Shards, fmt.Sprintf("s%02d", i))
	}
	director, err := assignment.NewDirector(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.background(id, func(ctx context.Context) error {
		var replicating sync.WaitGroup
		defer replicating.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		replicating.Go(func() { _ = replica.Run(ctx) }) // the director says when it can no longer be read
		return director.Run(ctx)
	})
	return log
}

func (w *workshop) work(id string) {
	w.t.Helper()
	worker, err := assignment.NewWorker(assignment.WorkerConfig{
		Group: shardGroup, Self: id, Views: w.Projector(), Logger: w.log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.background(id, func(ctx context.Context) error {
		return worker.Run(ctx, func(ctx context.Context, s assignment.Assigned) { w.store.serve(ctx, id, s) })
	})
}

// crash ends a member and what it runs, without a word.
func (w *workshop) crash(id string) {
	w.t.Helper()
	if err := w.Do(bounded(w.t), id, "crash"); err != nil {
		w.t.Fatal(err)
	}
	w.stop[id]()
}

func (w *workshop) group() *projections.Group {
	g := &projections.Group{}
	w.Projector().View(func(v *projections.Views) {
		if known, ok := v.Assignments.Group(shardGroup); ok {
			g = known
		}
	})
	return g
}

// settled waits until director directs, the workers have all shards among them, none more than bound, and each writes what
// it has. It returns the shards by name.
func (w *workshop) settled(director string, workers []string, bound int) map[string]projections.Shard {
	w.t.Helper()
	shards := make(map[string]projections.Shard)
	eventually(w.t, fmt.Sprintf("%s directs %v", director, workers), func() error {
		g := w.group()
		clear(shards)
		load := make(map[string]int)
		for _, s := range g.Shards {
			shards[s.Name] = s
			load[s.Worker]++
			if wrote := w.store.last(s.Name); wrote != (entry{s.Worker, s.Since}) {
				return fmt.Errorf("%s is with %s since #%d, and written by %+v", s.Name, s.Worker, s.Since, wrote)
			}
		}
		if got := slices.Sorted(maps.Keys(load)); g.Director != director || !slices.Equal(got, workers) {
			return fmt.Errorf("%q directs %v", g.Director, got)
		}
		for worker, n := range load {
			if n > bound {
				return fmt.Errorf("%s has %d shards, want at most %d", worker, n, bound)
			}
		}
		return nil
	})
	return shards
}

// store is what workers write to. It refuses whoever comes with a lower fence than it has seen.
type store struct {
	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	worker string
	fence  uint64
}

func newStore() *store { return &store{entries: make(map[string]entry)} }

func (s *store) write(shard string, e entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.fence < s.entries[shard].fence {
		return false
	}
	s.entries[shard] = e
	return true
}

func (s *store) last(shard string) entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[shard]
}

// serve writes to a shard until ctx ends or it is told that it is no longer its own.
func (s *store) serve(ctx context.Context, worker string, a assignment.Assigned) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.write(a.Shard, entry{worker, a.Fence}) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// A worker crashes: what it had moves, and nothing else. The director crashes: the second one takes over and moves nothing.
// The first is back, and the log refuses what it wanted to say.
func TestDirectorsAndWorkers(t *testing.T) {
	w := openWorkshop(t)
	old := w.direct("n1")
	eventually(t, "n1 directs", func() error {
		if g := w.group(); g.Director != "n1" {
			return fmt.Errorf("%q directs", g.Director)
		}
		return nil
	})
	w.direct("n2")
	before := w.settled("n1", []string{"n3", "n4", "n5", "n6"}, 3)

	w.crash("n6")
	after := w.settled("n1", []string{"n3", "n4", "n5"}, 4)
	for name, s := range after {
		was := before[name]
		switch {
		case was.Worker != "n6" && s != was:
			t.Errorf("%s was not with n6 and is not what it was: %+v, %+v", name, was, s)
		case was.Worker == "n6" && (s.From != "n6" || s.Reason != "failed" || s.Since <= was.Since):
			t.Errorf("%s was with n6: %+v, then %+v", name, was, s)
		case was.Worker == "n6" && w.store.write(name, entry{"n6", was.Since}):
			t.Errorf("%s: the store took a write with the fence that n6 had", name)
		}
	}

	known := w.group()
	w.crash("n1")
	taken := w.settled("n2", []string{"n3", "n4", "n5"}, 4)
	if !maps.Equal(taken, after) {
		t.Errorf("taking over moved shards: %v, then %v", after, taken)
	}

	late := events.Event{
		ID: events.NewID(), Kind: events.Planned, Cluster: "default", Group: shardGroup, Author: "n1", Time: time.Now().UTC(),
		Plan: &events.Plan{Reason: "it slept", Seen: known.LastPosition, Bound: shardCount},
	}
	if _, err := old.Append(bounded(t), late, known.LastPosition); !errors.Is(err, events.ErrConflict) {
		t.Errorf("append of the old director: %v, want ErrConflict", err)
	}
	if err := w.Do(bounded(t), "n1", "restart"); err != nil {
		t.Fatal(err)
	}
	if err := w.Do(bounded(t), "n6", "restart"); err != nil {
		t.Fatal(err)
	}
	w.direct("n1")
	w.work("n6")
	w.settled("n2", []string{"n3", "n4", "n5", "n6"}, 3)
	if g := w.group(); g.Refused != 0 || g.Rejected != 0 {
		t.Errorf("%d events of the group were refused, %d unreadable", g.Refused, g.Rejected)
	}
}
