package quicnet

import (
	"hash/maphash"
	"slices"
)

// screen looks at every packet before QUIC does, and drops what can be known for what it is without keys: what begins as no
// QUIC packet does, what is longer than QUIC reads, and what has arrived before. Whatever QUIC sends again it seals anew, so a copy is
// the network's doing or somebody's, or a peer's that says once more that it is closing.
//
// It stands here for the count. QUIC would drop a copy too, but says so only to a tracer of the connection, which is too dear to
// be had always: see drops.
//
// What was seen is remembered as a hash of all its bytes under a key that nobody else knows, in sets of a cache line that give
// up their oldest: 16 KiB know 999 of 1,000 copies that come within 512 packets, which is half a minute of pings. QUIC drops
// those that come later. One goroutine at a time may use a screen.
type screen struct {
	stats *counters
	key   maphash.Seed
	seen  [screenSets][screenWays]uint64
}

const (
	screenSets = 256
	screenWays = 8
)

func newScreen(stats *counters) *screen { return &screen{stats: stats, key: maphash.MakeSeed()} }

// passes reports whether QUIC is to see packet, which was read into a buffer of room bytes, and counts it if not.
func (s *screen) passes(packet []byte, room int) bool {
	const longOrFixed = 0b1100_0000 // RFC 9000, section 17: at least one of these bits is set
	switch {
	case len(packet) == room: // the system has cut it off, or nearly; QUIC's packets are shorter here
		s.stats.malformed.Add(1)
	case len(packet) == 0 || packet[0]&longOrFixed == 0:
		s.stats.foreign.Add(1)
	case s.sawBefore(packet):
		s.stats.replayed.Add(1)
	default:
		return true
	}
	return false
}

// sawBefore reports whether packet is remembered, and remembers it.
func (s *screen) sawBefore(packet []byte) bool {
	sum := maphash.Bytes(s.key, packet)
	set := &s.seen[sum%screenSets]
	if slices.Contains(set[:], sum) {
		return true
	}
	copy(set[1:], set[:])
	set[0] = sum
	return false
}
