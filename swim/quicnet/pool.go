package quicnet

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/quic-go/quic-go"

	"rollcall/swim"
)

// The pool is the four maps of a Transport under its mutex. The rules:
//
//   - A peer has at most one link that is sent on, one superseded link that drains, and one dial in flight.
//   - len(links) + len(dials) never exceeds Limits.Connections. Whoever would exceed it closes the link used longest ago,
//     at once and without waiting; there are no tokens that a timeout could lose. A link with a state exchange on it is
//     spared: exchanges end by themselves within Limits.Exchange, dials within handshakeMax.
//   - Leaving the maps comes first, closing the connection after, outside the mutex: what is closed is not found any more.

// peer is what the pool knows about one id.
type peer struct {
	id       swim.ID
	link     *link // to send on
	draining *link // superseded, still delivers
	dial     *dial
	queue    *queue

	// A member may send from another address than it advertises. Then neither end's link bears the address that callers name,
	// and looking for the peer there helps once.
	looked netip.AddrPort // where it was dialled last, unless in vain
	seen   netip.AddrPort // where it dialled from last: from elsewhere, it has moved, and is looked for again
}

// elsewhereLocked reports whether p is to be looked for at addr, though it has a link: it is silent there, and was not
// found at addr before.
func (t *Transport) elsewhereLocked(p *peer, addr netip.AddrPort) bool {
	return p.link.addr != addr && p.looked != addr && t.now()-p.link.lastHeard() > staleAfter
}

// backoff spares an address whose dials fail.
type backoff struct {
	failures int
	until    time.Duration // since the epoch
}

// peerLocked finds or makes the entry of an id.
func (t *Transport) peerLocked(id swim.ID) *peer {
	p := t.peers[id]
	if p == nil {
		p = &peer{id: id, queue: newQueue()}
		t.peers[id] = p
	}
	return p
}

// forgetLocked drops the entry when nothing is left in it.
func (t *Transport) forgetLocked(p *peer) {
	if p.link == nil && p.draining == nil && p.dial == nil {
		t.stats.lost.Add(uint64(p.queue.clear()))
		delete(t.peers, p.id)
	}
}

// admit takes a new link into the pool. d is the dial that made it, nil when it was accepted; it gets the link to use for
// the peer from now on, which may be another. On error the caller closes l.
func (t *Transport) admit(l *link, d *dial) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing.Load() {
		return ErrClosed
	}
	if d != nil {
		t.undialLocked(d) // its place is the link's now
	}
	if !t.makeRoomLocked() {
		return ErrFull
	}
	delete(t.backoffs, l.addr)
	p := t.peerLocked(l.id)
	t.links[l] = struct{}{}
	if !l.dialled && l.addr != p.seen {
		p.seen, p.looked = l.addr, netip.AddrPort{}
	}
	if old := p.link; old == nil || t.takesOver(l, old) {
		p.link = l
		if old != nil {
			t.demoteLocked(p, old)
		}
		t.wg.Go(func() { l.send(p.queue) })
	} else {
		t.demoteLocked(p, l)
	}
	t.wg.Go(l.receive)
	t.wg.Go(l.answer)
	if d != nil {
		d.link = p.link
		d.link.exchanges.Add(d.waiting)
	}
	return nil
}

// takesOver decides which of two links to one peer is sent on. Of two that were dialled at once from both ends, both ends
// keep the one that the lower id dialled. Otherwise whoever dialled the newer one did it for a reason: it has lost the
// other, or was restarted.
func (t *Transport) takesOver(l, old *link) bool {
	if l.dialled == old.dialled || old.doubt.Load() != 0 || !old.open() || l.opened-old.opened > handshakeMax {
		return true
	}
	return l.dialled == (t.config.ID < l.id)
}

// demoteLocked lets l drain, and closes the one that drained before.
func (t *Transport) demoteLocked(p *peer, l *link) {
	if before := p.draining; before != nil {
		t.closeLocked(before, codeSuperseded)
	}
	p.draining = l
	l.demoted = t.now()
	close(l.stop)
}

// makeRoomLocked makes room for one more connection, and reports whether there is any.
func (t *Transport) makeRoomLocked() bool {
	if len(t.links)+len(t.dials) < t.config.Limits.Connections {
		return true
	}
	var victim *link
	for l := range t.links {
		if l.exchanges.Load() == 0 && (victim == nil || l.worthLess(victim)) {
			victim = l
		}
	}
	if victim == nil {
		return false
	}
	t.stats.evictions.Add(1)
	t.closeLocked(victim, codeIdle)
	return true
}

// removeLocked takes l out of the maps, but not its peer: the caller calls forgetLocked when it is done with it. It
// reports whether l was the link to send on, and whether it was there at all.
func (t *Transport) removeLocked(l *link) (p *peer, primary, found bool) {
	if _, found = t.links[l]; !found {
		return nil, false, false
	}
	delete(t.links, l)
	p = t.peers[l.id]
	if primary = p.link == l; primary {
		p.link = nil
	} else {
		p.draining = nil
	}
	return p, primary, true
}

// housekeep looks at what ages, and at what the network reports.
func (t *Transport) housekeep() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-ticker.C:
			t.age()
		case addr := <-t.refused:
			t.unreachable(addr)
		}
	}
}

// age closes what has been idle, superseded, doubtful or valid for too long.
func (t *Transport) age() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing.Load() {
		return
	}
	now, wall := t.now(), time.Now()
	var idle []*link
	for l := range t.links {
		busy := l.exchanges.Load() > 0
		quiet := now - l.lastUsed()
		switch doubt := time.Duration(l.doubt.Load()); {
		case wall.After(l.notAfter):
			t.logger.Info("peer's certificate has ended, connection closed", "peer", l.id, "not_after", l.notAfter)
			t.closeLocked(l, codeExpired)
		case l.demoted != 0 && !busy && now-l.demoted > drainFor:
			t.stats.superseded.Add(1)
			t.closeLocked(l, codeSuperseded)
		case doubt != 0 && now-doubt > doubtFor:
			t.closeLocked(l, codeDoubtful)
		case !busy && quiet > t.config.Limits.Idle:
			t.stats.idleCloses.Add(1)
			t.closeLocked(l, codeIdle)
		case !busy && quiet > recentlyUsed && l.demoted == 0:
			idle = append(idle, l)
		}
	}
	if extra := len(idle) - t.config.Limits.IdleConnections; extra > 0 {
		slices.SortFunc(idle, func(a, b *link) int { return cmp.Compare(a.lastUsed(), b.lastUsed()) })
		for _, l := range idle[:extra] {
			t.stats.idleCloses.Add(1)
			t.closeLocked(l, codeIdle)
		}
	}
	for addr, b := range t.backoffs {
		if now-b.until > failedLately {
			delete(t.backoffs, addr)
		}
	}
}

// closeLocked takes l out of the pool and then closes it in the background.
func (t *Transport) closeLocked(l *link, code quic.ApplicationErrorCode) {
	p, _, found := t.removeLocked(l)
	if !found {
		return
	}
	t.forgetLocked(p)
	t.wg.Go(func() { l.close(code) })
}

// ended is called once for each link, when its connection is over. It tells the handler if that says something.
func (t *Transport) ended(l *link) {
	how, refused := l.cause()
	t.mu.Lock()
	p, primary, found := t.removeLocked(l)
	if found {
		t.forgetLocked(p)
	}
	if found && refused {
		t.backOffLocked(l.addr)
	}
	t.mu.Unlock()
	if primary && how != 0 {
		t.down(l.id, l.addr, how)
	}
}

// unreachable takes the network's word that nothing listens at addr. The word can be forged, so a connection is only
// doubted: a message from the peer clears it, silence ends it. It is reported once for each datagram that was sent meanwhile:
// the agent may have sent it for somebody else, who waits for what it finds.
func (t *Transport) unreachable(addr netip.AddrPort) {
	var reported []swim.ID
	t.mu.Lock()
	for d := range t.dials {
		if d.to.Addr == addr {
			d.cancel(errRefusedPort) // the dial reports it
		}
	}
	now := max(t.now(), 1)
	for l := range t.links {
		if l.addr != addr || l.demoted != 0 || !l.open() { // one that has ended says itself why, in a moment
			continue
		}
		if l.doubt.CompareAndSwap(0, int64(now)) || l.lastUsed() > l.hinted {
			l.hinted = now
			reported = append(reported, l.id)
		}
	}
	t.mu.Unlock()
	t.stats.unreachable.Add(1)
	for _, id := range reported {
		t.down(id, addr, swim.DownUnreachable)
	}
}

// down passes a hint on, unless nobody listens yet or any more.
func (t *Transport) down(id swim.ID, addr netip.AddrPort, how swim.Down) {
	select {
	case <-t.served:
		if !t.closing.Load() {
			t.logger.Debug("peer down", "peer", id, "addr", addr, "how", how)
			t.handler.HandleDown(id, addr, how)
		}
	default:
	}
}
