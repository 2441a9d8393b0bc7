package quicnet

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/swim"
)

// wire is a network in virtual time, for what takes seconds or must happen at the same instant.
type wire struct {
	mu      sync.Mutex
	latency time.Duration
	ends    map[netip.AddrPort]*end
	aliases map[netip.AddrPort]netip.AddrPort               // addresses that others of the wire stand for
	lost    func(from, to netip.AddrPort, data []byte) bool // nil loses nothing
}

// inBubble runs test in virtual time, on a wire with 10 ms each way.
func inBubble(t *testing.T, test func(t *testing.T, w *wire, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{latency: 10 * time.Millisecond, ends: map[netip.AddrPort]*end{}, aliases: map[netip.AddrPort]netip.AddrPort{}}
		test(t, w, newCluster(t, "test"))
	})
}

// pass lets virtual time go by, and everything happen that is due.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// member plugs one in at 10.0.0.n.
func (w *wire) member(c *cluster, id string, n byte, edit ...func(*Config)) *member {
	c.t.Helper()
	config := c.config(id)
	for _, e := range edit {
		e(&config)
	}
	config.Limits = config.Limits.withDefaults()
	e := w.plug(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 7946))
	transport, err := listenOn(config, e, e.refused, e.screen.stats)
	if err != nil {
		c.t.Fatal(err)
	}
	m := &member{Transport: transport, t: c.t, id: config.ID, identity: config.Credentials}
	transport.Serve(m)
	c.t.Cleanup(func() {
		if err := transport.Close(c.t.Context()); err != nil {
			c.t.Error(err)
		}
		synctest.Wait()
	})
	return m
}

func (w *wire) plug(addr netip.AddrPort) *end {
	e := &end{
		wire: w, addr: addr, in: make(chan packet, 4096), gone: make(chan struct{}), wake: make(chan struct{}),
		refused: make(chan netip.AddrPort, refusedMax), screen: newScreen(&counters{}),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[addr] = e
	return e
}

// alias lets what is sent to one address arrive at another; what comes back is from that one.
func (w *wire) alias(addr, at netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.aliases[addr] = at
}

// lose makes the wire drop what cond says.
func (w *wire) lose(cond func(from, to netip.AddrPort, data []byte) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = cond
}

type packet struct {
	from netip.AddrPort
	data []byte
}

// end is a socket on the wire.
type end struct {
	wire    *wire
	addr    netip.AddrPort
	in      chan packet
	refused chan netip.AddrPort
	screen  *screen

	mu       sync.Mutex
	closed   bool
	gone     chan struct{} // closed with the socket
	wake     chan struct{} // closed and replaced when the deadline changes
	deadline time.Time
}

func (e *end) WriteTo(b []byte, to net.Addr) (int, error) {
	target := addrPort(to)
	data := append([]byte(nil), b...)
	w := e.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost != nil && w.lost(e.addr, target, data) {
		return len(b), nil
	}
	time.AfterFunc(w.latency, func() { w.arrive(e, target, data) })
	return len(b), nil
}

// arrive delivers a packet, or the news that nobody is there.
func (w *wire) arrive(from *end, to netip.AddrPort, data []byte) {
	w.mu.Lock()
	target := w.ends[to]
	if target == nil {
		target = w.ends[w.aliases[to]]
	}
	w.mu.Unlock()
	if target == nil {
		select {
		case from.refused <- to:
		default:
		}
		return
	}
	select {
	case target.in <- packet{from.addr, data}:
	default:
	}
}

func (e *end) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		e.mu.Lock()
		wake, deadline := e.wake, e.deadline
		e.mu.Unlock()
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			return 0, nil, errDeadline{}
		}
		select {
		case p := <-e.in:
			if n := copy(b, p.data); e.screen.passes(b[:n], len(b)) {
				return n, net.UDPAddrFromAddrPort(p.from), nil
			}
		case <-e.gone:
			return 0, nil, net.ErrClosed
		case <-wake:
		}
	}
}

func (e *end) SetReadDeadline(at time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deadline = at
	close(e.wake)
	e.wake = make(chan struct{})
	return nil
}

func (e *end) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	close(e.gone)
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	delete(e.wire.ends, e.addr)
	return nil
}

func (e *end) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(e.addr) }
func (e *end) SetDeadline(at time.Time) error   { return e.SetReadDeadline(at) }
func (e *end) SetWriteDeadline(time.Time) error { return nil }
func (e *end) SetReadBuffer(int) error          { return nil }
func (e *end) SetWriteBuffer(int) error         { return nil }

type errDeadline struct{}

func (errDeadline) Error() string   { return "deadline" }
func (errDeadline) Timeout() bool   { return true }
func (errDeadline) Temporary() bool { return true }

// dialledBy names, for a member with one link to each peer, who dialled the one to that peer.
func (m *member) dialledBy(peer swim.ID) swim.ID {
	m.Transport.mu.Lock()
	defer m.Transport.mu.Unlock()
	p := m.peers[peer]
	switch {
	case p == nil || p.link == nil:
		return ""
	case p.link.dialled:
		return m.id
	default:
		return peer
	}
}

// dialling is whom m is dialling.
func (m *member) dialling() (to []swim.Peer) {
	m.Transport.mu.Lock()
	defer m.Transport.mu.Unlock()
	for d := range m.dials {
		to = append(to, d.to)
	}
	return to
}
