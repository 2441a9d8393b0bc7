package rollcall

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/swim"
)

// catchUpAge is the age from which an event counts as read late: the member was cut off from the log, or has just
// started. It then reads to the end before it believes anything.
const catchUpAge = 2 * time.Second

// logFeed brings what the log says back into the member's own view. It hands over states, not events: what was overtaken
// while the log was away is never acted on. Its memory is a set of node ids, no more than the roll has.
type logFeed struct {
	mu    sync.Mutex
	dirty map[string]struct{}
	late  bool          // something dirty was read late
	bell  chan struct{} // of capacity 1
}

func newLogFeed() *logFeed {
	return &logFeed{dirty: make(map[string]struct{}), bell: make(chan struct{}, 1)}
}

// note marks the node of an event. It is called in log order and must be quick.
func (f *logFeed) note(rec events.Recorded, out events.Outcome) {
	if out.Result != events.Applied && !(out.Result == events.Evident && rec.Kind == events.Accused) {
		return
	}
	f.mu.Lock()
	f.dirty[rec.Node] = struct{}{}
	f.late = f.late || time.Since(rec.Stored) > catchUpAge
	f.mu.Unlock()
	select {
	case f.bell <- struct{}{}:
	default:
	}
}

// take returns the marked nodes, self first, the others by id, and whether the log has to be read to its end first; in
// that case nothing is taken yet.
func (f *logFeed) take(self string) (ids []string, late bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.late {
		f.late = false
		return nil, true
	}
	for id := range f.dirty {
		if id != self {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if _, ok := f.dirty[self]; ok {
		ids = append([]string{self}, ids...)
	}
	clear(f.dirty)
	return ids, false
}

// learnFromLog runs until the member is closed.
func (m *Member) learnFromLog() {
	for {
		select {
		case <-m.feed.bell:
		case <-m.ctx.Done():
			return
		}
		ids, late := m.feed.take(m.opt.ID)
		if late {
			if err := m.rec.CaughtUp(m.ctx); err != nil {
				return // closed meanwhile
			}
			ids, _ = m.feed.take(m.opt.ID)
		}
		for _, id := range ids {
			if n, ok := m.rec.Node(id); ok && n.State != events.Unknown {
				_ = m.agent.Learn(m.ctx, claimOf(n)) // fails only when the member is closed
			}
		}
	}
}

// claimOf turns what the log says of a node into what the protocol understands.
func claimOf(n events.Node) *swim.LogClaim {
	c := &swim.LogClaim{ID: swim.ID(n.ID), Tags: swim.NewTags(n.Tags), Incarnation: n.Incarnation}
	c.Addr, _ = netip.ParseAddrPort(n.Address) // a name instead of an address is left to gossip
	switch n.State {
	case events.StateAlive:
		c.State = swim.Alive
	case events.StateSuspect:
		c.State = swim.Suspect
	case events.StateFailed:
		c.State = swim.Failed
	case events.StateLeft:
		c.State = swim.Left
	}
	for _, id := range n.Accusers {
		c.Accusers = append(c.Accusers, swim.ID(id))
	}
	return c
}

// peersFromLog are the addresses of the members that the log holds alive, for one that has no seeds or hears nothing from them; of many some, by chance.
func (m *Member) peersFromLog() []netip.AddrPort {
	var peers []netip.AddrPort
	for _, n := range m.rec.Nodes() {
		if addr, err := netip.ParseAddrPort(n.Address); err == nil && n.State.Live() && n.ID != m.opt.ID {
			peers = append(peers, addr)
		}
	}
	return some(peers)
}
