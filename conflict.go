package rollcall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/swim"
	"rollcall/swim/agent"
	"rollcall/swim/quicnet"
)

// ErrIDInUse is what a second process with an id gets from Join. Its text names the address of the first.
var ErrIDInUse = errors.New("another process runs under this id")

const (
	// challengeLimit is how long a process that may have this member's id is waited for. Where its host is gone, the
	// transport gives up earlier; one that is merely slow shall not be taken for gone.
	challengeLimit = 5 * time.Second
	// conflictPause is the shortest time between two records of the same conflict.
	conflictPause = time.Minute
	// overtakenMax is how often the log may say that another address rose above this life before that is a second process.
	// Once could be an append of an earlier life that was under way when it ended.
	overtakenMax = 2
)

// Why a conflict is on record.
const (
	conflictShown  = "another process showed a certificate with this id"
	conflictLogged = "the log holds another process with this id that rises above this one again and again"
)

// refuseDouble makes sure, before anything is announced, that no other process runs under this member's id: wherever the
// log or another member knows it, it is called there, even if it is held failed; that may be wrong. Only a certificate
// with the same id proves the conflict; an address that does not answer is where an earlier life was.
func (m *Member) refuseDouble(ctx context.Context, t agent.Transport, seeds []netip.AddrPort) error {
	known := m.addressesOfOwnID(ctx, t, seeds)
	shown := make([]bool, len(known))
	var calls sync.WaitGroup
	for i, addr := range known {
		calls.Go(func() {
			_, _, err := m.call(ctx, t, addr)
			shown[i] = errors.Is(err, quicnet.ErrIDConflict)
		})
	}
	calls.Wait()
	first := slices.Index(shown, true)
	if first < 0 {
		return ctx.Err() // a call that it broke off has shown nothing
	}
	addr := known[first]
	// Out of the way first: until then the seed may look for the other process here.
	closeErr := t.Close(ctx)
	<-m.putOnRecord(addr, conflictShown)
	m.tellLog(ctx)
	return errors.Join(fmt.Errorf("%w: %s answers at %v: stop that process, or give this one another id", ErrIDInUse, m.opt.ID, addr), closeErr)
}

// addressesOfOwnID is where others than this process may run under its id, each address once: where the log says that this
// member is, and where the seeds do, or without seeds some whom the log knows. The log alone is not enough: of a process
// that does not reach it, it knows nothing, or an earlier life.
func (m *Member) addressesOfOwnID(ctx context.Context, t agent.Transport, seeds []netip.AddrPort) []netip.AddrPort {
	var known []netip.AddrPort
	if n, ok := m.rec.Node(m.opt.ID); ok && n.State != events.StateLeft {
		if addr, err := netip.ParseAddrPort(n.Address); err == nil {
			known = append(known, addr)
		}
	}
	ask := some(seeds)
	if len(ask) == 0 {
		ask = m.peersFromLog()
	}
	said := make([]netip.AddrPort, len(ask))
	var asking sync.WaitGroup
	for i, peer := range ask {
		asking.Go(func() {
			switch _, state, err := m.call(ctx, t, peer); {
			case errors.Is(err, quicnet.ErrIDConflict):
				said[i] = peer
			case err == nil:
				if self, ok := swim.FindInState(state, swim.ID(m.opt.ID)); ok && self.State != swim.Left {
					said[i] = self.Addr
				}
			}
		})
	}
	asking.Wait()
	own := m.advertised(t)
	known = slices.DeleteFunc(append(known, said...), func(a netip.AddrPort) bool {
		return !a.IsValid() || a == own || a == t.LocalAddr()
	})
	slices.SortFunc(known, netip.AddrPort.Compare)
	return slices.Compact(known)
}

// call exchanges an empty state with whoever answers at addr: it tells the other nothing.
func (m *Member) call(ctx context.Context, t agent.Transport, addr netip.AddrPort) (swim.ID, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, challengeLimit)
	defer cancel()
	return t.Exchange(ctx, swim.Peer{Addr: addr}, swim.EmptyState())
}

// double is the protocol's word that another process may run under this member's id at addr. It is looked for, once at a
// time. Of two that are there, both recorded and both sure, the one with the higher address ends: neither can know which
// came first, both can know this.
func (m *Member) double(addr netip.AddrPort) {
	m.conflictMu.Lock()
	defer m.conflictMu.Unlock()
	if m.looking {
		return
	}
	m.looking = true
	m.work.Go(func() {
		select {
		case <-m.started:
		case <-m.ctx.Done():
			return
		}
		_, _, err := m.call(m.ctx, m.transport, addr)
		if errors.Is(err, quicnet.ErrIDConflict) {
			m.settle(addr, conflictShown)
		}
		m.conflictMu.Lock()
		m.looking = false
		m.conflictMu.Unlock()
	})
}

// settle puts a conflict that is certain on record, and ends this member if it is the one to go.
func (m *Member) settle(addr netip.AddrPort, why string) {
	recorded := m.putOnRecord(addr, why)
	if own := m.Addr(); own.Compare(addr) > 0 {
		<-recorded
		m.endBecause(fmt.Errorf("%w: %s runs at %v too: stop one of them, or give it another id", ErrIDInUse, m.opt.ID, addr))
	}
}

// rival finds in the log what a call cannot where two processes with one id do not reach each other, but both reach others:
// each rises above the other for ever. It is used in log order, by one goroutine.
type rival struct {
	said      bool // the newest word of this id is of this life
	overtaken int  // by another address
}

// note takes an event and reports whether it is one too many from another address. Only what follows a word of this life
// counts, which own recognizes: whatever earlier lives did came before it.
func (r *rival) note(rec events.Recorded, out events.Outcome, own func(events.Recorded) bool) bool {
	if out.Result != events.Applied || rec.Address == "" || rec.Kind != events.Joined && rec.Kind != events.Refuted {
		return false
	}
	if own(rec) {
		r.said = true
		return false
	}
	if r.said {
		r.overtaken++
	}
	r.said = false
	return r.overtaken >= overtakenMax
}

// watchRival looks through the log for a process with this member's id that cannot be called.
func (m *Member) watchRival(rec events.Recorded, out events.Outcome) {
	if rec.Node != m.opt.ID {
		return
	}
	select {
	case <-m.started:
	default:
		return // nothing of this life can be overtaken yet
	}
	own := m.Addr().String()
	if !m.rival.note(rec, out, func(rec events.Recorded) bool { return rec.Address == own && !rec.Time.Before(m.began) }) {
		return
	}
	if addr, err := netip.ParseAddrPort(rec.Address); err == nil && rec.Address != own {
		m.work.Go(func() { m.settle(addr, conflictLogged) }) // it waits for a disk
	}
}

// endBecause closes the member for a reason of its own, unless it ends already. It returns at once: the end waits for all
// that the member does, its caller included.
func (m *Member) endBecause(err error) {
	if !m.end(err) {
		return
	}
	m.log.Error("the member ends", "error", err)
	go func() {
		_ = m.agent.Close() // out of the other's way; shut says what came of it
		m.tellLog(m.ctx)
		if err := m.shut(); err != nil {
			m.log.Error("closing", "error", err)
		}
	}()
}

// tellLog gives the log some time to take what is on record. What it does not take stays in the outbox.
func (m *Member) tellLog(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	_ = m.rec.Drained(ctx)
}

// putOnRecord records that another process shows this member's id at addr, unless a conflict was recorded a moment ago: of one
// there is word from several sides. The channel is closed when the record is on disk.
func (m *Member) putOnRecord(addr netip.AddrPort, why string) <-chan struct{} {
	m.conflictMu.Lock()
	defer m.conflictMu.Unlock()
	if m.onRecord != nil && time.Since(m.conflictAt) < conflictPause {
		return m.onRecord
	}
	m.log.Error("another process claims this member's id; stop one of them", "id", m.opt.ID, "address", addr)
	done := make(chan struct{})
	m.conflictAt, m.onRecord = time.Now(), done
	m.work.Go(func() {
		defer close(done)
		m.recordConflict(addr, why)
	})
	return done
}

// recordConflict changes nobody's state.
func (m *Member) recordConflict(addr netip.AddrPort, why string) {
	n, _ := m.rec.Node(m.opt.ID)
	err := m.rec.Say(events.Event{
		ID: events.NewID(), Kind: events.IDConflict, Cluster: m.opt.Cluster, Node: m.opt.ID, Author: m.opt.ID,
		Time: time.Now().UTC(), Incarnation: max(n.Incarnation, 1), Address: addr.String(),
		Evidence: events.Evidence{Reason: why}.Raw(),
	})
	if err != nil {
		m.log.Error("could not record the conflict", "error", err)
	}
}
