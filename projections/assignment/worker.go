package assignment

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

// DefaultStaleMax is how long a worker goes on with a view that may be behind.
const DefaultStaleMax = 10 * time.Second

// Assigned is one shard that a worker has.
type Assigned struct {
	Shard string
	// Fence is the position of the plan that gave the shard to this worker. It rises with every assignment of the shard:
	// what the worker writes to refuses whoever comes with a lower one than it has seen.
	Fence uint64
}

// WorkerConfig says who works, and on what. StaleMax and Logger may be left out.
type WorkerConfig struct {
	Group    string
	Self     string
	Views    Views
	StaleMax time.Duration // 0: DefaultStaleMax
	Logger   *slog.Logger  // nil: nothing is logged
}

// Worker follows the shards that are assigned to one member.
type Worker struct {
	cfg WorkerConfig
	log *slog.Logger
}

// NewWorker checks cfg. It fails with ErrConfig.
func NewWorker(cfg WorkerConfig) (*Worker, error) {
	switch {
	case !events.ValidID(cfg.Group) || !events.ValidID(cfg.Self):
		return nil, fmt.Errorf("%w: Group %.80q or Self %.80q is not an id: 1 to %d of A-Z a-z 0-9 _ -",
			ErrConfig, cfg.Group, cfg.Self, events.IDMax)
	case cfg.Views == nil:
		return nil, fmt.Errorf("%w: Views is missing", ErrConfig)
	case cfg.StaleMax < 0:
		return nil, fmt.Errorf("%w: StaleMax is %v, want at least 0", ErrConfig, cfg.StaleMax)
	}
	if cfg.StaleMax == 0 {
		cfg.StaleMax = DefaultStaleMax
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Worker{cfg: cfg, log: cfg.Logger.With("group", cfg.Group, "worker", cfg.Self)}, nil
}

// job is the work on one assignment.
type job struct {
	fence  uint64
	ending bool // it was told to
	stop   context.CancelFunc
	done   chan struct{} // closed when the work has returned, or will not begin
	turn   chan struct{} // of capacity 1, and of all jobs of one shard: who works has put something in
}

// over reports whether nothing is left of the job, and of those of its shard before it.
func (j *job) over() bool {
	select {
	case <-j.done:
		return len(j.turn) == 0
	default:
		return false
	}
}

// Run calls work once for every assignment of a shard to this member, each in a goroutine of its own, at most
// events.ShardsMax at a time, until ctx ends, which is no error. The context of a call ends when the shard is no longer this
// member's, or when the view has been behind for StaleMax; if it proves to be this member's still, work is called again
// with the same fence. Two calls for one shard never overlap: a work that does not return when its context ends keeps this
// member from working on the shard again, and keeps its place among those ShardsMax. One that returns by itself is not called again
// for that assignment.
//
// It returns when every work has returned. It fails with projector.ErrStopped when the replica is stopped.
func (w *Worker) Run(ctx context.Context, work func(ctx context.Context, s Assigned)) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs := make(map[string]*job)
	for ctx.Err() == nil {
		mine, position := w.look()
		w.stop(jobs, mine)
		for shard, fence := range mine {
			before := jobs[shard]
			if before == nil && len(jobs) < events.ShardsMax || before != nil && before.ending {
				jobs[shard] = w.start(ctx, Assigned{shard, fence}, before, work, &running)
			}
		}
		if err := awaitPosition(ctx, w.cfg.Views, position+1, w.cfg.StaleMax/4); err != nil {
			return fmt.Errorf("group %s: %w", w.cfg.Group, err)
		}
	}
	return nil
}

// look returns the fence of every shard that is this member's, none when the view is too old to tell, and the position.
func (w *Worker) look() (mine map[string]uint64, position uint64) {
	mine = make(map[string]uint64)
	status := w.cfg.Views.Status()
	old := !status.Ready || time.Duration(status.Lag.Seconds*float64(time.Second)) > w.cfg.StaleMax
	w.cfg.Views.View(func(v *projections.Views) {
		position = v.Position()
		g, ok := v.Assignments.Group(w.cfg.Group)
		if !ok || old {
			return
		}
		for _, s := range g.Of(w.cfg.Self) {
			mine[s.Name] = s.Since
		}
	})
	return mine, position
}

// stop ends the work on what is no longer in mine, and forgets what has ended.
func (w *Worker) stop(jobs map[string]*job, mine map[string]uint64) {
	for shard, j := range jobs {
		if fence, ok := mine[shard]; (!ok || fence != j.fence) && !j.ending {
			w.log.Info("shard given up", "shard", shard, "fence", j.fence)
			j.ending = true
			j.stop()
		}
		if j.ending && j.over() {
			delete(jobs, shard)
		}
	}
}

// start begins the work on an assignment as soon as that on the ones before has ended. What waits for that ends with its assignment.
func (w *Worker) start(
	ctx context.Context, s Assigned, before *job, work func(ctx context.Context, s Assigned), running *sync.WaitGroup,
) *job {
	ctx, cancel := context.WithCancel(ctx)
	j := &job{fence: s.Fence, stop: cancel, done: make(chan struct{}), turn: make(chan struct{}, 1)}
	if before != nil {
		j.turn = before.turn
	}
	w.log.Info("shard taken", "shard", s.Shard, "fence", s.Fence)
	running.Go(func() {
		defer close(j.done)
		defer cancel()
		select {
		case j.turn <- struct{}{}:
			defer func() { <-j.turn }()
		case <-ctx.Done():
		}
		if ctx.Err() == nil {
			work(ctx, s)
		}
	})
	return j
}
