package rollcall_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"rollcall/events/memlog"
	"rollcall/swim"
	"rollcall/swim/agent"
	"rollcall/swim/quicnet"
)

// inBubble runs a test in virtual time and its members on a network in memory: however busy the machine, nobody is ever
// suspected for being slow, and what the members say is known to the event.
func inBubble(t *testing.T, test func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(&house{t: t, log: memlog.New(cluster), ether: newEther()}) })
}

// ether carries what members send in memory, and in no time; it belongs into a synctest bubble.
type ether struct {
	mu      sync.Mutex
	next    byte // of the addresses given out
	ends    map[netip.AddrPort]*antenna
	calls   map[netip.AddrPort]int            // by address: exchanges with whoever answers there
	dark    netip.AddrPort                    // who calls there waits in vain
	front   map[netip.AddrPort]netip.AddrPort // addresses that lead to others
	divided func(one, other swim.ID) bool     // what is between them is lost; nil divides nobody
}

func newEther() *ether {
	return &ether{ends: make(map[netip.AddrPort]*antenna), calls: make(map[netip.AddrPort]int), front: make(map[netip.AddrPort]netip.AddrPort)}
}

// antenna is a member's transport.
type antenna struct {
	ether   *ether
	id      swim.ID
	addr    netip.AddrPort
	handler agent.Handler // set by Serve
}

var errNobody = errors.New("nobody answers")

// address is a new one.
func (e *ether) address() netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, e.next}), 7946)
}

func (e *ether) listen(id swim.ID, addr netip.AddrPort) (agent.Transport, error) {
	return &antenna{ether: e, id: id, addr: addr}, nil
}

// divide loses everything between those of whom divided says so; nil ends that.
func (e *ether) divide(divided func(one, other swim.ID) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.divided = divided
}

// lead makes an address that leads to another, or to a third when it is called again.
func (e *ether) lead(front, to netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.front[front] = to
}

func (e *ether) behind(addr netip.AddrPort) netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	return cmp.Or(e.front[addr], addr)
}

// between finds who serves at addr, if a reaches it.
func (e *ether) between(a *antenna, addr netip.AddrPort) *antenna {
	e.mu.Lock()
	defer e.mu.Unlock()
	other := e.ends[addr]
	if other == nil || other != a && e.divided != nil && e.divided(a.id, other.id) {
		return nil
	}
	return other
}

func (a *antenna) LocalAddr() netip.AddrPort { return a.addr }

func (a *antenna) Serve(h agent.Handler) {
	a.ether.mu.Lock()
	defer a.ether.mu.Unlock()
	a.handler = h
	a.ether.ends[a.addr] = a
}

func (a *antenna) Send(to swim.Peer, datagram []byte) {
	other := a.ether.between(a, to.Addr)
	if other != nil && other.id == to.ID && a.ether.between(a, a.addr) == a {
		other.handler.HandleDatagram(a.id, a.addr, append([]byte(nil), datagram...))
	}
}

func (a *antenna) Exchange(ctx context.Context, to swim.Peer, request []byte) (swim.ID, []byte, error) {
	a.ether.mu.Lock()
	if to.ID == "" {
		a.ether.calls[to.Addr]++
	}
	dark := to.Addr == a.ether.dark
	a.ether.mu.Unlock()
	if dark {
		<-ctx.Done()
	}
	at := a.ether.behind(to.Addr)
	other := a.ether.between(a, at)
	switch {
	case ctx.Err() != nil:
		return "", nil, ctx.Err()
	case at == a.addr:
		return "", nil, fmt.Errorf("%w: %v", quicnet.ErrSelf, to.Addr)
	case other == nil || to.ID != "" && other.id != to.ID:
		return "", nil, errNobody
	case other.id == a.id: // as certificates would show
		return "", nil, fmt.Errorf("%w: %s at %v", quicnet.ErrIDConflict, other.id, to.Addr)
	}
	reply, err := other.handler.HandleExchange(ctx, a.id, a.addr, request)
	return other.id, reply, err
}

func (a *antenna) Close(context.Context) error {
	a.ether.mu.Lock()
	defer a.ether.mu.Unlock()
	if a.ether.ends[a.addr] == a {
		delete(a.ether.ends, a.addr)
	}
	return nil
}

func (e *ether) callsTo(addr netip.AddrPort) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[addr]
}
