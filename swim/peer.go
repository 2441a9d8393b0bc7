package swim

import (
	"net/netip"
)

// ID names a node: 1 to 64 bytes of A-Z a-z 0-9 _ -.
type ID string

// IDMax is the longest id, in bytes.
const IDMax = 64

// Valid reports whether id has the right length and letters.
func (id ID) Valid() bool {
	if id == "" || len(id) > IDMax {
		return false
	}
	for i := range len(id) {
		if !idByte(id[i]) {
			return false
		}
	}
	return true
}

func idByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// Peer is where to reach a member. An empty ID means "whoever answers there" and is good for a state exchange only.
type Peer struct {
	ID   ID
	Addr netip.AddrPort
}

// Down says how the transport learned that a peer is gone. It is a hint that brings a probe forward, never a verdict.
type Down uint8

// The ways a peer goes.
const (
	DownClosed      Down = iota + 1 // it closed its connection: it is leaving
	DownReset                       // stateless reset: it was restarted and knows the connection no more
	DownUnreachable                 // the network says that nothing listens at its port (can be forged)
	DownCut                         // a connection kept for that alone ended without a word: its process may be gone (can be forged)
)

func (d Down) String() string {
	switch d {
	case DownClosed:
		return "peer closed"
	case DownReset:
		return "peer reset"
	case DownUnreachable:
		return "port unreachable"
	case DownCut:
		return "tether cut"
	default:
		return "unknown"
	}
}

// Sizes every transport must carry and every decoder enforces.
const (
	DatagramMax = 1160    // bytes of one datagram; fits every QUIC path without discovery
	StateMax    = 4 << 20 // bytes of one side of a state exchange
)
