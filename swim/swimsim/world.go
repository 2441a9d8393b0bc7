package swimsim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"rollcall/swim"
)

// Config of a World. Its zero value is a LAN without loss, without hints and without a log.
type Config struct {
	Seed    uint64
	Network Network
	Node    swim.Config       // of every member; ID, Addr and Seed are filled in
	Hints   bool              // the transport tells of closed connections, restarted peers and ports where nobody listens
	Log     *LogConfig        // nil: no log
	Watch   func(Observation) // called for every transition, in order; may be nil
	Tap     func(Datagram)    // called for every datagram sent, in order; may be nil
	Checked bool              // hold every step to the invariants; costs memory by the square of the members
}

// Observation is one transition as a member reported it.
type Observation struct {
	At time.Duration // since the world began
	By *Member
	*swim.Transition
}

// Datagram is a packet on its way, before the network decides what becomes of it. Data is valid during the call only.
type Datagram struct {
	At   time.Duration
	From *Member
	To   swim.ID
	Data []byte
}

// Ping reports whether the datagram is a ping, for whatever reason it was sent (docs/formats/wire.md).
func (d Datagram) Ping() bool { return len(d.Data) > 1 && d.Data[1] == 1 }

// World is a network of members and their log. It is not safe for concurrent use.
type World struct {
	cfg     Config
	rng     *rand.Rand
	now     time.Duration
	agenda  agenda
	members map[swim.ID]*Member
	all     []*Member // by index, in the order started
	byAddr  map[netip.AddrPort]*Member
	cuts    []*Cut
	buffers [][]byte // of datagrams that have been read
	log     *Log
	checker *checker
	trace   trace
	contacts

	Steps uint64 // of all nodes
	Sent  uint64 // datagrams
	Bytes uint64 // in them
	Dials uint64 // packets to a member with whom none had been exchanged for so long that the connection was gone
}

// epoch is the wall time at which every world begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// New makes an empty world.
func New(cfg Config) *World {
	if cfg.Network.Delay == 0 {
		cfg.Network.Delay = DelayDefault
	}
	w := &World{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x726f6c6c)),
		members: map[swim.ID]*Member{}, byAddr: map[netip.AddrPort]*Member{}, contacts: contacts{},
	}
	if cfg.Log != nil {
		w.log = newLog(w, *cfg.Log)
	}
	if cfg.Checked {
		w.checker = newChecker(w)
	}
	return w
}

// Name is the id of the i-th member.
func Name(i int) swim.ID { return swim.ID(fmt.Sprintf("n%d", i)) }

// Now is the time since the world began.
func (w *World) Now() time.Duration { return w.now }

// Member returns a member by id, or nil.
func (w *World) Member(id swim.ID) *Member { return w.members[id] }

// Members lists every member in the order started.
func (w *World) Members() []*Member { return w.all }

// Log is the world's log, or nil.
func (w *World) Log() *Log { return w.log }

// Hash tells runs apart: it covers every packet, transition and record so far, with their times.
func (w *World) Hash() uint64 { return w.trace.hash }

// Trace is the end of what happened, one line each, oldest first.
func (w *World) Trace() []string { return w.trace.lines() }

// Err is the first breach of an invariant, once there is one. The world stands still from then on.
func (w *World) Err() error {
	if w.checker == nil {
		return nil
	}
	return w.checker.err
}

// Start begins a new life of id, with no memory of an earlier one.
func (w *World) Start(id swim.ID) *Member {
	m := w.members[id]
	if m == nil {
		i := len(w.all)
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 7946)
		m = &Member{ID: id, Addr: addr, world: w, index: i}
		w.members[id], w.byAddr[addr] = m, m
		w.all = append(w.all, m)
	}
	m.begin()
	return m
}

// Form lets every member join through the first one and runs until all views agree, for a minute at most.
func (w *World) Form() {
	for _, m := range w.all[1:] {
		m.Join(w.all[0])
	}
	for end := w.now + time.Minute; w.now < end && !w.Agreed() && w.Err() == nil; {
		w.Run(100 * time.Millisecond)
	}
}

// Seed makes the members know each other without a join, as if all had read the same log: one that holds them alive.
func (w *World) Seed() {
	claims := make([]swim.LogClaim, 0, len(w.all))
	for _, m := range w.all {
		if m.running {
			self := m.Node.Self()
			claims = append(claims, swim.LogClaim{ID: self.ID, Addr: self.Addr, Incarnation: self.Incarnation, State: swim.Alive})
		}
	}
	for _, m := range w.all {
		for i := range claims {
			if claims[i].ID != m.ID {
				m.step(swim.FromLog(&claims[i]))
			}
		}
	}
	for i, m := range w.all { // one answer from somebody: what is held against a member from now on is held against this life
		if peer := w.all[(i+1)%len(w.all)]; peer != m && peer.running {
			m.step(swim.ExchangeReply(peer.ID, peer.Addr, peer.alone()))
		}
	}
}

// Agreed reports whether all running members hold the same members alive.
func (w *World) Agreed() bool {
	var first *Member
	for _, m := range w.all {
		switch {
		case !m.running:
		case first == nil:
			first = m
		case m.Node.Digest() != first.Node.Digest():
			return false
		}
	}
	return true
}

// At calls f when d has passed.
func (w *World) At(d time.Duration, f func()) {
	w.agenda.push(w.now+d, event{what: eventCall, call: f})
}

// Run lets time pass, or stops at the first breach of an invariant.
func (w *World) Run(d time.Duration) {
	end := w.now + d
	for w.Err() == nil {
		at, ok := w.agenda.next()
		if !ok || at > end {
			break
		}
		w.now = max(w.now, at)
		e := w.agenda.pop()
		switch e.what {
		case eventCall:
			e.call()
		case eventWake:
			e.to.wakeUp(e.life, at)
		default:
			e.to.receive(e.life, e.in)
		}
	}
	w.now = end
}
