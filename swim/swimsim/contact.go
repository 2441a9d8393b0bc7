package swimsim

import "time"

// idleAfter is how long two members may have nothing to say to each other before their connection is closed: the default of
// the transport, package quicnet.
const idleAfter = 25 * time.Second

// contacts remembers who last talked to whom. Connecting costs nothing in a World, but a handshake for real: World.Dials
// counts them.
type contacts map[uint64]time.Duration

// touch notes a packet between two members and reports whether they need a new connection for it.
func (c contacts) touch(a, b *Member, now time.Duration) bool {
	pair := uint64(min(a.index, b.index))<<32 | uint64(max(a.index, b.index))
	last, known := c[pair]
	c[pair] = now
	return !known || now-last > idleAfter
}

// contact counts a new connection, if from has none with to.
func (w *World) contact(from, to *Member) {
	if to != nil && w.contacts.touch(from, to, w.now) {
		w.Dials++
	}
}
