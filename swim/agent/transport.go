package agent

import (
	"context"
	"errors"
	"net/netip"

	"rollcall/swim"
)

// ErrSelf is what Exchange returns of an address that leads back to this very transport.
var ErrSelf = errors.New("that is this member itself")

// Transport carries a member's datagrams and state exchanges. Identity is its business: every id it hands to a Handler
// has been proved by the peer. All methods are safe for concurrent use.
type Transport interface {
	// LocalAddr is the address the transport is bound to, with its real port.
	LocalAddr() netip.AddrPort

	// Serve starts delivering to h. It is called once. Send and Exchange work before; nothing that others begin is delivered.
	Serve(h Handler)

	// Send queues one datagram of at most swim.DatagramMax bytes for to and returns at once. It copies the bytes. Delivery is
	// not promised: a full queue drops its oldest datagram and counts it. A peer that proves to be another than to.ID
	// gets nothing.
	Send(to swim.Peer, datagram []byte)

	// Exchange sends request (at most swim.StateMax bytes) to the peer and waits for its answer. With an empty to.ID it
	// accepts whoever answers at to.Addr, but fails with ErrSelf where that is this member. It returns the proved id.
	Exchange(ctx context.Context, to swim.Peer, request []byte) (from swim.ID, reply []byte, err error)

	// Close tells every peer, waits until they could know (2 s at most, less when ctx ends) and releases the socket. No
	// handler call is running or will come after it returns. It is idempotent.
	Close(ctx context.Context) error
}

// Tetherer is what a Transport may be besides: it can watch one peer's process.
type Tetherer interface {
	// Tether keeps an idle connection to a peer, in place of the one before, and returns at once; the zero Peer asks for
	// none. Its end without a word is told by HandleDown with swim.DownCut, at both ends. Nothing is promised: where the
	// connection cannot be had, silence is found by probes alone.
	Tether(to swim.Peer)
}

// Warmer is what a Transport may be besides: it can connect ahead of the first datagram.
type Warmer interface {
	// Warm begins to connect to a peer, if it isn't connected, and returns at once. Nothing is promised.
	Warm(to swim.Peer)
}

// Handler receives what arrives. Its methods may be called from many goroutines at once and must not block for long.
type Handler interface {
	// HandleDatagram takes one datagram from an authenticated peer. The bytes are the callee's to keep.
	HandleDatagram(from swim.ID, addr netip.AddrPort, datagram []byte)

	// HandleExchange answers a peer's state exchange. An error closes the stream; the peer sees that it was refused.
	HandleExchange(ctx context.Context, from swim.ID, addr netip.AddrPort, request []byte) (reply []byte, err error)

	// HandleDown reports that a peer's connection ended in a way that says something about the peer.
	HandleDown(from swim.ID, addr netip.AddrPort, how swim.Down)
}
