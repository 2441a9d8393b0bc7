package rollcall_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall"
	"rollcall/events/memlog"
	"rollcall/swim"
	"rollcall/swim/agent"
)

// ether carries what members send in memory, and in no time; it belongs into a synctest bubble.
type ether struct {
	mu    sync.Mutex
	ends  map[netip.AddrPort]*antenna
	calls map[netip.AddrPort]int // by address: exchanges with whoever answers there
}

// antenna is a member's transport.
type antenna struct {
	ether   *ether
	id      swim.ID
	addr    netip.AddrPort
	handler agent.Handler // set by Serve
}

var errNobody = errors.New("nobody answers")

func (e *ether) listen(id swim.ID, addr netip.AddrPort) (agent.Transport, error) {
	return &antenna{ether: e, id: id, addr: addr}, nil
}

// at finds who serves at addr.
func (e *ether) at(addr netip.AddrPort) *antenna {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ends[addr]
}

func (a *antenna) LocalAddr() netip.AddrPort { return a.addr }

func (a *antenna) Serve(h agent.Handler) {
	a.ether.mu.Lock()
	defer a.ether.mu.Unlock()
	a.handler = h
	a.ether.ends[a.addr] = a
}

func (a *antenna) Send(to swim.Peer, datagram []byte) {
	if other := a.ether.at(to.Addr); other != nil && other.id == to.ID && a.ether.at(a.addr) == a {
		other.handler.HandleDatagram(a.id, a.addr, append([]byte(nil), datagram...))
	}
}

func (a *antenna) Exchange(ctx context.Context, to swim.Peer, request []byte) (swim.ID, []byte, error) {
	if to.ID == "" {
		a.ether.mu.Lock()
		a.ether.calls[to.Addr]++
		a.ether.mu.Unlock()
	}
	other := a.ether.at(to.Addr)
	if other == nil || to.ID != "" && other.id != to.ID {
		return "", nil, errNobody
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

// A seed that a member lost is asked again, every ten seconds, until it is among the live members; while it is, not at all.
// Here the seed comes back with nothing: no seeds of its own, no directory, another log; and the protocol's own attempts
// at failed members are an hour away.
func TestLostSeedIsAskedAgain(t *testing.T) {
	house := newHouse(t) // certificates are made outside the bubble
	seedAt, ownAt := netip.MustParseAddrPort("10.0.0.1:7946"), netip.MustParseAddrPort("10.0.0.2:7946")
	first, opt, again := house.options("n1"), house.options("n2", seedAt), house.options("n1")
	synctest.Test(t, func(t *testing.T) {
		e := &ether{ends: make(map[netip.AddrPort]*antenna), calls: make(map[netip.AddrPort]int)}
		for o, at := range map[*rollcall.Options]netip.AddrPort{&first: seedAt, &opt: ownAt, &again: seedAt} {
			o.Bind, o.Transport = at, e.listen
			o.Protocol.Seed, o.Protocol.RetryInterval = 1, time.Hour
			o.Log = memlog.New(cluster)
		}
		join := func(opt rollcall.Options) *rollcall.Member {
			m, err := rollcall.Join(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		state := func(m *rollcall.Member, id swim.ID) swim.State {
			synctest.Wait()
			got, _ := m.Registry().Get(id)
			return got.State
		}
		seed := join(first)
		m := join(opt)
		<-m.Joined()
		joined := e.callsTo(seedAt)
		time.Sleep(time.Minute) // of the bubble's time, here and below
		if got := e.callsTo(seedAt) - joined; got != 0 {
			t.Errorf("asked %d times in a minute, and the seed was there", got)
		}
		if err := seed.Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := state(m, "n1"); got != swim.Failed {
			t.Errorf("the seed is %v, want failed", got)
		}
		if got := e.callsTo(seedAt) - joined; got < 4 || got > 6 {
			t.Errorf("asked %d times in the minute in which the seed was gone, want every ten seconds", got)
		}
		seed = join(again)
		time.Sleep(11 * time.Second)
		if a, b := state(m, "n1"), state(seed, "n2"); a != swim.Alive || b != swim.Alive {
			t.Errorf("the seed is %v to the member, the member %v to the seed, want both alive", a, b)
		}
		for _, m := range []*rollcall.Member{m, seed} {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
