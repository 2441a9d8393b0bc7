package quicnet

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"rollcall/swim"
)

// dial is one handshake in flight. All who want the same peer wait for the same dial.
type dial struct {
	to      swim.Peer     // an empty id stands for whoever answers
	began   time.Duration // since the epoch
	ctx     context.Context
	cancel  context.CancelCauseFunc
	waiting int32         // exchanges that will run on the link; guarded by the pool's mutex
	done    chan struct{} // closed when link or err is set
	link    *link         // has waiting exchanges booked on it
	err     error
}

// Warm begins to connect to a peer, if it isn't connected, so that a datagram sent soon needs no handshake; see
// [agent.Warmer]. The bounds of Send are its own.
func (t *Transport) Warm(to swim.Peer) {
	to.Addr = unmap(to.Addr)
	if !t.dialable(to) || to.ID == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing.Load() {
		return
	}
	p := t.peerLocked(to.ID)
	t.reachLocked(p, to)
	t.forgetLocked(p)
}

// Send queues one datagram for a peer and returns at once; see [agent.Transport]. Without a connection it waits in the
// queue while one is dialled. It is dropped, and counted by reason, when it is empty or longer than swim.DatagramMax, when
// the peer is no peer, when the last dial to its address failed less than a moment (0.1 to 2 s) ago, and when 8 other peers
// have begun to be dialled within 300 ms, or 32 are being dialled at all; for an address that failed within half a minute, 4 and 24.
func (t *Transport) Send(to swim.Peer, datagram []byte) {
	if len(datagram) == 0 || len(datagram) > swim.DatagramMax {
		t.stats.oversize.Add(1)
		return
	}
	to.Addr = unmap(to.Addr)
	if to.ID == "" || !t.dialable(to) {
		t.stats.noPeer.Add(1)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing.Load() {
		t.stats.lost.Add(1)
		return
	}
	p := t.peerLocked(to.ID)
	if t.reachLocked(p, to); p.link == nil && p.dial == nil {
		t.stats.backoff.Add(1)
		t.forgetLocked(p)
		return
	}
	if p.queue.push(datagram) {
		t.stats.queueFull.Add(1)
	}
}

// dialable reports whether to can be a peer at all.
func (t *Transport) dialable(to swim.Peer) bool {
	return (to.ID == "" || to.ID.Valid()) && to.ID != t.config.ID &&
		to.Addr.IsValid() && to.Addr.Port() != 0 && !to.Addr.Addr().IsUnspecified()
}

// reachLocked sees to it that p has a link or a dial, unless its address must be spared or too many are being dialled. A
// peer that is silent here and said to be elsewhere is looked for there.
func (t *Transport) reachLocked(p *peer, to swim.Peer) {
	if p.dial != nil || p.link != nil && !t.elsewhereLocked(p, to.Addr) {
		return
	}
	if b, failed := t.backoffs[to.Addr]; failed && t.now() < b.until || t.crowdedLocked(failed) {
		return
	}
	t.startDialLocked(p, to)
}

// crowdedLocked reports whether enough is being dialled for datagrams. Hosts that answer nobody, when they are many, shall
// not keep the others out: their dials soon count for nothing, and addresses that failed lately leave room for those
// that did not.
func (t *Transport) crowdedLocked(failed bool) bool {
	young, room := dialsMax, dialsMax+silentMax
	if failed {
		young, room = dialsMax/2, silentMax
	}
	for d := range t.dials {
		if t.now()-d.began < dialFresh {
			young--
		}
	}
	return young <= 0 || len(t.dials) >= room
}

// startDialLocked begins to dial; p is nil when nobody in particular is dialled. Without room it returns nil.
func (t *Transport) startDialLocked(p *peer, to swim.Peer) *dial {
	if !t.makeRoomLocked() {
		return nil
	}
	d := &dial{to: to, began: t.now(), done: make(chan struct{})}
	d.ctx, d.cancel = context.WithCancelCause(t.ctx)
	t.dials[d] = struct{}{}
	if p != nil {
		// Making room may have closed the last link of this very peer and forgotten it.
		t.peers[p.id] = p
		p.dial, p.looked = d, to.Addr
	} else {
		t.unnamed[to.Addr] = d
	}
	t.stats.dials.Add(1)
	t.wg.Go(func() { t.run(d) })
	return d
}

// undialLocked takes d out of the maps; forgetLocked of its peer is left to the caller.
func (t *Transport) undialLocked(d *dial) {
	delete(t.dials, d)
	if d.to.ID == "" {
		delete(t.unnamed, d.to.Addr)
	} else if p := t.peers[d.to.ID]; p != nil && p.dial == d {
		p.dial = nil
	}
}

// run is the goroutine of one dial.
func (t *Transport) run(d *dial) {
	defer close(d.done)
	defer d.cancel(nil)
	ctx, cancel := context.WithTimeout(d.ctx, t.config.handshake())
	defer cancel()
	name := t.names.begin()
	defer t.names.end(name)
	var verdict atomic.Pointer[error]
	conn, err := t.quic.Dial(ctx, net.UDPAddrFromAddrPort(d.to.Addr), t.dialTLS(protocolName, name, d.to, &verdict), t.settings)
	if err != nil {
		var judged error
		if v := verdict.Load(); v != nil {
			judged = *v
		}
		t.failed(d, dialError(err, judged))
		return
	}
	l, err := t.newLink(conn, d.to.Addr, true)
	if err == nil {
		err = t.admit(l, d)
	}
	if err != nil {
		_ = conn.CloseWithError(codeFull, "")
		t.failed(d, err)
	}
}

// failed ends a dial that led nowhere.
func (t *Transport) failed(d *dial, err error) {
	d.err = err
	t.logger.Debug("dial failed", "peer", d.to.ID, "addr", d.to.Addr, "error", err)
	t.stats.dialsFailed.Add(1)
	if isRejection(err) {
		t.stats.refused.Add(1)
	}
	t.mu.Lock()
	t.undialLocked(d)
	first := t.backOffLocked(d.to.Addr)
	if p := t.peers[d.to.ID]; p != nil {
		if p.looked == d.to.Addr {
			p.looked = netip.AddrPort{}
		}
		if p.link == nil && p.dial == nil {
			t.stats.lost.Add(uint64(p.queue.clear()))
		}
		t.forgetLocked(p)
	}
	t.mu.Unlock()
	// Once an episode: the next dials to a dead address tell nothing new.
	if err == ErrUnreachable && first && d.to.ID != "" {
		t.down(d.to.ID, d.to.Addr, swim.DownUnreachable)
	}
}

// backOffLocked spares an address for 100 ms after a first failure and twice as long after each further one, up to 2 s.
// It reports whether it was the first of an episode, which ends when the address is not dialled for 2 s more.
func (t *Transport) backOffLocked(addr netip.AddrPort) (first bool) {
	b, known := t.backoffs[addr]
	if !known && len(t.backoffs) >= backoffsMax {
		clear(t.backoffs) // so many dead addresses: starting over costs a dial each
	}
	if t.now()-b.until > backoffMax {
		b.failures = 0
	}
	b.until = t.now() + min(backoffMin<<min(b.failures, 8), backoffMax)
	b.failures++
	t.backoffs[addr] = b
	return b.failures == 1
}
