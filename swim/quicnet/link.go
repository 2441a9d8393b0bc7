package quicnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"rollcall/swim"
)

// link is one connection to a peer whose id is proved. Three goroutines belong to it: send (only while it is its peer's
// link to send on), receive and answer. All end with the connection.
type link struct {
	t        *Transport
	conn     *quic.Conn
	id       swim.ID
	addr     netip.AddrPort
	dialled  bool // by us
	opened   time.Duration
	notAfter time.Time // end of the peer's certificate

	stop    chan struct{} // closed when another link took over the sending
	demoted time.Duration // when; guarded by the pool's mutex
	hinted  time.Duration // when it was last reported unreachable; likewise

	used      atomic.Int64 // when it last carried a message, since the epoch
	heard     atomic.Int64 // when the peer last sent one
	doubt     atomic.Int64 // when the network said that the peer is unreachable; 0 when heard since
	exchanges atomic.Int32 // running on it, either way, or about to; it is not closed for being old then
}

// newLink makes a link of a connection whose handshake is complete.
func (t *Transport) newLink(conn *quic.Conn, addr netip.AddrPort, dialled bool) (*link, error) {
	state := conn.ConnectionState()
	if len(state.TLS.PeerCertificates) == 0 || !state.SupportsDatagrams.Remote {
		return nil, fmt.Errorf("%w: it has no certificate or takes no datagrams", ErrIdentity)
	}
	leaf := state.TLS.PeerCertificates[0]
	id, err := identityIn(leaf, t.config.Cluster) // verified in the handshake
	if err != nil {
		return nil, err
	}
	l := &link{
		t: t, conn: conn, id: id, addr: addr, dialled: dialled, opened: t.now(), notAfter: leaf.NotAfter,
		stop: make(chan struct{}),
	}
	l.used.Store(int64(l.opened))
	l.heard.Store(int64(l.opened))
	return l, nil
}

func (l *link) lastUsed() time.Duration  { return time.Duration(l.used.Load()) }
func (l *link) lastHeard() time.Duration { return time.Duration(l.heard.Load()) }
func (l *link) open() bool               { return l.conn.Context().Err() == nil }

// touch notes that a message goes out, hear that one came in: only that, never a QUIC acknowledgement, shows life.
func (l *link) touch() { l.used.Store(int64(l.t.now())) }

func (l *link) hear() {
	now := int64(l.t.now())
	l.used.Store(now)
	l.heard.Store(now)
	if l.doubt.Load() != 0 {
		l.doubt.Store(0)
	}
}

// worthLess orders idle links by how little is lost when they are closed. The pool's mutex is held.
func (l *link) worthLess(than *link) bool {
	if a, b := l.demoted != 0, than.demoted != 0; a != b {
		return a
	}
	return l.lastUsed() < than.lastUsed()
}

// close ends the connection and returns when the peer could know.
func (l *link) close(code quic.ApplicationErrorCode) { _ = l.conn.CloseWithError(code, "") }

// send empties the queue into the connection. It may block in QUIC when the peer stands still; the queue drops its oldest then.
func (l *link) send(q *queue) {
	for {
		b := q.pop()
		if b == nil {
			select {
			case <-q.wake:
				continue
			case <-l.stop:
				// The token that ends this wait may have been meant for the successor.
				select {
				case q.wake <- struct{}{}:
				default:
				}
				return
			case <-l.conn.Context().Done():
				return
			}
		}
		l.touch() // before: what the network says about this packet may come at once
		err := l.conn.SendDatagram(b.data[:b.n])
		if err == nil {
			l.t.stats.sent.Add(1)
			l.t.stats.sentBytes.Add(uint64(b.n))
		} else {
			l.unsent(err)
		}
		buffers.Put(b)
		if err != nil && !l.open() {
			return
		}
	}
}

// unsent counts a datagram that QUIC did not take.
func (l *link) unsent(err error) {
	var tooLarge *quic.DatagramTooLargeError
	if errors.As(err, &tooLarge) { // the peer takes less than it should
		l.t.stats.oversize.Add(1)
	} else {
		l.t.stats.lost.Add(1)
	}
}

// receive drains QUIC's short receive queue at once, and sees the end of the connection.
func (l *link) receive() {
	defer l.t.ended(l)
	if !l.awaitServe() {
		return
	}
	for {
		datagram, err := l.conn.ReceiveDatagram(context.Background())
		if err != nil {
			return // the connection is over
		}
		if len(datagram) == 0 || len(datagram) > swim.DatagramMax {
			l.t.stats.malformed.Add(1)
			continue
		}
		if l.t.closing.Load() {
			continue
		}
		l.hear()
		l.t.stats.received.Add(1)
		l.t.stats.receivedBytes.Add(uint64(len(datagram)))
		l.t.handler.HandleDatagram(l.id, l.addr, datagram)
	}
}

// awaitServe waits until there is a handler; it reports false when the connection ended before.
func (l *link) awaitServe() bool {
	select {
	case <-l.t.served:
		return true
	case <-l.conn.Context().Done():
		return false
	}
}

// cause says what the end of the connection tells about the peer, 0 for nothing, and whether it ended because the peer
// would not have it: our certificate is not accepted there, or there is no room.
func (l *link) cause() (how swim.Down, refused bool) {
	<-l.conn.Context().Done() // what runs on a connection fails a moment before the cause is known
	err := context.Cause(l.conn.Context())
	var application *quic.ApplicationError
	var reset *quic.StatelessResetError
	switch {
	case errors.As(err, &reset):
		return swim.DownReset, false
	case errors.As(err, &application) && application.Remote:
		if application.ErrorCode == codeLeaving {
			return swim.DownClosed, false
		}
		return 0, application.ErrorCode == codeFull
	default:
		return 0, isCertificateAlert(err)
	}
}
