// Package swimsim runs many swim.Nodes in one goroutine, in virtual time, over a simulated network with seeded faults.
//
// The same seed gives the same run, bit for bit: every delay, loss and choice comes from one generator, and events at
// the same instant happen in the order in which they were scheduled.
//
//	w := swimsim.New(swimsim.Config{Seed: 1})
//	for i := range 128 {
//		w.Start(swimsim.Name(i))
//	}
//	w.Form()
//	w.Crash("n7")
//	w.Run(5 * time.Second)
package swimsim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"rollcall/swim"
)

// Config of a World.
type Config struct {
	Seed   uint64
	Delay  time.Duration     // one way; default 250 µs
	Jitter time.Duration     // added to Delay, evenly distributed; default none
	Loss   float64           // share of datagrams lost, 0 to 1
	Node   swim.Config       // of every member; ID, Addr, Seed and Incarnation are filled in
	Watch  func(Observation) // called for every transition, in order; may be nil
}

// Observation is one transition as a member reported it.
type Observation struct {
	At time.Duration // since the world began
	By swim.ID
	swim.Transition
}

// World is a network of members. It is not safe for concurrent use.
type World struct {
	cfg     Config
	rng     *rand.Rand
	now     time.Duration
	queue   events
	order   uint64
	members map[swim.ID]*Member
	all     []*Member // in the order started
	byAddr  map[netip.AddrPort]*Member
	cut     func(from, to swim.ID) bool

	Sent  uint64 // datagrams
	Bytes uint64 // in them
}

// Member is one simulated process.
type Member struct {
	ID      swim.ID
	Addr    netip.AddrPort
	Node    *swim.Node
	Gone    bool // its departure is known
	world   *World
	life    uint64 // events of an earlier life are dropped
	running bool
	frozen  bool
	held    []swim.Input // what arrives while frozen, in order
	wake    time.Duration
}

// heldMax is how many inputs a frozen process's socket keeps.
const heldMax = 128

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// New makes an empty world.
func New(cfg Config) *World {
	if cfg.Delay == 0 {
		cfg.Delay = 250 * time.Microsecond
	}
	return &World{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x726f6c6c)),
		members: map[swim.ID]*Member{}, byAddr: map[netip.AddrPort]*Member{},
	}
}

// Name is the id of the i-th member.
func Name(i int) swim.ID { return swim.ID(fmt.Sprintf("n%d", i)) }

// Now is the time since the world began.
func (w *World) Now() time.Duration { return w.now }

// Member returns a member by id, or nil.
func (w *World) Member(id swim.ID) *Member { return w.members[id] }

// Members lists every member in the order started.
func (w *World) Members() []*Member { return w.all }

// Start begins a new life of id, with no memory of an earlier one.
func (w *World) Start(id swim.ID) *Member {
	m := w.members[id]
	if m == nil {
		i := len(w.all)
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 7946)
		m = &Member{ID: id, Addr: addr, world: w}
		w.members[id], w.byAddr[addr] = m, m
		w.all = append(w.all, m)
	}
	cfg := w.cfg.Node
	cfg.ID, cfg.Addr, cfg.Seed = id, m.Addr, w.rng.Uint64()
	node, err := swim.New(cfg, epoch.Add(w.now))
	if err != nil {
		panic(err)
	}
	m.Node, m.running, m.frozen, m.Gone, m.held = node, true, false, false, nil
	m.life++
	m.step(swim.Tick())
	return m
}

// Form lets every member join through the first one and runs until all views agree, for a minute at most.
func (w *World) Form() {
	for _, m := range w.all[1:] {
		m.step(swim.Join(w.all[0].Addr, 0))
	}
	for end := w.now + time.Minute; w.now < end && !w.Agreed(); {
		w.Run(100 * time.Millisecond)
	}
}

// Agreed reports whether all running members hold the same members alive.
func (w *World) Agreed() bool {
	var first *Member
	for _, m := range w.all {
		if !m.running {
			continue
		}
		if first == nil {
			first = m
		}
		if m.Node.Digest() != first.Node.Digest() {
			return false
		}
	}
	return true
}

// Crash ends a member without notice.
func (w *World) Crash(id swim.ID) { w.members[id].running = false }

// Freeze makes a whole process stand still; Thaw lets it go on with what its socket kept.
func (w *World) Freeze(id swim.ID) { w.members[id].frozen = true }

// Thaw ends a Freeze.
func (w *World) Thaw(id swim.ID) {
	m := w.members[id]
	m.frozen = false
	held := m.held
	m.held = nil
	m.step(swim.Tick())
	for _, in := range held {
		m.step(in)
	}
}

// Leave starts a graceful departure.
func (w *World) Leave(id swim.ID) { w.members[id].step(swim.Leave()) }

// Cut drops every datagram and exchange for which cut says so; nil heals the network.
func (w *World) Cut(cut func(from, to swim.ID) bool) { w.cut = cut }

// Run lets time pass.
func (w *World) Run(d time.Duration) {
	end := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(*event)
		w.now = e.at
		if e.to.running && e.life == e.to.life {
			e.to.deliver(e)
		}
	}
	w.now = end
}

func (m *Member) deliver(e *event) {
	switch {
	case e.tick && (m.frozen || m.wake != e.at):
	case m.frozen:
		if len(m.held) < heldMax {
			m.held = append(m.held, e.in)
		}
	default:
		m.step(e.in)
	}
}

// step hands the node one input and carries out what it asks for.
func (m *Member) step(in swim.Input) {
	w := m.world
	if !m.running {
		return
	}
	for _, e := range m.Node.Step(epoch.Add(w.now), in) {
		switch e.Kind {
		case swim.EffectSend:
			w.Sent++
			w.Bytes += uint64(len(e.Data))
			if to := w.members[e.To.ID]; w.reaches(m.ID, e.To.ID) && w.rng.Float64() >= w.cfg.Loss {
				w.schedule(to, swim.Datagram(m.ID, m.Addr, append([]byte(nil), e.Data...)))
			}
		case swim.EffectExchange:
			if to := w.byAddr[e.To.Addr]; to != nil && w.reaches(m.ID, to.ID) {
				w.schedule(to, swim.ExchangeRequest(m.ID, m.Addr, append([]byte(nil), e.Data...), m.token()))
			}
		case swim.EffectReply:
			if to := w.all[e.Token]; e.Data != nil && w.reaches(m.ID, to.ID) {
				w.schedule(to, swim.ExchangeReply(m.ID, m.Addr, append([]byte(nil), e.Data...)))
			}
		case swim.EffectTransition:
			if w.cfg.Watch != nil {
				w.cfg.Watch(Observation{w.now, m.ID, *e.Transition})
			}
		case swim.EffectGone:
			m.Gone = true
			m.running = false
		}
	}
	if next := m.Node.Deadline().Sub(epoch); next != m.wake || m.wake <= w.now {
		m.wake = max(next, w.now)
		w.push(&event{at: m.wake, to: m, life: m.life, tick: true})
	}
}

// token identifies the asking member to whoever answers.
func (m *Member) token() uint64 {
	for i, other := range m.world.all {
		if other == m {
			return uint64(i)
		}
	}
	return 0
}

func (w *World) reaches(from, to swim.ID) bool {
	m := w.members[to]
	return m != nil && m.running && (w.cut == nil || !w.cut(from, to))
}

func (w *World) schedule(to *Member, in swim.Input) {
	delay := w.cfg.Delay
	if w.cfg.Jitter > 0 {
		delay += time.Duration(w.rng.Int64N(int64(w.cfg.Jitter)))
	}
	w.push(&event{at: w.now + delay, to: to, life: to.life, in: in})
}

func (w *World) push(e *event) {
	w.order++
	e.order = w.order
	heap.Push(&w.queue, e)
}

// event is something that happens to a member.
type event struct {
	at    time.Duration
	order uint64
	to    *Member
	life  uint64
	tick  bool
	in    swim.Input
}

// events is a heap by (at, order).
type events []*event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(*event)) }
func (q *events) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}
