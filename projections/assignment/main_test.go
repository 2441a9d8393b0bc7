package assignment_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projections"
	"rollcall/projections/assignment"
	"rollcall/projections/projector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cluster = "test"

// world is a log, its views and what acts on them, in virtual time.
type world struct {
	t    *testing.T
	log  *memlog.Log
	p    *projector.Projector
	ctx  context.Context
	last map[string]uint64 // by node, its newest event
	life map[string]uint64 // by node, its incarnation

	running sync.WaitGroup
}

// bubble runs test in virtual time with members n1 to n4, of which n2 to n4 are workers.
func bubble(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{t: t, log: memlog.New(cluster), ctx: ctx, last: make(map[string]uint64), life: make(map[string]uint64)}
		t.Cleanup(func() { cancel(); w.running.Wait() })
		w.p = w.replica()
		for _, id := range []string{"n1", "n2", "n3", "n4"} {
			w.join(id)
		}
		test(w)
	})
}

// replica starts a projector over the log, which ends with the test.
func (w *world) replica() *projector.Projector {
	w.t.Helper()
	p, err := projector.Open(projector.Config{Log: w.log, Cluster: cluster})
	if err != nil {
		w.t.Fatal(err)
	}
	w.running.Go(func() {
		if err := p.Run(w.ctx); err != nil {
			w.t.Errorf("projector: %v", err)
		}
	})
	return p
}

func (w *world) say(kind events.Kind, node, author string, spoil func(*events.Event)) {
	w.t.Helper()
	ev := events.Event{
		ID: events.NewID(), Kind: kind, Cluster: cluster, Node: node, Author: author, Time: time.Now().UTC(),
		Incarnation: w.life[node],
	}
	if spoil != nil {
		spoil(&ev)
	}
	position, err := w.log.Append(w.ctx, ev, w.last[node])
	if err != nil {
		w.t.Fatalf("%s of %s: %v", kind, node, err)
	}
	w.last[node] = position
}

func (w *world) join(id string) {
	w.t.Helper()
	w.life[id]++
	w.say(events.Joined, id, id, func(ev *events.Event) {
		ev.Address = "127.0.0.1:7001"
		if id != "n1" {
			ev.Tags = map[string]string{"role": "worker"}
		}
	})
}

// fail lets everybody else accuse a node, and the first say the verdict.
func (w *world) fail(id string) {
	w.t.Helper()
	kind, first := events.Suspected, ""
	for _, accuser := range []string{"n1", "n2", "n3", "n4"} {
		if n, _ := w.node(id); accuser == id || slices.Contains(n.Accusers, accuser) {
			continue
		}
		if n, _ := w.node(accuser); !n.State.Live() {
			continue
		}
		if first == "" {
			first = accuser
		}
		w.say(kind, id, accuser, nil)
		kind = events.Accused
	}
	w.say(events.Failed, id, first, nil)
}

func (w *world) node(id string) (n events.Node, ok bool) {
	synctest.Wait()
	w.p.View(func(v *projections.Views) {
		if row, found := v.Registry.Node(id); found {
			n, ok = row.Node, true
		}
	})
	return n, ok
}

// director starts one that stands by or directs; stop ends it as a crash of its loop would.
func (w *world) director(self string, replica assignment.Views, shards int) (d *assignment.Director, stop func()) {
	w.t.Helper()
	cfg := assignment.DirectorConfig{
		Cluster: cluster, Group: "orders", Self: self, Selector: "role = worker", Log: w.log, Views: replica,
	}
	for i := range shards {
		cfg.Shards = append(cfg.Shards, fmt.Sprintf("s%d", i))
	}
	d, err := assignment.NewDirector(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Run(ctx); err != nil && w.ctx.Err() == nil { // at the end the views may stop first
			w.t.Errorf("director %s: %v", self, err)
		}
	}()
	return d, func() { cancel(); <-done }
}

func (w *world) group() *projections.Group {
	g := &projections.Group{}
	synctest.Wait()
	w.p.View(func(v *projections.Views) {
		if known, ok := v.Assignments.Group("orders"); ok {
			g = known
		}
	})
	return g
}

// layout is the group as one line: the director, then each worker with its shards.
func (w *world) layout() string {
	g := w.group()
	by := make(map[string][]string)
	for _, s := range g.Shards {
		by[s.Worker] = append(by[s.Worker], s.Name)
	}
	out := g.Director + ":"
	for _, worker := range slices.Sorted(maps.Keys(by)) {
		out += fmt.Sprintf(" %s=%s", worker, strings.Join(by[worker], ","))
	}
	return out
}

// want waits for a layout.
func (w *world) want(layout string) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		got := w.layout()
		if got == layout {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("layout %q, want %q", got, layout)
		}
		w.pass(10 * time.Millisecond)
	}
}

// pass lets virtual time go by.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
