package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/swim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errUnreachable = errors.New("nothing listens there")
	errBroken      = errors.New("the socket is broken")
)

// network carries what its ends send, in memory, in a millisecond. It belongs into a synctest bubble.
type network struct {
	t     *testing.T
	mu    sync.Mutex
	ends  map[netip.AddrPort]*end
	cut   map[netip.AddrPort]bool // ends that reach nobody, and that nobody reaches
	delay time.Duration
}

// end is one member's Transport.
type end struct {
	net  *network
	id   swim.ID
	addr netip.AddrPort

	calls   sync.RWMutex // held for reading while a handler call runs
	handler Handler
	closed  bool

	closeErr  error // what Close answers
	closeWait bool  // Close takes all the time it is given
	sent      int   // datagrams; guarded by network.mu
}

var _ Transport = (*end)(nil)

func newNetwork(t *testing.T) *network {
	return &network{t: t, ends: make(map[netip.AddrPort]*end), cut: make(map[netip.AddrPort]bool), delay: time.Millisecond}
}

func address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 7946)
}

// attach makes the end of the i-th member.
func (w *network) attach(i int) *end {
	e := &end{net: w, id: swim.ID(fmt.Sprintf("n%d", i)), addr: address(i)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[e.addr] = e
	return e
}

func (w *network) setCut(addr netip.AddrPort, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[addr] = cut
}

// between finds the other end, unless one of the two is cut off.
func (w *network) between(from, to netip.AddrPort) *end {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut[from] || w.cut[to] {
		return nil
	}
	return w.ends[to]
}

func (e *end) LocalAddr() netip.AddrPort { return e.addr }

func (e *end) Serve(h Handler) {
	e.calls.Lock()
	defer e.calls.Unlock()
	e.handler = h
}

// call runs f with the handler, unless the end is closed.
func (e *end) call(f func(Handler)) bool {
	e.calls.RLock()
	defer e.calls.RUnlock()
	if e.closed || e.handler == nil {
		return false
	}
	f(e.handler)
	return true
}

func (e *end) Send(to swim.Peer, datagram []byte) {
	if len(datagram) > swim.DatagramMax {
		e.net.t.Errorf("a datagram of %d bytes", len(datagram))
	}
	e.net.mu.Lock()
	e.sent++
	e.net.mu.Unlock()
	other := e.net.between(e.addr, to.Addr)
	if other == nil || other.id != to.ID {
		return
	}
	kept := append([]byte(nil), datagram...)
	time.AfterFunc(e.net.delay, func() {
		other.call(func(h Handler) { h.HandleDatagram(e.id, e.addr, kept) })
	})
}

func (e *end) sentCount() int {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	return e.sent
}

// Exchange to an address where nobody is waits until ctx ends, as a handshake would; to port 1 it fails at once, and
// port 2 leads back.
func (e *end) Exchange(ctx context.Context, to swim.Peer, request []byte) (from swim.ID, reply []byte, err error) {
	other := e.net.between(e.addr, to.Addr)
	switch to.Addr.Port() {
	case 1:
		return "", nil, errUnreachable
	case 2:
		return "", nil, ErrSelf
	}
	if other == nil {
		<-ctx.Done()
		return "", nil, ctx.Err()
	}
	select {
	case <-time.After(2 * e.net.delay):
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	if !other.call(func(h Handler) { reply, err = h.HandleExchange(ctx, e.id, e.addr, request) }) {
		err = errUnreachable
	}
	return other.id, reply, err
}

func (e *end) Close(ctx context.Context) error {
	if e.closeWait {
		<-ctx.Done()
	}
	e.calls.Lock()
	defer e.calls.Unlock()
	e.closed = true
	return e.closeErr
}

// journal takes an agent's own transitions.
type journal struct {
	mu    sync.Mutex
	lines []string
	fail  error
	hold  chan struct{} // when not nil, Record waits until it is closed
}

func (j *journal) record(ts ...swim.Transition) error {
	if j.hold != nil {
		<-j.hold
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range ts {
		j.lines = append(j.lines, fmt.Sprintf("%v %s %d", t.Kind, t.Subject, t.Incarnation))
	}
	return j.fail
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

// start runs the i-th member on the network.
func (w *network) start(i int, change ...func(*Config)) (*Agent, *end) {
	w.t.Helper()
	e := w.attach(i)
	cfg := Config{Node: swim.Config{ID: e.id, Addr: e.addr, Seed: uint64(i)}, Transport: e}
	for _, f := range change {
		f(&cfg)
	}
	a, err := Start(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return a, e
}

// form starts members 1 to n, joined through the first, and waits until all know all.
func (w *network) form(n int, change ...func(*Config)) (agents []*Agent) {
	w.t.Helper()
	for i := 1; i <= n; i++ {
		a, _ := w.start(i, change...)
		agents = append(agents, a)
		if joined, err := a.Join(w.t.Context(), []netip.AddrPort{address(1)}); err != nil || joined != min(i-1, 1) {
			w.t.Fatalf("member %d joined %d: %v", i, joined, err)
		}
	}
	time.Sleep(3 * time.Second) // sleep: virtual, in a bubble
	for i, a := range agents {
		if got := a.Registry().Count(); got != n {
			w.t.Fatalf("member %d knows %d alive of %d", i+1, got, n)
		}
	}
	return agents
}

func closeAll(t *testing.T, agents ...*Agent) {
	t.Helper()
	for _, a := range agents {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
