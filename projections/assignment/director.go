package assignment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"rollcall/events"
	"rollcall/projections"
	"rollcall/projections/projector"
)

// Views is a live copy of the views: a *projector.Projector that runs, for instance. Its methods do what that one's do.
type Views interface {
	View(fn func(v *projections.Views))
	WaitFor(ctx context.Context, position uint64) error
	Status() projector.Status
}

const (
	// DefaultSettle is how long the workers must have been the same before shards are moved for balance alone.
	DefaultSettle = 2 * time.Second

	// What a director waits before it tries again, doubling from the first to the second.
	retryMin = 50 * time.Millisecond
	retryMax = 5 * time.Second

	// standby is how often a director that has nothing to do looks whether that is still so: a replica that was behind may
	// have become level without an event.
	standby = time.Second
)

// ErrConfig says that a field of a config is missing or out of its bounds.
var ErrConfig = errors.New("assignment config")

// ErrNotDirector says that the member does not direct the group.
var ErrNotDirector = errors.New("it does not direct the group")

// DirectorConfig says what is directed, and by whom. Settle and Logger may be left out, and Selector chooses every node when
// it is.
type DirectorConfig struct {
	Cluster  string
	Group    string   // an id
	Self     string   // the member in whose name is planned
	Shards   []string // ids, at most events.ShardsMax
	Selector string   // tag expression that workers match, see projections.Selector
	Log      events.Log
	Views    Views
	Settle   time.Duration // 0: DefaultSettle
	Logger   *slog.Logger  // nil: nothing is logged
}

func (c *DirectorConfig) validate() error {
	for _, id := range slices.Concat([]string{c.Cluster, c.Group, c.Self}, c.Shards) {
		if !events.ValidID(id) {
			return fmt.Errorf("%w: %.80q, of Cluster, Group, Self and Shards, is not an id: 1 to %d of A-Z a-z 0-9 _ -",
				ErrConfig, id, events.IDMax)
		}
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(c.Shards)))
	switch {
	case len(distinct) != len(c.Shards):
		return fmt.Errorf("%w: of %d Shards only %d are distinct", ErrConfig, len(c.Shards), len(distinct))
	case len(c.Shards) == 0 || len(c.Shards) > events.ShardsMax:
		return fmt.Errorf("%w: %d Shards, want 1 to %d", ErrConfig, len(c.Shards), events.ShardsMax)
	case len(c.Selector) > events.PlanSelectorMax:
		return fmt.Errorf("%w: Selector of %d bytes, at most %d", ErrConfig, len(c.Selector), events.PlanSelectorMax)
	case c.Log == nil || c.Views == nil:
		return fmt.Errorf("%w: Log or Views is missing", ErrConfig)
	case c.Settle < 0:
		return fmt.Errorf("%w: Settle is %v, want at least 0", ErrConfig, c.Settle)
	}
	return nil
}

// Director plans one group whenever it directs it, and otherwise stands by.
type Director struct {
	cfg      DirectorConfig
	selector projections.Selector
	log      *slog.Logger

	// Of Run alone.
	seen    []string  // the workers of the last look
	settled time.Time // since when they are the same
}

// NewDirector checks cfg. It fails with ErrConfig, or projections.ErrSelector.
func NewDirector(cfg DirectorConfig) (*Director, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	sel, err := parseSelector(cfg.Selector)
	if err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	if cfg.Settle == 0 {
		cfg.Settle = DefaultSettle
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Selector, cfg.Shards = sel.String(), slices.Clone(cfg.Shards)
	return &Director{cfg: cfg, selector: sel, log: cfg.Logger.With("group", cfg.Group, "director", cfg.Self)}, nil
}

// Run directs the group, or stands by, until ctx ends, which is no error; the group then stays this member's until it
// resigns, leaves or fails. It fails when going on is of no use: the log does not let this member plan (events.ErrDenied),
// no plan of these shards can be written (events.ErrInvalid), or the replica is stopped (projector.ErrStopped).
func (d *Director) Run(ctx context.Context) error {
	pause := retryMin
	for ctx.Err() == nil {
		next, wait, err := d.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, events.ErrDenied), errors.Is(err, events.ErrInvalid), errors.Is(err, projector.ErrStopped):
			return fmt.Errorf("group %s: %w", d.cfg.Group, err)
		case err != nil:
			d.log.Warn("trying again", "error", err, "in", pause)
			sleep(ctx, pause)
			pause = min(2*pause, retryMax)
			continue
		}
		pause = retryMin
		if err := awaitPosition(ctx, d.cfg.Views, next, wait); err != nil {
			return fmt.Errorf("group %s: %w", d.cfg.Group, err)
		}
	}
	return nil
}

// errUndecided is why a plan that was stored did not come to stand.
var errUndecided = errors.New("the plan does not stand")

// turn looks once and plans if there is something to plan. It returns the position that would change the picture and how
// long to wait for it.
func (d *Director) turn(ctx context.Context) (next uint64, wait time.Duration, err error) {
	o, live := d.look()
	wait = standby
	if status := d.cfg.Views.Status(); !status.Ready || status.Lag.Events > 0 || !live {
		return o.position + 1, wait, nil
	}
	if director := o.group.Director; director != "" && director != d.cfg.Self {
		return o.position + 1, wait, nil
	}
	unsettled := d.unsettled(o)
	if o.group.Position == 0 && unsettled > 0 {
		return o.position + 1, min(wait, unsettled), nil // the first plan waits for those who are about to come
	}
	plan, differs := o.plan(unsettled <= 0)
	if !differs && o.group.Director == d.cfg.Self {
		if unsettled > 0 {
			wait = min(wait, unsettled)
		}
		return o.position + 1, wait, nil
	}
	position, err := d.append(ctx, &plan, o.group.LastPosition)
	if err != nil {
		return 0, 0, err
	}
	if err := d.cfg.Views.WaitFor(ctx, position); err != nil {
		return 0, 0, err
	}
	g, _ := d.group()
	if g.Position < position {
		return 0, 0, fmt.Errorf("%w: of position %d", errUndecided, position) // a worker failed meanwhile, or somebody was first
	}
	return position, 0, nil // look again at once
}

// look takes from the replica what a plan is made of, and whether this member is live.
func (d *Director) look() (o outlook, live bool) {
	o = outlook{selector: d.cfg.Selector, shards: d.cfg.Shards}
	d.cfg.Views.View(func(v *projections.Views) {
		o.position, o.nodes = v.Position(), workers(v, d.selector)
		o.group, _ = v.Assignments.Group(d.cfg.Group)
		if n, ok := v.Registry.Node(d.cfg.Self); ok {
			live = n.State.Live()
		}
	})
	if o.group == nil {
		o.group = &projections.Group{Name: d.cfg.Group}
	}
	return o, live
}

func (d *Director) group() (g *projections.Group, ok bool) {
	g = &projections.Group{Name: d.cfg.Group}
	d.cfg.Views.View(func(v *projections.Views) {
		if known, found := v.Assignments.Group(d.cfg.Group); found {
			g, ok = known, true
		}
	})
	return g, ok
}

// unsettled is how long it takes until the workers have been the same for Settle; not above 0 when they have.
func (d *Director) unsettled(o outlook) time.Duration {
	var alive []string
	for id, state := range o.nodes {
		if state == events.StateAlive {
			alive = append(alive, id)
		}
	}
	slices.Sort(alive)
	if d.settled.IsZero() || !slices.Equal(alive, d.seen) {
		d.seen, d.settled = alive, time.Now()
	}
	return d.cfg.Settle - time.Since(d.settled)
}

// append stores an event of the group behind the one at position expect, and returns where it is. When another came
// first, the replica has read that one before append fails.
func (d *Director) append(ctx context.Context, plan *events.Plan, expect uint64) (uint64, error) {
	ev := events.Event{
		ID: events.NewID(), Kind: events.Planned, Cluster: d.cfg.Cluster, Group: d.cfg.Group, Author: d.cfg.Self,
		Time: time.Now().UTC(), Plan: plan,
	}
	if plan == nil {
		ev.Kind = events.Resigned
	}
	position, err := d.cfg.Log.Append(ctx, ev, expect)
	var duplicate *events.DuplicateError
	switch {
	case err == nil:
		d.log.Info("said", "kind", ev.Kind, "position", position)
		return position, nil
	case errors.As(err, &duplicate):
		return duplicate.Position, nil
	case errors.Is(err, events.ErrDenied), errors.Is(err, events.ErrInvalid):
		return 0, err
	}
	// Another came first, or nobody knows whether this one is there. Either way the log does, and the next look with it.
	last, lookErr := d.cfg.Log.LastOfGroup(ctx, d.cfg.Group)
	switch {
	case errors.Is(lookErr, events.ErrNotFound):
		return 0, err
	case lookErr != nil && last.Position == 0:
		return 0, errors.Join(err, lookErr)
	}
	if waitErr := d.cfg.Views.WaitFor(ctx, last.Position); waitErr != nil {
		return 0, waitErr
	}
	// Behind ours there may be another's by now, of a director that it made way for.
	between := events.From{Position: expect + 1, Through: last.Position}
	for rec, readErr := range d.cfg.Log.Subscribe(ctx, events.Filter{Group: d.cfg.Group}, between) {
		var unreadable *events.DecodeError
		switch {
		case errors.As(readErr, &unreadable):
		case readErr != nil:
			return 0, errors.Join(err, readErr)
		case rec.ID == ev.ID:
			return rec.Position, nil
		}
	}
	return 0, err
}

// Resign gives the group up, so that another may direct it at once; its shards stay where they are. It fails with
// ErrNotDirector when it is another's, or with what the log said. Run, if it still runs, would take the group again.
func (d *Director) Resign(ctx context.Context) error {
	for ctx.Err() == nil {
		g, _ := d.group()
		if g.Director != d.cfg.Self {
			return fmt.Errorf("group %s: %w: %.80q does", d.cfg.Group, ErrNotDirector, g.Director)
		}
		position, err := d.append(ctx, nil, g.LastPosition)
		switch {
		case err == nil:
			return d.cfg.Views.WaitFor(ctx, position)
		case !errors.Is(err, events.ErrConflict):
			return fmt.Errorf("group %s: %w", d.cfg.Group, err)
		}
	}
	return fmt.Errorf("group %s: %w", d.cfg.Group, ctx.Err())
}

// awaitPosition returns when the replica has read position, after wait, or when ctx ends; with an error only if the replica
// is stopped.
func awaitPosition(ctx context.Context, r Views, position uint64, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := r.WaitFor(waiting, position); errors.Is(err, projector.ErrStopped) && ctx.Err() == nil {
		return err
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
