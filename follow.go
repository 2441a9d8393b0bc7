package rollcall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rollcall/events"
)

const (
	// heartbeat is how often a replica asks the log how far it reaches.
	heartbeat = time.Second
	// heartbeatPatience bounds such a question.
	heartbeatPatience = 5 * time.Second
	// Reading that ended for a reason that may pass is tried again after resumeMin, doubled each time, at most resumeMax.
	resumeMin = 100 * time.Millisecond
	resumeMax = 5 * time.Second
	// hindranceKept is how long a reason stands that is not found again: by then reading was tried and is under way.
	hindranceKept = 2 * resumeMax
)

// ErrReplicaClosed is what waiting on a closed [Replica] answers.
var ErrReplicaClosed = errors.New("the replica was closed")

// FollowOptions say which log to follow. Cluster and Log are required.
type FollowOptions struct {
	Cluster string       // whose log it is; 1 to 64 of A-Z a-z 0-9 _ -
	Log     events.Log   // not closed by the replica
	Logger  *slog.Logger // nil logs nothing
}

// Replica is a live copy of a cluster's roll in the memory of this process, fed by the log. Reading it costs no network
// hop. It is as new as Position says, and [Replica.Status] how far behind that is.
//
// While the log is away the replica keeps what it knows and says so, and so it does while reading is denied, or the stream set
// as a log must not be: it reads on when that is put right. It ends when going on would be wrong, with the reason in Status: the
// log was replaced, lost its beginning, or holds what only a newer version understands. What it knew can still be read then.
//
// All methods are safe for concurrent use. Tags and Accusers of a node that was handed out are shared: do not write to them.
type Replica struct {
	log    events.Log
	logger *slog.Logger
	stop   context.CancelFunc
	work   sync.WaitGroup
	done   chan struct{} // closed when nothing more will be read

	mu         sync.RWMutex
	roll       *events.Roll
	position   uint64        // of the last event read, also of one that the roll has no use for
	err        error         // why nothing more will be read
	hindrance  error         // why reading ended last; nil once something was read since
	hindered   time.Time     // when it did
	moved      chan struct{} // closed when the position moves; nil while nobody waits
	followers  map[*follower]struct{}
	unreadable uint64
	last       uint64    // what the log held when it was last asked
	mark       uint64    // what the log held at markAt, and the replica may not hold yet
	markAt     time.Time // when that was asked
	asOf       time.Time // when the log held nothing that the replica does not hold
	away       error     // why the log did not answer when it was last asked
}

// Follow returns a replica that holds everything that was in the log when it was called. ctx bounds that: a log that is away
// is waited for, and reading all of it takes some ten seconds a million events. It fails with events.ErrDenied, or what else stands
// against reading, and waits for nobody to put it right. The replica lives until Close.
func Follow(ctx context.Context, opt FollowOptions) (*Replica, error) {
	switch {
	case !events.ValidID(opt.Cluster):
		return nil, fmt.Errorf("rollcall: Cluster %q: want 1 to %d of A-Z a-z 0-9 _ -", opt.Cluster, events.IDMax)
	case opt.Log == nil:
		return nil, errors.New("rollcall: Log is required")
	}
	r := &Replica{
		log: opt.Log, logger: opt.Logger, done: make(chan struct{}), roll: events.NewRoll(opt.Cluster),
		followers: make(map[*follower]struct{}), away: events.ErrUnavailable,
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	inner, stop := context.WithCancel(context.Background())
	r.stop = stop
	reading, hindered := context.WithCancelCause(ctx)
	defer hindered(nil)
	r.work.Go(func() { r.end(r.read(inner, hindered)) })
	asked := make(chan struct{}) // closed when the log has answered for the first time
	r.work.Go(func() { r.ask(inner, asked) })
	if err := r.catchUp(reading, asked); err != nil {
		r.Close()
		if reading.Err() != nil && ctx.Err() == nil {
			err = context.Cause(reading)
		}
		return nil, fmt.Errorf("rollcall: follow cluster %s: %w", opt.Cluster, err)
	}
	return r, nil
}

// catchUp returns when the replica holds what the log held when it was first asked.
func (r *Replica) catchUp(ctx context.Context, asked <-chan struct{}) error {
	select {
	case <-asked:
	case <-r.done:
		return r.Err()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", events.ErrUnavailable, ctx.Err())
	}
	r.mu.RLock()
	last := r.last
	r.mu.RUnlock()
	return r.WaitFor(ctx, last)
}

// read folds the log until ctx ends or going on would be wrong. It tells hindered what else stands against it.
func (r *Replica) read(ctx context.Context, hindered func(error)) error {
	var seen events.Mark // one roll is of one log, however often reading begins anew
	for wait := resumeMin; ; {
		before := r.Position()
		err := r.subscribe(ctx, &seen)
		switch {
		case ctx.Err() != nil:
			return ErrReplicaClosed
		case errors.Is(err, events.ErrReplaced), errors.Is(err, events.ErrIncomplete), errors.Is(err, events.ErrUnknownKind):
			return err
		}
		if r.Position() > before {
			wait = resumeMin
		}
		if wait == resumeMin {
			r.logger.Warn("reading the log was interrupted", "position", r.Position(), "error", err)
		}
		r.mu.Lock()
		r.hindrance, r.hindered = err, time.Now()
		r.mu.Unlock()
		hindered(err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ErrReplicaClosed
		}
		wait = min(2*wait, resumeMax)
	}
}

// subscribe folds what comes after the position that the replica is at until reading ends, and returns why it did. seen is the mark of
// what was read last.
func (r *Replica) subscribe(ctx context.Context, seen *events.Mark) error {
	from := events.From{Position: r.Position() + 1, Seen: *seen}
	for rec, err := range r.log.Subscribe(ctx, events.Filter{}, from) {
		var undecoded *events.DecodeError
		switch {
		case err == nil:
			r.fold(rec)
		case errors.Is(err, events.ErrUnknownKind) || !errors.As(err, &undecoded):
			return err
		default:
			r.logger.Warn("passed over an event that cannot be read", "position", undecoded.Position, "error", err)
			r.pass(undecoded.Position)
		}
		*seen = rec.Mark()
	}
	return fmt.Errorf("%w: the subscription ended", events.ErrUnavailable)
}

func (r *Replica) fold(rec events.Recorded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, _ := r.roll.Node(rec.Node)
	out := r.roll.Apply(rec)
	r.position = rec.Position
	if out.Result == events.Applied {
		after, _ := r.roll.Node(rec.Node)
		for f := range r.followers {
			f.offer(Change{Event: rec, Before: before, After: after})
		}
	}
	r.advanced()
}

// pass moves over a position that says nothing.
func (r *Replica) pass(position uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unreadable++
	r.position = position
	r.advanced()
}

// advanced says that reading goes on, and wakes whoever waits for a position. r.mu is held.
func (r *Replica) advanced() {
	r.reached()
	r.hindrance = nil
	if r.moved != nil {
		close(r.moved)
		r.moved = nil
	}
}

// reached notes that the replica holds what the log held at markAt, if it does. What the log holds by now is not known to it:
// an event may be read seconds after it was stored. r.mu is held.
func (r *Replica) reached() bool {
	if r.position < r.mark {
		return false
	}
	r.asOf = r.markAt
	return true
}

// end keeps why nothing more will be read, and tells everybody.
func (r *Replica) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	for f := range r.followers {
		delete(r.followers, f)
		close(f.queue)
	}
	close(r.done)
	if !errors.Is(err, ErrReplicaClosed) {
		r.logger.Error("the replica follows the log no more", "position", r.position, "error", err)
	}
}

// ask compares the replica with the log until ctx ends, and closes asked when the log has answered for the first time.
func (r *Replica) ask(ctx context.Context, asked chan<- struct{}) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for first := true; ; {
		if r.beat(ctx) && first {
			first = false
			close(asked)
		}
		select {
		case <-tick.C:
		case <-r.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (r *Replica) beat(ctx context.Context) (answered bool) {
	ctx, cancel := context.WithTimeout(ctx, heartbeatPatience)
	defer cancel()
	at := time.Now()
	info, err := r.log.Info(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = err
	if err != nil {
		return false
	}
	r.last = info.Last
	if r.reached() { // else the older mark stays: a replica that never has everything still gets there
		r.mark, r.markAt = info.Last, at
		r.reached()
	}
	return true
}

// Close ends the replica. What it held can still be read. It is idempotent.
func (r *Replica) Close() {
	r.stop()
	r.work.Wait()
}

// Err is why the replica reads no more: [ErrReplicaClosed], or what is wrong with the log; nil while it reads.
func (r *Replica) Err() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.err
}

// Done is closed when the replica reads no more.
func (r *Replica) Done() <-chan struct{} { return r.done }
