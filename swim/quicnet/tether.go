package quicnet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"rollcall/swim"
)

// A tether is an idle TCP connection between two members, beside QUIC and at the same port. When a process dies, however it
// dies, its kernel closes the connection at once, and the other end learns by it what QUIC would learn with its next packet
// only. It is a hint like any other: it brings a probe forward.
//
// After a TLS handshake with the same certificates and the same judgement as QUIC's, the side that accepted writes one
// byte, since only it knows whether it let the other in, and the other answers with one: the tether stands. Whoever lets it
// go while it lives writes one byte more. An end without that byte is what the tether is for. Nothing else is ever
// sent, keepalives included.
//
// Each member holds one tether, to a peer of its agent's choice, and accepts those of others.
const (
	tetherProtocol = "rollcall-tether/1" // ALPN
	tethersMax     = 64                  // accepted ones that stand; one is the rule, views that still differ make it a few
	greetingMax    = 16                  // accepted ones whose handshake is in flight; more are closed unheard
	tetherPauseMin = time.Second         // before the first dial, since a successor may change again at once, and after a failure
	tetherPauseMax = time.Minute         // twice as long after each further failure, up to this
	farewellMax    = 100 * time.Millisecond
)

// tether is one that stands.
type tether struct {
	conn   *tls.Conn
	id     swim.ID
	addr   netip.AddrPort
	opened time.Duration
	let    atomic.Bool // we let it go: its end says nothing
}

// letGo ends a tether in a way that tells nothing about this process.
func (r *tether) letGo() {
	if !r.let.CompareAndSwap(false, true) {
		return
	}
	_ = r.conn.SetWriteDeadline(time.Now().Add(farewellMax))
	_ = say(r.conn) // a peer that misses it looks once for nothing
	_ = r.conn.NetConn().Close()
}

// drop ends a tether as the end of the process does.
func (r *tether) drop() {
	r.let.Store(true)
	_ = r.conn.NetConn().Close()
}

// part ends a tether in the way in which ctx ended.
func (r *tether) part(ctx context.Context) {
	if errors.Is(context.Cause(ctx), errKilled) {
		r.drop()
	} else {
		r.letGo()
	}
}

// Tether holds on to a peer from now on, instead of the one before; see [agent.Tetherer]. It tries for ever, at most
// every second and at least every minute.
func (t *Transport) Tether(to swim.Peer) {
	to.Addr = unmap(to.Addr)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing.Load() || to == t.tethered {
		return
	}
	t.tethered = to
	if t.untether != nil {
		t.untether()
		t.untether = nil
	}
	if to.ID == "" || !t.dialable(to) {
		return
	}
	var ctx context.Context
	ctx, t.untether = context.WithCancel(t.ctx)
	t.wg.Go(func() { t.holdOn(ctx, to) })
}

// holdOn keeps a tether to a peer until ctx ends.
func (t *Transport) holdOn(ctx context.Context, to swim.Peer) {
	first := cmp.Or(t.config.tetherPause, tetherPauseMin)
	for failures := 0; ; failures++ {
		pause := time.NewTimer(min(first<<min(failures, 8), tetherPauseMax))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		r, err := t.dialTether(ctx, to)
		if err != nil {
			if ctx.Err() == nil {
				t.stats.tethersFailed.Add(1)
				t.logger.Debug("no tether", "peer", to.ID, "addr", to.Addr, "error", err)
			}
			continue
		}
		t.watch(ctx, r)
		if t.now()-r.opened > tetherPauseMax {
			failures = 0
		}
	}
}

// dialTether connects, and waits for the word that the tether stands.
func (t *Transport) dialTether(ctx context.Context, to swim.Peer) (*tether, error) {
	ctx, cancel := context.WithTimeout(ctx, t.config.handshake())
	defer cancel()
	dialer := net.Dialer{KeepAlive: -1}
	dialer.SetMultipathTCP(false)
	if !t.local.Addr().IsUnspecified() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.local.Addr(), 0))
	}
	raw, err := dialer.DialContext(ctx, "tcp", to.Addr.String())
	if err != nil {
		return nil, err
	}
	name := t.names.begin()
	defer t.names.end(name)
	var verdict atomic.Pointer[error]
	conn := tls.Client(raw, t.dialTLS(tetherProtocol, name, to, &verdict))
	if err = conn.HandshakeContext(ctx); err == nil {
		err = shake(ctx, conn, hear, say)
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return &tether{conn: conn, id: to.ID, addr: to.Addr, opened: t.now()}, nil
}

// say writes, and hear reads, the byte that has no meaning but that it came.
func say(conn *tls.Conn) error {
	_, err := conn.Write([]byte{0})
	return err
}

func hear(conn *tls.Conn) error {
	var word [1]byte
	_, err := conn.Read(word[:])
	return err
}

// shake goes the last steps, in their order, until a tether stands. The end of ctx breaks them off and leaves conn open: the
// other side may be further, and a close without a word would tell it what is not so.
func shake(ctx context.Context, conn *tls.Conn, steps ...func(*tls.Conn) error) (err error) {
	broken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Now())
		close(broken)
	})
	for _, step := range steps {
		if err = step(conn); err != nil {
			break
		}
	}
	if !stop() {
		<-broken // no deadline comes later than this
	}
	return err
}

// acceptTethers lets members hold on to this one.
func (t *Transport) acceptTethers() {
	for {
		raw, err := t.tcp.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptors left, as a rule
			t.logger.Debug("no tether accepted", "error", err)
			select {
			case <-time.After(tetherPauseMin):
			case <-t.ctx.Done():
				return
			}
			continue
		}
		select {
		case t.greeting <- struct{}{}:
			t.wg.Go(func() { t.heldBy(raw) }) // wg is not zero here: this goroutine counts
		default:
			t.stats.tethersRefused.Add(1)
			_ = raw.Close()
		}
	}
}

// heldBy is the life of an accepted tether.
func (t *Transport) heldBy(raw *net.TCPConn) {
	r, err := t.greet(raw)
	<-t.greeting
	if err != nil {
		t.stats.tethersRefused.Add(1)
		t.logger.Debug("tether refused", "addr", raw.RemoteAddr(), "error", err)
		_ = raw.Close()
		return
	}
	t.mu.Lock()
	for _, other := range t.supersededLocked(r.id) {
		t.wg.Go(other.letGo)
	}
	t.tethers[r.id] = r
	t.mu.Unlock()
	t.watch(t.ctx, r)
	t.mu.Lock()
	if t.tethers[r.id] == r {
		delete(t.tethers, r.id)
	}
	t.mu.Unlock()
}

// greet runs the handshake of an accepted tether.
func (t *Transport) greet(raw *net.TCPConn) (*tether, error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.config.handshake())
	defer cancel()
	// TCP's port is not the member's, so another process under our id is refused and not reported: QUIC reports it.
	conn := tls.Server(raw, t.serverTLS(tetherProtocol, t.recognize))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != tetherProtocol {
		return nil, fmt.Errorf("%w: it does not speak %s", ErrIdentity, tetherProtocol)
	}
	id, err := identityIn(state.PeerCertificates[0], t.config.Cluster) // verified in the handshake
	if err != nil {
		return nil, err
	}
	r := &tether{conn: conn, id: id, addr: addrPort(raw.RemoteAddr()), opened: t.now()}
	if err := shake(ctx, conn, say, hear); err != nil {
		r.part(ctx) // to the other side it may stand
		return nil, err
	}
	return r, nil
}

// supersededLocked returns the accepted tethers that end because one of id has come: its own last one, and the oldest when
// there are too many. Some may be of peers that are long gone without a sound.
func (t *Transport) supersededLocked(id swim.ID) (ending []*tether) {
	if before := t.tethers[id]; before != nil {
		return []*tether{before}
	}
	if len(t.tethers) < tethersMax {
		return nil
	}
	var oldest *tether
	for _, r := range t.tethers {
		if oldest == nil || r.opened < oldest.opened {
			oldest = r
		}
	}
	delete(t.tethers, oldest.id)
	return []*tether{oldest}
}

// watch waits for the end of a tether, which is when ctx ends at the latest, and passes on what it says. The tether does not
// outlive the certificate it was made with.
func (t *Transport) watch(ctx context.Context, r *tether) {
	t.stats.tethers.Add(1)
	defer t.stats.tethers.Add(-1)
	stop := context.AfterFunc(ctx, func() { r.part(ctx) })
	defer stop()
	_ = r.conn.SetReadDeadline(r.conn.ConnectionState().PeerCertificates[0].NotAfter)
	var word [1]byte
	switch n, err := r.conn.Read(word[:]); {
	case r.let.Load():
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.letGo()
	default:
		r.drop()
		if n == 0 {
			t.stats.tethersCut.Add(1)
			t.down(r.id, r.addr, swim.DownCut)
		}
	}
}
