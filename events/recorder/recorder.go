// Package recorder puts on record what a member observes: it turns the transitions of its view into events, keeps them in
// an outbox, and brings each to the log in the shape that the log can still take.
//
//	rec, err := recorder.New(recorder.Config{Cluster: "default", Self: "n1", Log: log, Outbox: box})
//	go rec.Run(ctx)
//	...
//	err = rec.Record(transitions...)   // nil: on disk; it will reach the log
//	err = rec.Drained(ctx)             // it has
//
// # Decide, append, fold
//
// Many members see the same thing, and the log holds each transition once. So nothing is sent as it was drafted. For every
// draft the recorder asks the roll, the fold of the log as far as it has read it, what the log would make of it now, and
// chooses: append it as drafted; append it as `accused`, because another accuser was first or the log is past it; wait,
// because what it builds on is still in somebody's outbox or the quorum is; or drop it, because the log says all of it
// already. The append expects the position of the node's last event that this decision was made on. If another event came
// first, the log answers with a conflict, the recorder reads on and decides again. After an answer that never came it asks
// for the node's last event, reads on to there, and finds its own event in the log or decides again. The expectation makes
// either safe: no event gets in twice, and none on an outdated decision.
//
// Order: one append in flight a node, each node's drafts in the order recorded; up to [InFlightMax] nodes at once. A draft
// that waits holds up its own node alone. `left` is the exception: it waits for the rest, a while, because accusations of
// a member that has left no longer count.
//
// Promise (I1, I2, I4, I11): what Record accepted is in the log once, in its order about each node, or was overtaken by
// what the log says (counted as agreed, superseded or stale), or was put aside with the reason; whatever is killed or away
// in between, for however long. What the outbox refused is remembered in memory, [OwedMax] events of it, and recorded when the
// outbox takes events again. Limits: the order of drafts about different nodes is not kept. The whole log is read from
// its first event at every start, and the roll of it held in memory.
package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/events"
	"rollcall/events/outbox"
	"rollcall/swim"
)

// InFlightMax is how many nodes have an append in flight at once: enough to fill a round trip in a storm, few enough that
// a hundred members do not flood a server.
const InFlightMax = 64

const (
	appendTimeout  = 5 * time.Second        // one call to the log
	conflictDelay  = 20 * time.Millisecond  // mean wait for the event that came first to be read
	recheckDelay   = 300 * time.Millisecond // mean interval at which a waiting draft is decided again, if nothing brings it forward
	precedingLimit = 30 * time.Second       // how long a draft waits for what it builds on: the subject's joined or refuted, our own
	leaveLimit     = 2 * time.Second        // how long left waits for our drafts about others
	backoffMin     = 100 * time.Millisecond // first wait after the log went away
	backoffMax     = 5 * time.Second        // longest such wait
	loadBatch      = 256                    // entries read from the outbox at once
)

// Config of a recorder. Cluster, Self, Log and Outbox are required.
type Config struct {
	Cluster string
	Self    swim.ID
	Log     events.Log
	Outbox  *outbox.Outbox
	Logger  *slog.Logger // nil discards

	// OnEvent is called for every event of the log, in its order, after it was folded; nil for nobody. One goroutine calls
	// it, which folds nothing meanwhile: it must be quick, and must not wait for the recorder.
	OnEvent func(events.Recorded, events.Outcome)

	// OnStale is called when the log already knows Self at this incarnation or above what a draft of ours says: a life
	// before this one got further. The member must rise above it and record that. It may be called more than once, from
	// several goroutines, and with an incarnation that the member has passed by now.
	OnStale func(incarnation uint64)
}

// Recorder brings a member's observations to the log. All methods are safe for concurrent use.
type Recorder struct {
	cfg    Config
	self   string
	logger *slog.Logger
	gate   *gate
	slots  chan struct{} // appends in flight
	wake   chan struct{} // there are new entries in the outbox; capacity 1
	counts counters
	owed   owed

	running atomic.Bool

	mu      sync.Mutex
	fit     context.Context // ends when Run cannot go on, with the reason as its cause
	unfit   context.CancelCauseFunc
	roll    *events.Roll
	fed     uint64              // newest position read, folded or not
	seen    events.Mark         // of fed: the log that was read is known by it; the feed's alone
	moved   chan struct{}       // closed when fed rises; nil when nobody waits
	newer   newerEvents         // what only a newer version can read
	said    map[string]uint64   // node to the newest incarnation that the log has us accuse
	landing map[string]*landing // by id, of every entry in the outbox: what became of it in the log
	lanes   map[string]*lane    // by node, while the outbox has entries about it
	loaded  uint64              // newest sequence of the outbox in a lane
}

// landing is what the feed found of one of our drafts, or of what one builds on.
type landing struct {
	found  bool
	kind   events.Kind // that it was stored as
	result events.Result

	unanswered bool     // it was sent, and no answer came
	count      *counter // of the decision to send it; nil for none
}

// New returns a recorder. It does nothing before Run, except that Record keeps.
func New(cfg Config) (*Recorder, error) {
	switch {
	case !events.ValidID(cfg.Cluster):
		return nil, fmt.Errorf("recorder: cluster %q is not an id", cfg.Cluster)
	case !cfg.Self.Valid():
		return nil, fmt.Errorf("recorder: self %q is not an id", cfg.Self)
	case cfg.Log == nil:
		return nil, errors.New("recorder: no log")
	case cfg.Outbox == nil:
		return nil, errors.New("recorder: no outbox")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{
		cfg: cfg, self: string(cfg.Self), logger: cfg.Logger,
		slots: make(chan struct{}, InFlightMax), wake: make(chan struct{}, 1),
		roll: events.NewRoll(cfg.Cluster), newer: newerEvents{nodes: make(map[string]bool)},
		said: make(map[string]uint64), landing: make(map[string]*landing), lanes: make(map[string]*lane),
	}
	r.fit, r.unfit = context.WithCancelCause(context.Background())
	r.gate = newGate(r.logger)
	return r, nil
}

// Record keeps what is this member's to say among ts and returns when it is on disk: its own accusations, verdicts,
// incarnations and departure. The rest is passed over. It takes a disk's flush, so it has no place in the goroutine that
// runs the protocol. It fails with outbox.ErrFull when nothing of it is on disk: it is remembered then, as long as the process
// lives, and kept when the outbox takes events again (see [OwedMax]). It fails with events.ErrInvalid for each transition that
// no log would take, having kept the others.
func (r *Recorder) Record(ts ...swim.Transition) error {
	drafts := make([]events.Event, 0, len(ts))
	for _, t := range ts {
		if ev, own := draft(r.cfg.Cluster, r.self, t); own {
			drafts = append(drafts, ev)
		}
	}
	return r.keepValid(drafts)
}

// Say is Record for what is no transition of a view: health_check_failed, partitioned, healed, id_conflict. Cluster and
// Author are this member's, and ID is a new one, whatever the events have there.
func (r *Recorder) Say(evs ...events.Event) error {
	drafts := slices.Clone(evs)
	for i := range drafts {
		drafts[i].ID, drafts[i].Cluster, drafts[i].Author = events.NewID(), r.cfg.Cluster, r.self
	}
	return r.keepValid(drafts)
}

// keepValid keeps what of drafts a log would take.
func (r *Recorder) keepValid(drafts []events.Event) error {
	err := r.keep(drafts)
	if errors.Is(err, events.ErrInvalid) && len(drafts) > 1 {
		err = nil
		for i := range drafts {
			err = errors.Join(err, r.keep(drafts[i:i+1]))
		}
	}
	return err
}

// Run reads the log and drains the outbox until ctx ends, then returns nil. It outlives a log that is away. It fails with
// events.ErrReplaced or events.ErrIncomplete when the log is not the one it was or lacks its beginning: the recorder is
// then of no more use, but the outbox is. One Run at a time; another may follow it.
func (r *Recorder) Run(ctx context.Context) error {
	if !r.running.CompareAndSwap(false, true) {
		return errors.New("recorder: it runs already")
	}
	defer r.running.Store(false)
	r.begin()
	// Before the log is read: the feed must know every draft that an earlier process may have appended.
	if err := r.load(); err != nil {
		return r.end(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.feed(ctx); err != nil {
			cancel(err)
		}
	})
	wg.Go(func() { r.gate.run(ctx, r.reach, r.silent) })
	wg.Go(func() { r.payOwed(ctx) })
	wg.Go(func() {
		// What an earlier life left behind builds on what it had said: read that before judging.
		if r.CaughtUp(ctx) != nil {
			return // ctx has ended
		}
		if err := r.relay(ctx); err != nil {
			cancel(err)
		}
	})
	<-ctx.Done()
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return r.end(err)
	}
	return nil
}

// begin makes a recorder fit to run, again or for the first time.
func (r *Recorder) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fit.Err() != nil {
		r.fit, r.unfit = context.WithCancelCause(context.Background())
	}
}

// end says that Run cannot go on because of err, and returns it.
func (r *Recorder) end(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err = fmt.Errorf("recorder: %w", err)
	r.unfit(err)
	return err
}

// fitness is a context that ends, with the reason as its cause, when Run cannot go on.
func (r *Recorder) fitness() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fit
}

// Ended is why Run cannot go on, as it said when it returned; nil while it can, or was told to end.
func (r *Recorder) Ended() error { return context.Cause(r.fitness()) }

// reach asks whether the log answers.
func (r *Recorder) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	_, err := r.cfg.Log.Info(ctx)
	return err
}

// silent reports whether nothing is to be said.
func (r *Recorder) silent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lanes) == 0
}

// Node returns what the log says about id, as far as it was read.
func (r *Recorder) Node(id string) (events.Node, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roll.Node(id)
}

// Nodes returns what the log says about every node, by id, as far as it was read.
func (r *Recorder) Nodes() []events.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(r.roll.Nodes())
}

// Position is that of the newest event read; 0 before the first.
func (r *Recorder) Position() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fed
}

// Drained returns when the log has everything that was recorded and the feed has read it, or with the context's error, or
// with Ended. Entries put aside are not waited for.
func (r *Recorder) Drained(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.fitness(), cancel)()
	for {
		err := r.owed.wait(ctx)
		if err == nil {
			err = r.cfg.Outbox.Wait(ctx)
		}
		owed, _ := r.owed.stats()
		switch {
		case err == nil && owed == 0:
			return nil
		case err != nil:
			return fmt.Errorf("recorder: %d events are not in the log yet: %w", owed+r.cfg.Outbox.Len(), cmp.Or(r.Ended(), err))
		}
	}
}

// CaughtUp returns when everything that was in the log at the time of the call has been read, or with the context's
// error.
func (r *Recorder) CaughtUp(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		info, err := r.cfg.Log.Info(ctx)
		if err == nil {
			return r.awaitPosition(ctx, info.Last)
		}
		if sleepErr := sleep(ctx, backoff(attempt)); sleepErr != nil {
			return fmt.Errorf("recorder: catching up: %w: %w", sleepErr, err)
		}
	}
}

// awaitPosition returns when the feed has read position.
func (r *Recorder) awaitPosition(ctx context.Context, position uint64) error {
	for {
		r.mu.Lock()
		if r.fed >= position {
			r.mu.Unlock()
			return nil
		}
		if r.moved == nil {
			r.moved = make(chan struct{})
		}
		moved := r.moved
		r.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// signal leaves a mark in a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
