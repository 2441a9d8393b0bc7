package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/events"
	"rollcall/projections"
)

// What Config leaves open.
const (
	DefaultSnapshotEvery    = 10_000
	DefaultSnapshotInterval = time.Minute
	DefaultHeartbeatEvery   = time.Second
)

// Config says what to fold and where to keep it. Log and Cluster are required.
type Config struct {
	Log              events.Log
	Cluster          string           // an id
	Dir              string           // where snapshots are kept, made when missing; empty: see Store
	Store            Store            // or where else they are kept; nil: nowhere
	SnapshotEvery    int              // events between two snapshots; 0: DefaultSnapshotEvery
	CheckpointEvery  uint64           // positions between two checkpoints, until there are many; 0: DefaultCheckpointEvery
	SnapshotInterval time.Duration    // or this long after the last, when there was an event; 0: DefaultSnapshotInterval
	HeartbeatEvery   time.Duration    // how often the log is asked how far it reaches; 0: DefaultHeartbeatEvery
	Logger           *slog.Logger     // nil: nothing is logged
	Now              func() time.Time // nil: time.Now
}

// Errors of this package.
var (
	ErrConfig  = errors.New("projector config")         // a field is missing or out of its bounds
	ErrStopped = errors.New("the projector is stopped") // no more events will be folded; the views stay as they are
	ErrRunning = errors.New("the projector ran before") // Run is for once
)

func (c *Config) validate() error {
	switch {
	case c.Log == nil:
		return fmt.Errorf("%w: Log is missing", ErrConfig)
	case !events.ValidID(c.Cluster):
		return fmt.Errorf("%w: Cluster %.80q is not an id: 1 to %d of A-Z a-z 0-9 _ -", ErrConfig, c.Cluster, events.IDMax)
	case c.Dir != "" && c.Store != nil:
		return fmt.Errorf("%w: both Dir and Store are given, want one", ErrConfig)
	case c.SnapshotEvery < 0:
		return fmt.Errorf("%w: SnapshotEvery is %d, want at least 0", ErrConfig, c.SnapshotEvery)
	case c.SnapshotInterval < 0:
		return fmt.Errorf("%w: SnapshotInterval is %v, want at least 0", ErrConfig, c.SnapshotInterval)
	case c.HeartbeatEvery < 0:
		return fmt.Errorf("%w: HeartbeatEvery is %v, want at least 0", ErrConfig, c.HeartbeatEvery)
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = DefaultSnapshotEvery
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = DefaultCheckpointEvery
	}
	if c.SnapshotInterval == 0 {
		c.SnapshotInterval = DefaultSnapshotInterval
	}
	if c.HeartbeatEvery == 0 {
		c.HeartbeatEvery = DefaultHeartbeatEvery
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Projector holds the views of one log. All methods are safe for concurrent use.
type Projector struct {
	cfg    Config
	log    *slog.Logger
	opened time.Time
	asOf   chan struct{} // one token a fold of the past, see AsOf
	past   past

	store   Store         // nil: there is none
	keeping chan keep     // to be written down
	edits   chan struct{} // of capacity 1: the views were changed by something else than an event
	untidy  bool          // the store may hold what is not kept any longer; for who writes to it, one at a time
	resting atomic.Int64  // no snapshot before then, nanoseconds since 1970
	readAt  atomic.Int64  // when somebody last looked at the views, the same

	shown atomic.Pointer[shown] // for readers while the fold is behind; nil: they look at views
	told  atomic.Uint64         // the last position that anybody was told the views are at

	rebuilds chan struct{} // of capacity 1: a rebuild is asked for
	summing  sync.Mutex    // guards summed, and is taken before mu
	summed   summed

	waiting waiting // told while mu is held

	mu        sync.RWMutex // guards everything below
	views     *projections.Views
	recent    recent
	following int    // who follow the events as they are folded
	identity  string // of the log, once known
	pulse     pulse
	folded    uint64 // events since Open
	snapshot  Snapshot
	ladder    ladder
	ran       bool
	stopped   error // why Run ended

	resumed    chan struct{}      // closed by Resume; nil unless paused
	interrupt  context.CancelFunc // ends what follows the log now; nil before the first
	rebuilding Rebuilding
	edited     uint64 // how often the views were changed by something else than an event
	saved      uint64 // edited, as of the newest snapshot
}

// Open reads the newest whole snapshot in cfg.Dir, if there is one; what cfg.Store holds, Run reads. It does not reach for the
// log. It fails with ErrConfig, or when cfg.Dir cannot be made or read.
func Open(cfg Config) (*Projector, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	p := &Projector{
		cfg: cfg, log: cfg.Logger, opened: cfg.Now(), views: projections.New(cfg.Cluster),
		store: cfg.Store, keeping: make(chan keep, keepQueue), edits: make(chan struct{}, 1),
		ladder: ladder{step: cfg.CheckpointEvery},
		asOf:   make(chan struct{}, AsOfConcurrent), rebuilds: make(chan struct{}, 1),
	}
	p.recent.reset(0)
	if cfg.Dir == "" {
		return p, nil
	}
	store, err := newDirStore(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("projector: make the snapshot directory: %w", err)
	}
	p.store = store
	if err := p.load(context.Background()); err != nil {
		return nil, fmt.Errorf("projector: %w", err)
	}
	return p, nil
}

// Freeze returns the views as they are now, which stay so: for what would take too long inside View. They are read only.
func (p *Projector) Freeze() *projections.Views {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(p.views.Position())
	return p.views.Freeze()
}

// Position is that of the last event folded.
func (p *Projector) Position() uint64 { return p.tell(p.position()) }

// position is Position for the projector itself, which tells nobody.
func (p *Projector) position() uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.views.Position()
}

// Log is the log that is folded.
func (p *Projector) Log() events.Log { return p.cfg.Log }

// Cluster is the cluster whose log is folded.
func (p *Projector) Cluster() string { return p.cfg.Cluster }
