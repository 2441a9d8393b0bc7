package swimsim

import (
	"encoding/binary"
	"time"

	"rollcall/swim"
)

// Network says what happens to datagrams on every link.
type Network struct {
	Delay     time.Duration // one way; 0: DelayDefault
	Jitter    time.Duration // added, evenly distributed
	Loss      float64       // share of datagrams lost, 0 to 1
	Duplicate float64       // share that arrives twice
	Reorder   float64       // share that is held back by up to ReorderBy
}

const (
	// DelayDefault is half the round trip of a LAN.
	DelayDefault = 250 * time.Microsecond
	// ReorderBy is the longest time by which a reordered datagram is held back, in delays.
	ReorderBy = 50
)

// Cut is a fault of the network: no packet passes for which blocks says so.
type Cut struct {
	blocks func(from, to *Member) bool
}

// SetNetwork changes what happens to datagrams from now on.
func (w *World) SetNetwork(n Network) {
	if n.Delay == 0 {
		n.Delay = DelayDefault
	}
	w.cfg.Network = n
}

// Cut drops every datagram and exchange for which blocks says so, until healed.
func (w *World) Cut(blocks func(from, to *Member) bool) *Cut {
	c := &Cut{blocks}
	w.cuts = append(w.cuts, c)
	w.trace.note(w.now, "cut", nil, nil, uint64(len(w.cuts)))
	return c
}

// Heal ends a cut.
func (w *World) Heal(c *Cut) {
	for i, other := range w.cuts {
		if other == c {
			w.cuts = append(w.cuts[:i:i], w.cuts[i+1:]...)
			w.trace.note(w.now, "heal", nil, nil, uint64(len(w.cuts)))
			return
		}
	}
}

// HealAll ends every cut.
func (w *World) HealAll() {
	w.cuts = nil
	w.trace.note(w.now, "heal", nil, nil, 0)
}

// passes reports whether the network lets packets through from one to the other.
func (w *World) passes(from, to *Member) bool {
	for _, c := range w.cuts {
		if c.blocks(from, to) {
			return false
		}
	}
	return true
}

// send carries out an EffectSend.
func (w *World) send(from *Member, e *swim.Effect) {
	w.Sent++
	w.Bytes += uint64(len(e.Data))
	to := w.byAddr[e.To.Addr]
	w.contact(from, to)
	w.trace.packet(w.now, from, to, e.Data)
	if w.checker != nil {
		w.checker.sent(from, e)
	}
	if w.cfg.Tap != nil {
		w.cfg.Tap(Datagram{w.now, from, e.To.ID, e.Data})
	}
	if to == nil || to.ID != e.To.ID {
		return // nobody there who could prove to be the one meant
	}
	data := append(w.buffer(), e.Data...)
	if from.blocked {
		if len(from.unsent) < heldMax {
			from.unsent = append(from.unsent, unsent{to, data})
		}
		return
	}
	w.transmit(from, to, data)
}

// transmit puts a datagram on the way. It takes data over.
func (w *World) transmit(from, to *Member, data []byte) {
	if !w.passes(from, to) {
		w.recycle(data)
		return
	}
	if w.cfg.Hints {
		w.notice(from, to)
	}
	n := &w.cfg.Network
	copies := 1
	if n.Loss > 0 && w.rng.Float64() < n.Loss {
		copies--
	}
	if n.Duplicate > 0 && w.rng.Float64() < n.Duplicate {
		copies++
	}
	for i := range copies {
		if i > 0 {
			data = append(w.buffer(), data...)
		}
		w.agenda.push(w.now+w.delay(), event{to: to, in: swim.Datagram(from.ID, from.Addr, data)})
	}
	if copies == 0 {
		w.recycle(data)
	}
}

func (w *World) delay() time.Duration {
	n := &w.cfg.Network
	d := n.Delay
	if n.Jitter > 0 {
		d += time.Duration(w.rng.Int64N(int64(n.Jitter)))
	}
	if n.Reorder > 0 && w.rng.Float64() < n.Reorder {
		d += time.Duration(w.rng.Int64N(int64(n.Delay) * ReorderBy))
	}
	return d
}

// notice tells the sender what its transport would learn from this packet: that nobody listens, or that the peer has been
// restarted since.
func (w *World) notice(from, to *Member) {
	if from.met == nil {
		from.met = map[int32]uint64{}
	}
	before, known := from.met[int32(to.index)]
	from.met[int32(to.index)] = to.life
	switch {
	case to.killed && w.passes(to, from):
		w.hint(from, to, swim.DownUnreachable)
	case to.running && known && before != to.life && w.passes(to, from):
		w.hint(from, to, swim.DownReset)
	}
}

// hint tells m, after a round trip, that its transport noticed something of a peer.
func (w *World) hint(m, peer *Member, how swim.Down) {
	w.agenda.push(w.now+2*w.delay(), event{to: m, life: m.life, in: swim.PeerDown(peer.ID, peer.Addr, how)})
}

// exchange carries out an EffectExchange: a stream, so it needs both directions and is repeated until it is through.
func (w *World) exchange(from *Member, e *swim.Effect) {
	to := w.byAddr[e.To.Addr]
	w.contact(from, to)
	w.trace.packet(w.now, from, to, e.Data)
	if to == nil || !to.running || e.To.ID != "" && e.To.ID != to.ID || from.blocked || !w.passes(from, to) || !w.passes(to, from) {
		return
	}
	if from.life > 1<<32-1 {
		panic("swimsim: too many lives")
	}
	token := uint64(from.index)<<32 | from.life
	in := swim.ExchangeRequest(from.ID, from.Addr, append([]byte(nil), e.Data...), token)
	w.agenda.push(w.now+2*w.delay(), event{to: to, life: to.life, in: in})
}

// reply carries out an EffectReply.
func (w *World) reply(from *Member, e *swim.Effect) {
	to, life := w.all[e.Token>>32], e.Token&(1<<32-1)
	w.trace.packet(w.now, from, to, e.Data)
	if e.Data == nil || from.blocked || !w.passes(from, to) {
		return
	}
	in := swim.ExchangeReply(from.ID, from.Addr, append([]byte(nil), e.Data...))
	w.agenda.push(w.now+w.delay(), event{to: to, life: life, in: in})
}

// buffer is an empty buffer for a datagram.
func (w *World) buffer() []byte {
	if last := len(w.buffers) - 1; last >= 0 {
		b := w.buffers[last]
		w.buffers = w.buffers[:last]
		return b[:0]
	}
	return make([]byte, 0, 128)
}

// recycle takes a datagram's buffer back once it was read.
func (w *World) recycle(b []byte) {
	if cap(b) <= swim.DatagramMax*2 {
		w.buffers = append(w.buffers, b)
	}
}

// word reads up to eight bytes of b.
func word(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	var last [8]byte
	copy(last[:], b)
	return binary.LittleEndian.Uint64(last[:])
}
