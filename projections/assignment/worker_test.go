package assignment_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/projections/assignment"
	"rollcall/projections/projector"
)

// desk records what a worker works on.
type desk struct {
	mu      sync.Mutex
	working map[string]uint64 // by shard, its fence
	begun   int
	overlap bool
	linger  time.Duration // how long the work goes on after it was told to stop
}

func (d *desk) work(ctx context.Context, s assignment.Assigned) {
	d.mu.Lock()
	_, twice := d.working[s.Shard]
	d.overlap = d.overlap || twice
	d.working[s.Shard] = s.Fence
	d.begun++
	d.mu.Unlock()
	<-ctx.Done()
	<-time.After(d.linger)
	d.mu.Lock()
	delete(d.working, s.Shard)
	d.mu.Unlock()
}

// shows is what is worked on: each shard with its fence.
func (d *desk) shows() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	for shard, fence := range d.working {
		list = append(list, fmt.Sprintf("%s@%d", shard, fence))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (w *world) worker(self string, linger time.Duration) *desk {
	w.t.Helper()
	return w.workerWith(self, linger, w.p)
}

func (w *world) workerWith(self string, linger time.Duration, views assignment.Views) *desk {
	w.t.Helper()
	d := &desk{working: make(map[string]uint64), linger: linger}
	worker, err := assignment.NewWorker(assignment.WorkerConfig{Group: "orders", Self: self, Views: views})
	if err != nil {
		w.t.Fatal(err)
	}
	w.running.Go(func() {
		if err := worker.Run(w.ctx, d.work); err != nil {
			w.t.Errorf("worker %s: %v", self, err)
		}
		if left := d.shows(); left != "" {
			w.t.Errorf("worker %s has ended and works on %s", self, left)
		}
	})
	return d
}

func (w *world) wantWork(d *desk, want string) {
	w.t.Helper()
	w.pass(100 * time.Millisecond)
	if got := d.shows(); got != want || d.overlap {
		w.t.Fatalf("works on %q (overlap %v), want %q", got, d.overlap, want)
	}
}

func TestWorkerFollowsItsShards(t *testing.T) {
	bubble(t, func(w *world) {
		desk := w.worker("n2", 0)
		w.wantWork(desk, "")
		w.director("n1", w.p, 4)
		w.want("n1: n2=s0,s3 n3=s1 n4=s2")
		first := w.group().Position
		w.wantWork(desk, fmt.Sprintf("s0@%d s3@%d", first, first))

		w.fail("n4")
		w.want("n1: n2=s0,s3 n3=s1,s2")
		w.wantWork(desk, fmt.Sprintf("s0@%d s3@%d", first, first)) // another's plan is nothing to it
		if desk.begun != 2 {
			t.Errorf("began %d times, want 2", desk.begun)
		}
		w.fail("n3")
		w.want("n1: n2=s0,s1,s2,s3")
		second := w.group().Position
		w.wantWork(desk, fmt.Sprintf("s0@%d s1@%d s2@%d s3@%d", first, second, second, first))
	})
}

// A worker that was taken for failed stops, and goes on with a fence of its own time.
func TestWorkerThatFailedStops(t *testing.T) {
	bubble(t, func(w *world) {
		desk := w.worker("n2", 0)
		_, stop := w.director("n1", w.p, 1)
		w.want("n1: n2=s0")
		first := w.group().Position
		w.wantWork(desk, fmt.Sprintf("s0@%d", first))
		stop()
		w.fail("n2")
		w.wantWork(desk, "")
		w.life["n2"]++
		w.say(events.Refuted, "n2", "n2", nil)
		w.wantWork(desk, "") // alive again, and nothing is its own yet
		for _, id := range []string{"n3", "n4"} {
			w.say(events.Left, id, id, nil)
		}
		w.director("n1", w.p, 1)
		w.want("n1: n2=s0")
		w.wantWork(desk, fmt.Sprintf("s0@%d", w.group().Position))
	})
}

// drowsy are views that whoever waits for them misses the middle of.
type drowsy struct {
	*projector.Projector
	awake chan struct{} // of capacity 1; who takes the token out puts them to sleep
}

func (d *drowsy) WaitFor(ctx context.Context, position uint64) error {
	<-d.awake
	defer func() { d.awake <- struct{}{} }()
	return d.Projector.WaitFor(ctx, position)
}

// A shard that went and came back between two looks is another assignment: the work begins anew, with the new fence.
func TestWorkerSeesThatItsFenceRose(t *testing.T) {
	bubble(t, func(w *world) {
		views := &drowsy{Projector: w.p, awake: make(chan struct{}, 1)}
		views.awake <- struct{}{}
		desk := w.workerWith("n2", 0, views)
		w.director("n1", w.p, 1)
		w.want("n1: n2=s0")
		first := w.group().Position
		w.wantWork(desk, fmt.Sprintf("s0@%d", first))

		for _, id := range []string{"n3", "n4"} { // so that there is nobody else
			w.say(events.Left, id, id, nil)
		}
		w.pass(assignment.DefaultStaleMax)
		<-views.awake
		w.fail("n2")
		w.life["n2"]++
		w.say(events.Refuted, "n2", "n2", nil)
		w.want("n1: n2=s0")
		w.wantWork(desk, fmt.Sprintf("s0@%d", first))
		views.awake <- struct{}{}
		if second := w.group().Position; second <= first {
			t.Fatalf("plan #%d after #%d", second, first)
		}
		w.wantWork(desk, fmt.Sprintf("s0@%d", w.group().Position))
		if desk.begun != 2 {
			t.Errorf("began %d times, want 2", desk.begun)
		}
	})
}

// With a view that may be behind nobody knows whose the shards are: the worker stops, and goes on where it was.
func TestWorkerStopsWhenItsViewIsStale(t *testing.T) {
	bubble(t, func(w *world) {
		desk := w.worker("n2", 0)
		w.director("n1", w.p, 1)
		w.want("n1: n2=s0")
		work := fmt.Sprintf("s0@%d", w.group().Position)
		w.wantWork(desk, work)
		w.log.SetAvailable(false)
		w.pass(assignment.DefaultStaleMax / 2)
		w.wantWork(desk, work)
		w.pass(assignment.DefaultStaleMax)
		w.wantWork(desk, "")
		w.log.SetAvailable(true)
		w.pass(assignment.DefaultStaleMax)
		w.wantWork(desk, work)
	})
}

// A work that lingers does not keep others from being stopped, and never overlaps with the next on its shard.
func TestWorkNeverOverlaps(t *testing.T) {
	bubble(t, func(w *world) {
		desk := w.worker("n2", 5*time.Second)
		w.director("n1", w.p, 3)
		w.want("n1: n2=s0 n3=s1 n4=s2")
		w.fail("n2")
		w.life["n2"]++
		w.say(events.Refuted, "n2", "n2", nil)
		for _, id := range []string{"n3", "n4"} {
			w.say(events.Left, id, id, nil)
		}
		w.want("n1: n2=s0,s1,s2")
		w.pass(10 * time.Second)
		fences := make(map[string]uint64)
		for _, s := range w.group().Shards {
			fences[s.Name] = s.Since
		}
		w.wantWork(desk, fmt.Sprintf("s0@%d s1@%d s2@%d", fences["s0"], fences["s1"], fences["s2"]))
	})
}

// I15: a work that does not return is waited for by one call at most, however often its shard comes back; then that one begins.
func TestI15WorkThatDoesNotReturnPilesNothingUp(t *testing.T) {
	bubble(t, func(w *world) {
		desk := w.worker("n2", time.Hour)
		w.director("n1", w.p, 1)
		w.want("n1: n2=s0")
		work := fmt.Sprintf("s0@%d", w.group().Position)
		for range 20 {
			w.log.SetAvailable(false)
			w.pass(2 * assignment.DefaultStaleMax)
			w.log.SetAvailable(true)
			w.pass(2 * assignment.DefaultStaleMax)
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			if n := bytes.Count(stacks, []byte("(*Worker).start.func")); n != 2 {
				t.Fatalf("%d goroutines for one shard, want one that works and one that waits", n)
			}
		}
		if desk.begun != 1 {
			t.Errorf("begun %d times, and has not returned once", desk.begun)
		}
		w.pass(time.Hour)
		w.wantWork(desk, work)
		if desk.begun != 2 {
			t.Errorf("begun %d times, want 2", desk.begun)
		}
	})
}

// I15: works that do not return keep their places, also where their shards are none any more.
func TestI15NoMoreWorksThanShards(t *testing.T) {
	bubble(t, func(w *world) {
		desk := w.worker("n2", time.Hour)
		for _, id := range []string{"n3", "n4"} {
			w.say(events.Left, id, id, nil)
		}
		_, stop := w.director("n1", w.p, events.ShardsMax)
		begun := func(what string, want int) {
			t.Helper()
			w.pass(assignment.DefaultStaleMax)
			desk.mu.Lock()
			defer desk.mu.Unlock()
			if desk.begun != want || len(desk.working) > events.ShardsMax {
				t.Fatalf("%s: %d begun, %d at once; want %d", what, desk.begun, len(desk.working), want)
			}
		}
		begun("all", events.ShardsMax)
		stop()
		next, err := assignment.NewDirector(assignment.DirectorConfig{
			Cluster: cluster, Group: "orders", Self: "n1", Selector: "role = worker", Log: w.log, Views: w.p,
			Shards: []string{"other", "s0"},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.running.Go(func() { _ = next.Run(w.ctx) })
		w.want("n1: n2=other,s0")
		begun("none returned", events.ShardsMax)
		w.pass(time.Hour)
		begun("all but one returned", events.ShardsMax+1)
	})
}

func TestWorkerEndsWithItsReplica(t *testing.T) {
	bubble(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.ctx)
		p, err := projector.Open(projector.Config{Log: w.log, Cluster: cluster})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = p.Run(ctx) }()
		worker, err := assignment.NewWorker(assignment.WorkerConfig{Group: "orders", Self: "n2", Views: p})
		if err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		cancel()
		if err := worker.Run(w.ctx, nil); !errors.Is(err, projector.ErrStopped) {
			t.Errorf("run: %v, want ErrStopped", err)
		}
	})
}

func TestWorkerConfigIsChecked(t *testing.T) {
	for name, cfg := range map[string]assignment.WorkerConfig{
		"group":   {Self: "n1"},
		"self":    {Group: "g", Self: "a b"},
		"replica": {Group: "g", Self: "n1"},
	} {
		if _, err := assignment.NewWorker(cfg); !errors.Is(err, assignment.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
}
