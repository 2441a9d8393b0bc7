package rollcall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/events"
	"rollcall/events/outbox"
	"rollcall/events/recorder"
	"rollcall/swim"
	"rollcall/swim/agent"
	"rollcall/swim/quicnet"
)

const (
	// logPatience is how long Join waits for the log to say what it remembers of this member. Later is not too late: a
	// member that learns of an earlier life rises above it.
	logPatience = 3 * time.Second
	// drainPatience is how long Leave waits for the log to take what this member still has to say, and drainBrief how long it
	// goes on with that when the caller's context has ended. The rest stays in the outbox until the next start.
	drainPatience = 5 * time.Second
	drainBrief    = 500 * time.Millisecond
)

// Options of a member. Cluster, ID, Bind, Credentials, Log and Dir are required.
type Options struct {
	Cluster     string              // 1 to 64 of A-Z a-z 0-9 _ -
	ID          string              // the same; unique in the cluster
	Bind        netip.AddrPort      // UDP address of the probe socket; port 0 takes a free one
	Advertise   netip.AddrPort      // where others reach it, when that is not Bind
	Seeds       []string            // HOST:PORT of members to join through, asked until one answers; none but its own: those the log knows
	Tags        map[string]string   // what it can be found by
	Credentials quicnet.Credentials // certificate, key and roots; certs.Identity is one
	Log         events.Log          // not closed by the member
	Dir         string              // of the outbox and of what must survive a restart; one process at a time

	OnMinority MinorityPolicy // MinorityWarn when empty

	Protocol  swim.Config                                            // times and counts of the protocol; zero fields take the defaults
	Transport func(swim.ID, netip.AddrPort) (agent.Transport, error) // in place of QUIC, given id and Bind; nil is QUIC
	// Lookup finds the addresses of a seed that is a name, in every round of asking; it must heed ctx. Nil asks the system, as
	// net.DefaultResolver.LookupNetIP does.
	Lookup  func(ctx context.Context, network, host string) ([]netip.Addr, error)
	OnEvent func(events.Recorded, events.Outcome) // every event of the log, in order; must be quick; may be nil
	Logger  *slog.Logger                          // nil logs nothing
}

// Member is a running member. All methods are safe for concurrent use.
type Member struct {
	opt       Options
	log       *slog.Logger
	state     *stateDir
	box       *outbox.Outbox
	rec       *recorder.Recorder
	agent     *agent.Agent
	transport agent.Transport
	quic      *quicnet.Transport // nil with a transport of the caller's
	ctx       context.Context
	cancel    context.CancelFunc
	work      sync.WaitGroup
	joined    chan struct{} // closed when this member has met another, or had nobody to meet
	threshold threshold
	seeds     *seeds
	ending    chan struct{} // closed when Leave or Close begins, or an end of the member's own
	err       error         // why it ended by itself; set before ending is closed
	feed      *logFeed
	began     time.Time
	stale     chan uint64 // incarnations the log knows already, for the member to rise above

	conflictMu sync.Mutex
	conflictAt time.Time       // of the last conflict recorded
	onRecord   <-chan struct{} // closed when that is on disk; nil before the first
	looking    bool            // for another process with this id
	rival      rival           // the recorder's reader only

	started  chan struct{}                   // closed at the end of the start
	until    atomic.Pointer[context.Context] // of LeaveWhen
	leaving  sync.Once                       // the departure, or the decision that there is none
	leaveErr error
	endOnce  sync.Once
	closing  sync.Once
	closed   chan struct{} // closed at the end of Close
	closeErr error
}

// Join starts a member. It returns when the member answers its peers: its incarnation is above every earlier life that its
// directory or the log remembers, where the log answers within a few seconds. The seeds are asked in the background
// until one answers; see [Member.Joined]. ctx bounds the start only: the member runs until Leave or Close, also one that nobody
// holds any more.
func Join(ctx context.Context, opt Options) (*Member, error) {
	if err := opt.validate(); err != nil {
		return nil, err
	}
	opt.OnMinority, _ = ParseMinorityPolicy(string(opt.OnMinority)) // validated; the empty one is warn
	m := &Member{
		opt: opt, log: opt.Logger, feed: newLogFeed(), stale: make(chan uint64, 1), began: time.Now(),
		joined: make(chan struct{}), ending: make(chan struct{}), started: make(chan struct{}), closed: make(chan struct{}),
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.log = m.log.With("member", opt.ID)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if err := m.start(ctx); err != nil {
		m.cancel()
		m.work.Wait()
		if m.box != nil {
			err = errors.Join(err, m.box.Close())
		}
		return nil, fmt.Errorf("rollcall: member %s: %w", opt.ID, err)
	}
	return m, nil
}

func (o Options) validate() error {
	switch {
	case !events.ValidID(o.Cluster):
		return fmt.Errorf("rollcall: Cluster %q: want 1 to %d of A-Z a-z 0-9 _ -", o.Cluster, events.IDMax)
	case !events.ValidID(o.ID):
		return fmt.Errorf("rollcall: ID %q: want 1 to %d of A-Z a-z 0-9 _ -", o.ID, events.IDMax)
	case !o.Bind.IsValid():
		return fmt.Errorf("rollcall: member %s: Bind is required: the UDP address of the probe socket", o.ID)
	case o.Log == nil:
		return fmt.Errorf("rollcall: member %s: Log is required", o.ID)
	case o.Dir == "":
		return fmt.Errorf("rollcall: member %s: Dir is required: the outbox is kept there", o.ID)
	case o.Credentials == nil && o.Transport == nil:
		return fmt.Errorf("rollcall: member %s: Credentials are required: no member talks to a stranger", o.ID)
	}
	if _, err := ParseMinorityPolicy(string(o.OnMinority)); err != nil {
		return fmt.Errorf("rollcall: member %s: OnMinority: %w", o.ID, err)
	}
	for _, text := range o.Seeds {
		if err := CheckSeed(text); err != nil {
			return fmt.Errorf("rollcall: member %s: Seeds: %w", o.ID, err)
		}
	}
	if err := swim.NewTags(o.Tags).Validate(); err != nil {
		return fmt.Errorf("rollcall: member %s: Tags: %w", o.ID, err)
	}
	return nil
}

func (m *Member) start(ctx context.Context) error {
	var err error
	// The outbox first: its lock keeps a predecessor that is still ending from raising its incarnation meanwhile.
	m.box, err = outbox.Open(outbox.Config{Path: filepath.Join(m.opt.Dir, "outbox.db"), Logger: m.log})
	if err != nil {
		return err
	}
	if m.state, err = openState(m.opt.Dir); err != nil {
		return err
	}
	m.rec, err = recorder.New(recorder.Config{
		Cluster: m.opt.Cluster, Self: swim.ID(m.opt.ID), Log: m.opt.Log, Outbox: m.box, Logger: m.log,
		OnEvent: m.onEvent, OnStale: m.outdated,
	})
	if err != nil {
		return err
	}
	m.work.Go(func() {
		if err := m.rec.Run(m.ctx); err != nil {
			m.log.Error("the log is used no more: detection goes on, the outbox keeps what there is to say; restart the member", "error", err)
		}
	})
	incarnation, err := m.nextIncarnation(ctx)
	if err != nil {
		return err
	}
	if err := m.state.keepIncarnation(incarnation); err != nil {
		return err
	}
	transport, err := m.listen()
	if err != nil {
		return err
	}
	m.seeds = newSeeds(m.opt, []netip.AddrPort{m.advertised(transport), transport.LocalAddr()}, m.log)
	others, more := m.seeds.round(ctx)
	if len(others) == 0 && !more {
		m.enter()
	}
	if err := m.refuseDouble(ctx, transport, others); err != nil {
		return errors.Join(err, transport.Close(ctx))
	}
	m.transport = transport
	cfg := m.opt.Protocol
	cfg.MinorityMute = m.opt.OnMinority == MinorityReadOnly
	cfg.ID, cfg.Addr, cfg.Tags = swim.ID(m.opt.ID), m.advertised(transport), swim.NewTags(m.opt.Tags)
	cfg.Incarnation = incarnation
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	m.agent, err = agent.Start(agent.Config{Node: cfg, Transport: transport, Record: m.record, Double: m.double, Logger: m.log})
	if err != nil {
		return errors.Join(err, transport.Close(ctx))
	}
	m.work.Go(m.enterWhenMet)
	m.work.Go(m.joinSeeds)
	m.work.Go(m.learnFromLog)
	m.work.Go(m.watchPartition)
	m.work.Go(m.riseWhenStale)
	close(m.started)
	return nil
}

func (m *Member) onEvent(rec events.Recorded, out events.Outcome) {
	m.feed.note(rec, out)
	m.watchRival(rec, out)
	if m.opt.OnEvent != nil {
		m.opt.OnEvent(rec, out)
	}
}

// nextIncarnation is one above what the directory and the log remember, 1 for a first life. It fails when there is none
// above, and when ctx ends.
func (m *Member) nextIncarnation(ctx context.Context) (uint64, error) {
	last := m.state.incarnation
	patience, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	if err := m.rec.CaughtUp(patience); err != nil {
		m.log.Warn("the log did not answer in time; starting from what the directory remembers", "incarnation", last)
	}
	if n, ok := m.rec.Node(m.opt.ID); ok {
		last = max(last, n.Incarnation)
	}
	if last >= swim.IncarnationMax-1 {
		return 0, fmt.Errorf("an earlier life is remembered at incarnation %d, and there is none above: give this member another id", last)
	}
	return last + 1, ctx.Err()
}

func (m *Member) listen() (agent.Transport, error) {
	if m.opt.Transport != nil {
		return m.opt.Transport(swim.ID(m.opt.ID), m.opt.Bind)
	}
	quic, err := quicnet.Listen(quicnet.Config{
		Cluster: m.opt.Cluster, ID: swim.ID(m.opt.ID), Bind: m.opt.Bind, Credentials: m.opt.Credentials,
		ResetKey: m.state.resetKey, Logger: m.log,
		OnConflict: func(addr netip.AddrPort) { m.putOnRecord(addr, conflictShown) },
	})
	if err != nil {
		return nil, err
	}
	m.quic = quic
	return quic, nil
}

// advertised is the address others are told: as given, with the real port where none was.
func (m *Member) advertised(t agent.Transport) netip.AddrPort {
	local := t.LocalAddr()
	switch a := m.opt.Advertise; {
	case !a.IsValid():
		return local
	case a.Port() == 0:
		return netip.AddrPortFrom(a.Addr(), local.Port())
	default:
		return a
	}
}

// outdated is the recorder's word that the log knows an earlier life of this member.
func (m *Member) outdated(incarnation uint64) {
	select {
	case m.stale <- incarnation:
	default: // one is waiting; the recorder will say it again if it is not enough
	}
}

func (m *Member) riseWhenStale() {
	for {
		select {
		case incarnation := <-m.stale:
			_ = m.agent.Rise(m.ctx, incarnation) // fails only when the member leaves or is closed
		case <-m.ctx.Done():
			return
		}
	}
}

// ID is the member's own.
func (m *Member) ID() string { return m.opt.ID }

// Addr is where others reach the member.
func (m *Member) Addr() netip.AddrPort { return m.agent.Status().Self.Addr }

// Joined is closed when this member has met another, or once there is nobody to meet: at once when it was given no seeds but its own
// address, and after a few tries, about a second, when all of them lead back to it, as one in front of all members may by chance. It
// asks those again later.
func (m *Member) Joined() <-chan struct{} { return m.joined }

// Err is why the member ends or has ended by itself: ErrIDInUse or ErrMinorityLeft. It is nil while it runs, and when it was
// told to end.
func (m *Member) Err() error {
	select {
	case <-m.ending:
		return m.err
	default:
		return nil
	}
}

// Done is closed when the member has ended, by whatever way.
func (m *Member) Done() <-chan struct{} { return m.closed }

// Registry is this member's own view of the cluster, fed by the protocol and not by the log.
func (m *Member) Registry() *agent.Registry { return m.agent.Registry() }

// Subscribe delivers the changes of this member's view from now on, until the subscription or the member is closed; bound is how
// many may wait for the reader.
func (m *Member) Subscribe(bound int) *agent.Subscription { return m.agent.Subscribe(bound) }

// Status is the state of the member's protocol, transport and recording.
func (m *Member) Status() Status {
	s := Status{Status: m.agent.Status(), Recorder: m.rec.Stats(), Outbox: m.box.Len(), NotAccepting: m.box.Accepting()}
	if t, ok := m.transport.(interface{ Stats() quicnet.Stats }); ok {
		s.Transport = t.Stats()
	}
	return s
}

// Status of a member. Recorder.Ended says why the log is used no more: it was replaced, or lost its beginning. The member goes on
// without it, detects and gossips and keeps what it has to say; only another Join reads the log anew.
type Status struct {
	agent.Status
	Transport    quicnet.Stats
	Recorder     recorder.Stats
	Outbox       int   // events waiting for the log
	NotAccepting error // why the outbox takes no more; nil while it does
}

// ErrUnrecorded is an error of SetTags: this member has its new tags and tells the others, but they are not on its disk yet. What
// cannot be kept is remembered and kept later, as long as the process lives.
var ErrUnrecorded = errors.New("the tags are changed, and not on disk yet")

// SetTags replaces the member's tags, and returns when the change is on disk: the log will hear of it, whatever becomes of this
// process. A member that has not joined yet, or that stays away for a while (Status.ReturnsIn), has nothing on disk: it says its
// tags when it joins or comes back.
//
// It changes nothing and fails with ErrMinority while the member is read-only, and with outbox.ErrFull while the outbox takes
// nothing: the log would not hear of them for now. It fails with ErrUnrecorded when the disk refuses them all the same, or ctx ends
// before it has them.
func (m *Member) SetTags(ctx context.Context, tags map[string]string) error {
	if err := m.ReadOnly(); err != nil {
		return err
	}
	if err := m.box.Accepting(); errors.Is(err, outbox.ErrFull) {
		return fmt.Errorf("rollcall: member %s: tags are not changed: %w", m.opt.ID, err)
	}
	if err := m.agent.SetTags(ctx, swim.NewTags(tags)); err != nil {
		return err
	}
	err := m.agent.Recorded(ctx)
	if err == nil && m.rec.Stats().Owed > 0 {
		err = outbox.ErrFull
	}
	if err != nil {
		return fmt.Errorf("rollcall: member %s: %w: %w", m.opt.ID, ErrUnrecorded, err)
	}
	return nil
}

// Pause makes the member stand still like a stopped process, until the returned function is called. For development and
// tests.
func (m *Member) Pause(ctx context.Context) (resume func(), err error) { return m.agent.Pause(ctx) }

// Leave departs gracefully and closes the member: the departure is acknowledged by others (5 s at most), the connections
// are closed, and the log gets what is still to be said (5 s at most; the rest waits in the outbox for the next start).
// The end of ctx takes nothing of that back: it leaves half a second more for each of the two waits. Of a member that has
// ended it returns agent.ErrClosed.
func (m *Member) Leave(ctx context.Context) error { return m.leave(ctx, nil) }

// leave is Leave, with the reason for which a member leaves that was not told to.
func (m *Member) leave(ctx context.Context, why error) error {
	ended := true
	m.leaving.Do(func() {
		ended = false
		m.end(why)
		err := m.agent.Leave(ctx)
		err = errors.Join(err, m.agent.Close())
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainPatience)
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(drainBrief, cancel) })()
		if err := m.rec.Drained(drain); err != nil {
			m.log.Warn("the log did not take everything in time; the outbox keeps it", "events", m.box.Len(), "reason", err)
		}
		m.leaveErr = err
	})
	if ended {
		return errors.Join(agent.ErrClosed, m.shut())
	}
	return errors.Join(m.leaveErr, m.shut())
}

// LeaveWhen makes the member depart gracefully when ctx ends, as Leave does; stop takes that back, and reports whether it
// came in time. A Close after the end of ctx is that departure too.
func (m *Member) LeaveWhen(ctx context.Context) (stop func() bool) {
	stopAfter := context.AfterFunc(ctx, func() {
		if err := m.Leave(context.WithoutCancel(ctx)); err != nil {
			m.log.Error("leaving", "error", err)
		}
	})
	m.until.Store(&ctx)
	return func() bool {
		m.until.CompareAndSwap(&ctx, nil)
		return stopAfter()
	}
}

// Close ends the member without a departure: others will find that it is gone. What it had to say is kept in the
// outbox. A departure that has begun, or that LeaveWhen's context called for, is finished first. It is idempotent.
func (m *Member) Close() error {
	if ctx := m.until.Load(); ctx != nil && (*ctx).Err() != nil {
		if err := m.Leave(context.WithoutCancel(*ctx)); !errors.Is(err, agent.ErrClosed) {
			return err
		}
	}
	m.leaving.Do(func() {}) // waits for a departure under way, and lets none begin
	return m.shut()
}

// shut ends everything, once.
func (m *Member) shut() error {
	m.end(nil)
	m.closing.Do(func() {
		err := m.agent.Close()
		m.cancel()
		m.work.Wait()
		m.closeErr = errors.Join(err, m.box.Close())
		close(m.closed)
	})
	return m.closeErr
}

// end begins the end, and reports whether nobody else had. A reason is given by what ends the member without being told to.
func (m *Member) end(why error) (first bool) {
	m.endOnce.Do(func() {
		m.err, first = why, true
		close(m.ending)
	})
	return first
}

// Kill ends the member as a crash would: its socket is gone before anybody could be told. For development and tests.
func (m *Member) Kill() error {
	if m.quic != nil {
		m.quic.Kill()
	}
	return m.shut()
}
