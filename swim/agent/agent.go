package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/swim"
)

const (
	inboxMax      = 1024            // inputs waiting for the loop; datagrams beyond are dropped and counted
	recordQueue   = 4096            // own transitions waiting for Record; the loop waits beyond
	exchangesMax  = 4               // state exchanges asked for at a time; further ones are dropped and asked for again later
	exchangeLimit = 5 * time.Second // one state exchange, with its handshake
)

// ErrClosed is returned after Close, and by what Close interrupts.
var ErrClosed = errors.New("agent: closed")

// ErrRefused is returned for tags and incarnations that come too late, because the member is leaving, or too high.
var ErrRefused = errors.New("agent: refused: the member is leaving, or its incarnation is the highest there is")

// ErrStandsStill is returned by Leave when the loop does not carry out the departure, because it is paused or waits for a
// disk. Nobody knows of it then.
var ErrStandsStill = errors.New("agent: the member stands still and could not depart")

// Config of an Agent.
type Config struct {
	Node      swim.Config                    // required
	Transport Transport                      // required; the agent closes it
	Record    func(...swim.Transition) error // takes this member's own transitions, in order; nil drops them
	Double    func(netip.AddrPort)           // told where another process with this id may run; must not block; may be nil
	Logger    *slog.Logger                   // nil logs nothing
}

// Agent is a running member. All methods are safe for concurrent use.
type Agent struct {
	cfg      Config
	log      *slog.Logger
	registry *Registry
	subs     *subscribers
	inbox    chan *input // pointers, here and below: the room is every member's, and hardly used
	records  chan *swim.Transition
	gone     chan struct{} // closed when the departure is known
	met      chan struct{} // closed when another member has answered, or asked
	goneOnce sync.Once

	ctx      context.Context // of everything the agent runs; ends with Close
	cancel   context.CancelCauseFunc
	workers  sync.WaitGroup // exchanges and commands
	loop     chan struct{}  // closed when the loop has ended
	recorded chan struct{}  // closed when the last transition was recorded
	closing  sync.Once
	closeErr error

	paused   chan chan struct{} // Pause hands the loop a channel to wait on
	exchange chan struct{}      // a token for each running exchange
	dropped  atomic.Uint64
	mu       sync.Mutex // guards the rest
	status   Status
	noticed  uint64        // own transitions handed to records
	kept     uint64        // of these, those that Record has answered
	settled  chan struct{} // closed when kept rises; nil when nobody waits
}

// Status is what the loop last knew about itself.
type Status struct {
	Self      swim.Member
	Health    int // local health score, 0 (well) to 8
	Live      int // members alive or suspect, this one included
	Digest    uint64
	Partition swim.Partition
	ReturnsIn time.Duration // see swim.Node.ReturnsIn: how long it stays away for having failed too often; 0 as a rule
	Counters  swim.Counters
	Dropped   uint64 // datagrams that found the inbox full
}

// input is one thing for the loop; done, when not nil, has room for one answer and gets it after its step.
type input struct {
	swim.Input
	done  chan error
	reply chan []byte // of an exchange request
}

// Start makes the member and begins. It fails with what swim.Config.Validate says.
func Start(cfg Config) (*Agent, error) {
	if cfg.Transport == nil {
		return nil, errors.New("agent: Transport is required")
	}
	now := time.Now()
	node, err := swim.New(cfg.Node, now)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	a := &Agent{
		cfg: cfg, log: cfg.Logger, registry: newRegistry(), subs: newSubscribers(),
		inbox: make(chan *input, inboxMax), records: make(chan *swim.Transition, recordQueue),
		gone: make(chan struct{}), met: make(chan struct{}), loop: make(chan struct{}), recorded: make(chan struct{}),
		paused: make(chan chan struct{}), exchange: make(chan struct{}, exchangesMax),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	r := &runner{Agent: a, node: node, replies: make(map[uint64]chan []byte)}
	r.tether, _ = cfg.Transport.(Tetherer)
	r.warmer, _ = cfg.Transport.(Warmer)
	r.step(&input{Input: swim.Tick()}) // the joining is on its way to Record when Start returns
	go a.record()
	go r.run()
	cfg.Transport.Serve(a)
	return a, nil
}

// Registry is the view for readers.
func (a *Agent) Registry() *Registry { return a.registry }

// Met is closed once another member has answered this one, or asked it for its state: it is not alone.
func (a *Agent) Met() <-chan struct{} { return a.met }

// Subscribe delivers the view's changes from now on, until the subscription or the agent is closed; bound is how many may wait
// for the reader.
func (a *Agent) Subscribe(bound int) *Subscription { return a.subs.add(bound) }

// Status returns what the loop last knew about itself.
func (a *Agent) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	s.Dropped = a.dropped.Load()
	return s
}

// SetTags replaces this member's tags, under a higher incarnation, and waits until its own view says so. A member that leaves
// already answers ErrRefused.
func (a *Agent) SetTags(ctx context.Context, tags swim.Tags) error {
	if err := tags.Validate(); err != nil {
		return fmt.Errorf("agent: tags: %w", err)
	}
	return a.do(ctx, swim.SetTags(tags))
}

// Rise puts this member's incarnation above one that the log or a peer remembers. A member that leaves already answers
// ErrRefused.
func (a *Agent) Rise(ctx context.Context, incarnation uint64) error {
	return a.do(ctx, swim.Rise(incarnation))
}

// Learn merges what the log says of a member.
func (a *Agent) Learn(ctx context.Context, claim *swim.LogClaim) error {
	return a.do(ctx, swim.FromLog(claim))
}

// Pause makes the member stand still, as a stopped process would: nothing is read, nothing sent, no timer runs. The
// returned function lets it go on; it must be called, once.
func (a *Agent) Pause(ctx context.Context) (resume func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	until := make(chan struct{})
	select {
	case a.paused <- until:
		return sync.OnceFunc(func() { close(until) }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-a.ctx.Done():
		return nil, ErrClosed
	}
}

// do hands the loop a command and waits until it is carried out. A context that has ended hands over nothing; one that ends
// while the command waits does not take it back.
func (a *Agent) do(ctx context.Context, in swim.Input) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	select {
	case a.inbox <- &input{Input: in, done: done}:
	case <-ctx.Done():
		return ctx.Err()
	case <-a.ctx.Done():
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-a.ctx.Done():
		return ErrClosed
	}
}

// record hands own transitions on, off the loop, because recording waits for a disk.
func (a *Agent) record() {
	defer close(a.recorded)
	for t := range a.records {
		if a.cfg.Record != nil {
			if err := a.cfg.Record(*t); err != nil {
				a.log.Error("could not record", "kind", t.Kind.String(), "subject", t.Subject, "incarnation", t.Incarnation, "error", err)
			}
		}
		a.mu.Lock()
		a.kept++
		if a.settled != nil {
			close(a.settled)
			a.settled = nil
		}
		a.mu.Unlock()
	}
}

// Recorded returns when Record has answered for every own transition that there was at the time of the call, or with ctx's
// error.
func (a *Agent) Recorded(ctx context.Context) error {
	a.mu.Lock()
	noticed := a.noticed
	for a.kept < noticed {
		if a.settled == nil {
			a.settled = make(chan struct{})
		}
		settled := a.settled
		a.mu.Unlock()
		select {
		case <-settled:
		case <-a.recorded: // nothing more will be
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		a.mu.Lock()
	}
	a.mu.Unlock()
	return nil
}

// HandleDatagram implements Handler.
func (a *Agent) HandleDatagram(from swim.ID, addr netip.AddrPort, datagram []byte) {
	select {
	case a.inbox <- &input{Input: swim.Datagram(from, addr, datagram)}:
	default:
		a.dropped.Add(1)
	}
}

// HandleDown implements Handler.
func (a *Agent) HandleDown(from swim.ID, addr netip.AddrPort, how swim.Down) {
	select {
	case a.inbox <- &input{Input: swim.PeerDown(from, addr, how)}:
	default:
		a.dropped.Add(1)
	}
}

// HandleExchange implements Handler.
func (a *Agent) HandleExchange(ctx context.Context, from swim.ID, addr netip.AddrPort, request []byte) ([]byte, error) {
	reply := make(chan []byte, 1)
	select {
	case a.inbox <- &input{Input: swim.ExchangeRequest(from, addr, request, 0), reply: reply}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-a.ctx.Done():
		return nil, ErrClosed
	}
	select {
	case b := <-reply:
		if b == nil {
			return nil, errors.New("agent: the state was refused: it is malformed, or of another version")
		}
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-a.ctx.Done():
		return nil, ErrClosed
	}
}
