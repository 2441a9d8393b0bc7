package swimsim

import (
	"net/netip"
	"time"

	"rollcall/swim"
)

// Member is one simulated process, through all its lives.
type Member struct {
	ID   swim.ID
	Addr netip.AddrPort
	Node *swim.Node // of the present life; do not step it
	Gone bool       // it left, and that is known

	world   *World
	index   int
	life    uint64 // counts from 1; what is meant for an earlier life is dropped
	running bool
	killed  bool // the host lives and says that nobody listens
	frozen  bool // nothing runs; the socket keeps what arrives
	blocked bool // timers run, packets neither leave nor arrive
	held    []swim.Input
	unsent  []unsent
	wake    time.Duration
	joined  bool             // somebody answered in this life
	met     map[int32]uint64 // life of each peer when a packet last went to it; only with hints
	records recordQueue
}

// unsent is a datagram that a blocked member wrote.
type unsent struct {
	to   *Member
	data []byte
}

// heldMax is how many inputs a frozen process's socket keeps, and how many datagrams a blocked member's.
const heldMax = 128

// joinRetry is how often a member asks again to be let in.
const joinRetry = time.Second

// begin starts a new life.
func (m *Member) begin() {
	w := m.world
	cfg := w.cfg.Node
	cfg.ID, cfg.Addr, cfg.Seed = m.ID, m.Addr, w.rng.Uint64()
	node, err := swim.New(cfg, epoch.Add(w.now))
	if err != nil {
		panic(err) // the configuration is the caller's own
	}
	m.Node, m.running, m.killed, m.frozen, m.blocked, m.Gone, m.joined = node, true, false, false, false, false, false
	m.held, m.unsent, m.met = nil, nil, nil
	m.wake = -1
	m.life++
	m.records.restart()
	w.trace.note(w.now, "start", m, nil, m.life)
	if w.checker != nil {
		w.checker.began(m)
	}
	m.step(swim.Tick())
	if w.log != nil {
		w.log.subscribe(m)
	}
}

// Join asks through to be let in, again and again until somebody answers.
func (m *Member) Join(through *Member) {
	life := m.life
	m.step(swim.Join(through.Addr, 0))
	m.world.At(joinRetry, func() {
		if m.running && m.life == life && !m.joined {
			m.Join(m.world.anyRunning(m))
		}
	})
}

// alone is the state that the member would send if it knew nobody else.
func (m *Member) alone() []byte {
	cfg := m.world.cfg.Node
	self := m.Node.Self()
	cfg.ID, cfg.Addr, cfg.Incarnation = m.ID, m.Addr, self.Incarnation
	node, err := swim.New(cfg, epoch)
	if err != nil {
		panic(err) // begin made one of it already
	}
	for _, e := range node.Step(epoch, swim.Join(m.Addr, 0)) {
		if e.Kind == swim.EffectExchange {
			return append([]byte(nil), e.Data...)
		}
	}
	panic("swimsim: a join asks for no exchange")
}

// anyRunning is a random running member other than not, or not itself where there is none.
func (w *World) anyRunning(not *Member) *Member {
	start := w.rng.IntN(len(w.all))
	for i := range w.all {
		if m := w.all[(start+i)%len(w.all)]; m.running && m != not {
			return m
		}
	}
	return not
}

// Running reports whether the member's process exists, frozen or not.
func (m *Member) Running() bool { return m.running }

// Well reports whether the member runs and nothing holds it up.
func (m *Member) Well() bool { return m.running && !m.frozen && !m.blocked }

// Crash ends a member and its host without notice.
func (w *World) Crash(m *Member) {
	w.trace.note(w.now, "crash", m, nil, m.life)
	m.running = false
}

// Kill ends a member's process; its host lives and tells so where hints are on.
func (w *World) Kill(m *Member) {
	w.Crash(m)
	m.killed = true
}

// Freeze makes a whole process stand still; Thaw lets it go on with what its socket kept.
func (w *World) Freeze(m *Member) {
	w.trace.note(w.now, "freeze", m, nil, 0)
	m.frozen = true
}

// Block stops a member's packets in both directions while its timers run; Thaw lets them go.
func (w *World) Block(m *Member) {
	w.trace.note(w.now, "block", m, nil, 0)
	m.blocked = true
}

// Thaw ends a Freeze or a Block.
func (w *World) Thaw(m *Member) {
	if !m.frozen && !m.blocked {
		return
	}
	w.trace.note(w.now, "thaw", m, nil, 0)
	m.frozen, m.blocked = false, false
	held, written := m.held, m.unsent
	m.held, m.unsent = nil, nil
	for _, u := range written {
		w.transmit(m, u.to, u.data)
	}
	m.step(swim.Tick()) // the timers that came due are run first: the harder order
	for _, in := range held {
		m.step(in)
	}
	w.drain(m)
}

// Leave starts a graceful departure.
func (w *World) Leave(m *Member) {
	w.trace.note(w.now, "leave", m, nil, 0)
	m.step(swim.Leave())
}

// wakeUp runs the node's timers, if this is still when it wanted them run.
func (m *Member) wakeUp(life uint64, at time.Duration) {
	if m.running && life == m.life && !m.frozen && m.wake == at {
		m.step(swim.Tick())
	}
}

// receive hands the member what arrives, or to its socket when it stands still.
func (m *Member) receive(life uint64, in swim.Input) {
	if !m.running || life != 0 && life != m.life {
		return
	}
	if m.frozen || m.blocked {
		if len(m.held) < heldMax {
			m.held = append(m.held, in)
		}
		return
	}
	m.step(in)
	if in.Kind == swim.InputDatagram {
		m.world.recycle(in.Data)
	}
}

// step hands the node one input and carries out what it asks for.
func (m *Member) step(in swim.Input) {
	w := m.world
	if !m.running || w.Err() != nil {
		return
	}
	if in.Kind == swim.InputExchangeReply {
		m.joined = true
	}
	w.Steps++
	effects := m.Node.Step(epoch.Add(w.now), in)
	for i := range effects {
		e := &effects[i]
		switch e.Kind {
		case swim.EffectSend:
			w.send(m, e)
		case swim.EffectExchange:
			w.exchange(m, e)
		case swim.EffectReply:
			w.reply(m, e)
		case swim.EffectMember:
			if w.checker != nil {
				w.checker.member(m, &e.Member)
			}
		case swim.EffectForget:
			if w.checker != nil {
				w.checker.forgot(m, &e.Member)
			}
		case swim.EffectTransition:
			w.observe(m, e.Transition)
		case swim.EffectGone:
			w.gone(m)
		}
	}
	if w.checker != nil {
		w.checker.stepped(m, len(effects))
	}
	if next := m.Node.Deadline().Sub(epoch); m.running && (next != m.wake || m.wake <= w.now) {
		m.wake = max(next, w.now)
		w.agenda.push(m.wake, event{what: eventWake, to: m, life: m.life})
	}
}

func (w *World) observe(m *Member, t *swim.Transition) {
	w.trace.transition(w.now, m, t)
	if w.checker != nil {
		w.checker.transition(m, t)
	}
	if t.Own && w.log != nil {
		w.log.record(m, t)
	}
	if w.cfg.Watch != nil {
		w.cfg.Watch(Observation{w.now, m, t})
	}
}

// gone ends a member whose departure is known. Its peers notice that it closed its connections.
func (w *World) gone(m *Member) {
	w.trace.note(w.now, "gone", m, nil, m.life)
	m.Gone, m.running, m.killed = true, false, true
	for _, peer := range w.all {
		if _, ok := m.met[int32(peer.index)]; ok && peer != m {
			w.hint(peer, m, swim.DownClosed)
		}
	}
}
