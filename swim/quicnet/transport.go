package quicnet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"rollcall/swim"
	"rollcall/swim/agent"
)

// Transport is a member's end of every connection. Make one with [Listen]; it holds a socket and goroutines until
// [Transport.Close] or [Transport.Kill].
type Transport struct {
	config   Config
	logger   *slog.Logger
	socket   net.PacketConn
	quic     *quic.Transport
	listener *quic.Listener
	settings *quic.Config
	local    netip.AddrPort
	epoch    time.Time // link times count from here

	handler agent.Handler
	served  chan struct{} // closed once handler is set

	ctx      context.Context // ends when the transport closes
	cancel   context.CancelCauseFunc
	closing  atomic.Bool
	shutdown sync.Once
	closed   chan struct{} // closed when the shutdown is through
	closeErr error
	wg       sync.WaitGroup // everything that may call the handler; grows under mu and only while not closing

	serving  chan struct{} // a token for each state exchange being answered
	halfOpen atomic.Int64  // incoming handshakes in flight
	refused  chan netip.AddrPort
	tcp      *net.TCPListener // for tethers; nil where the port could not be had
	greeting chan struct{}    // a token for each accepted tether whose handshake is in flight
	stats    *counters
	names    dialNames

	mu       sync.Mutex // guards what follows; never held while a handler or QUIC is called
	peers    map[swim.ID]*peer
	unnamed  map[netip.AddrPort]*dial // dials to whoever answers
	links    map[*link]struct{}
	dials    map[*dial]struct{}
	backoffs map[netip.AddrPort]backoff
	tethered swim.Peer           // whom this member holds on to
	untether context.CancelFunc  // lets it go; nil when there is none
	tethers  map[swim.ID]*tether // of those that hold on to this member
}

var (
	_ agent.Transport = (*Transport)(nil)
	_ agent.Tetherer  = (*Transport)(nil)
	_ agent.Warmer    = (*Transport)(nil)
)

// Listen binds the socket and begins to answer handshakes; nothing is delivered before [Transport.Serve].
func Listen(config Config) (*Transport, error) {
	config.Limits = config.Limits.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	bound, err := bind(config.Bind)
	if err != nil {
		return nil, fmt.Errorf("quicnet: bind %v: %w: choose a free address of this machine", config.Bind, err)
	}
	refused := make(chan netip.AddrPort, refusedMax)
	stats := &counters{}
	socket, err := newSocket(bound.udp, newScreen(stats), refused)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("quicnet: socket options of %v: %w", config.Bind, err), bound.close())
	}
	_ = errors.Join(bound.udp.SetReadBuffer(socketBuffer), bound.udp.SetWriteBuffer(socketBuffer)) // what came of it is reported below
	t, err := listenOn(config, socket, refused, stats)
	if err != nil {
		return nil, errors.Join(err, bound.close())
	}
	if read, write := bufferSizes(bound.udp); read < socketBuffer || write < socketBuffer {
		t.logger.Info("the system gives small UDP buffers, bursts may be lost: raise net.core.rmem_max and wmem_max",
			"asked", socketBuffer, "read", read, "write", write)
	}
	if t.tcp = bound.tcp; t.tcp == nil {
		t.logger.Warn("no TCP at this member's port: whoever waits for it to end hears of it later, all else works",
			"addr", t.local, "error", bound.noTCP)
	}
	return t, nil
}

// listenOn is Listen on a socket that is there, which it does not close on error, and which counts into stats.
func listenOn(config Config, socket net.PacketConn, refused chan netip.AddrPort, stats *counters) (*Transport, error) {
	t := &Transport{
		config:   config,
		logger:   config.Logger,
		socket:   socket,
		local:    addrPort(socket.LocalAddr()),
		epoch:    time.Now(),
		served:   make(chan struct{}),
		closed:   make(chan struct{}),
		serving:  make(chan struct{}, config.Limits.Exchanges),
		refused:  refused,
		stats:    stats,
		peers:    map[swim.ID]*peer{},
		unnamed:  map[netip.AddrPort]*dial{},
		links:    map[*link]struct{}{},
		dials:    map[*dial]struct{}{},
		backoffs: map[netip.AddrPort]backoff{},
		greeting: make(chan struct{}, greetingMax),
		tethers:  map[swim.ID]*tether{},
	}
	if t.logger == nil {
		t.logger = slog.New(slog.DiscardHandler)
	}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	t.settings = &quic.Config{
		Versions:                       []quic.Version{quic.Version1},
		HandshakeIdleTimeout:           config.handshake(),
		MaxIdleTimeout:                 idleMax,
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         streamWindow,
		InitialConnectionReceiveWindow: linkWindow,
		MaxConnectionReceiveWindow:     linkWindow,
		MaxIncomingStreams:             streamsMax,
		MaxIncomingUniStreams:          -1,
		InitialPacketSize:              packetSize,
		DisablePathMTUDiscovery:        true,
		EnableDatagrams:                true,
		Tracer:                         drops{t}.ofConnections(),
	}
	t.quic = &quic.Transport{
		Conn:                             socket,
		ConnectionIDLength:               connectionIDSize,
		VerifySourceAddress:              func(net.Addr) bool { return t.halfOpen.Load() > int64(config.Limits.HalfOpen) },
		ConnContext:                      t.countHandshake,
		Tracer:                           drops{t},
		DisableVersionNegotiationPackets: true, // there is one version; strangers get no answer
	}
	key := quic.StatelessResetKey(config.ResetKey)
	if key == (quic.StatelessResetKey{}) {
		_, _ = rand.Read(key[:]) // never fails
	}
	t.quic.StatelessResetKey = &key
	quietQUIC()
	listener, err := t.quic.Listen(t.serverTLS(protocolName, t.judge), t.settings)
	if err != nil {
		t.cancel(ErrClosed)
		return nil, errors.Join(fmt.Errorf("quicnet: listen on %v: %w", t.local, err), t.quic.Close())
	}
	t.listener = listener
	t.wg.Go(t.housekeep)
	return t, nil
}

// LocalAddr is the address that the socket is bound to, with its real port.
func (t *Transport) LocalAddr() netip.AddrPort { return t.local }

// Serve starts delivering to h. It may be called once; a second call panics. After Close it does nothing.
func (t *Transport) Serve(h agent.Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.handler != nil {
		panic("quicnet: Serve called twice")
	}
	t.handler = h
	close(t.served)
	if t.closing.Load() {
		return
	}
	t.wg.Go(t.accept)
	if t.tcp != nil {
		t.wg.Go(t.acceptTethers)
	}
}

// accept lets in whoever has completed the handshake, which includes our look at the certificate.
func (t *Transport) accept() {
	for {
		conn, err := t.listener.Accept(t.ctx)
		if err != nil {
			if !t.closing.Load() { // the socket broke: Send and Exchange will say so too
				t.logger.Error("no more connections are accepted: restart the member", "error", err)
			}
			return
		}
		if h, ok := conn.Context().Value(handshakeKey{}).(*handshake); ok {
			h.end(t, true)
		}
		l, err := t.newLink(conn, addrPort(conn.RemoteAddr()), false)
		if err == nil {
			err = t.admit(l, nil)
		}
		if err != nil {
			t.logger.Debug("connection not kept", "addr", addrPort(conn.RemoteAddr()), "error", err)
			_ = conn.CloseWithError(codeFull, "")
		}
	}
}

// handshake counts one incoming handshake while it is in flight.
type handshake struct {
	ended atomic.Bool
	stop  func() bool
}

type handshakeKey struct{}

func (t *Transport) countHandshake(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if t.halfOpen.Load() >= halfOpenFactor*int64(t.config.Limits.HalfOpen) {
		t.stats.refused.Add(1)
		return nil, errors.New("too many handshakes in flight")
	}
	t.halfOpen.Add(1)
	h := &handshake{}
	h.stop = context.AfterFunc(ctx, func() { h.end(t, false) })
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

func (h *handshake) end(t *Transport, completed bool) {
	if !h.ended.CompareAndSwap(false, true) {
		return
	}
	t.halfOpen.Add(-1)
	if completed {
		h.stop()
	} else {
		t.stats.refused.Add(1)
	}
}

// Close ends every connection so that the peers know at once that this member leaves, and releases the socket. It tells
// them for 2 s at most, less when ctx ends. When it returns nil, no handler call is running or will come. The only error
// is a handler that has still not returned; everything else is released then too. Further calls wait for the first one
// and return the same. A handler must not call it.
func (t *Transport) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tellMax)
	defer cancel()
	t.shutdown.Do(func() { t.shut(ErrClosed, func() { t.farewell(ctx) }) })
	<-t.closed
	return t.closeErr
}

// Kill releases everything at once and tells nobody, as if the process had been killed.
func (t *Transport) Kill() {
	t.shutdown.Do(func() { t.shut(errKilled, func() { _ = t.socket.Close() }) })
	<-t.closed
}

// shut does what Close and Kill share; why and ending are where they differ.
func (t *Transport) shut(why error, ending func()) {
	defer close(t.closed)
	patience := time.NewTimer(closeMax)
	defer patience.Stop()
	t.mu.Lock()
	t.closing.Store(true) // from here on nothing is added to wg, links and dials
	t.mu.Unlock()
	ending()
	t.cancel(why)      // ends tethers too
	_ = t.quic.Close() // ends what connections are left
	_ = t.socket.Close()
	if t.tcp != nil {
		_ = t.tcp.Close()
	}

	done := make(chan struct{})
	go func() {
		t.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-patience.C:
		t.closeErr = fmt.Errorf("quicnet: a handler has not returned within %v, though the transport closes", closeMax)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.peers {
		t.stats.lost.Add(uint64(p.queue.clear()))
	}
}

// farewell closes all connections in parallel.
func (t *Transport) farewell(ctx context.Context) {
	t.mu.Lock()
	var told sync.WaitGroup
	for l := range t.links {
		told.Go(func() { l.close(codeLeaving) })
	}
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		told.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// now is the time since the transport began.
func (t *Transport) now() time.Duration { return time.Since(t.epoch) }

// isOwn reports whether packets to addr would come back to this very socket.
func (t *Transport) isOwn(addr netip.AddrPort) bool {
	if addr.Port() != t.local.Port() {
		return false
	}
	if !t.local.Addr().IsUnspecified() {
		return addr.Addr() == t.local.Addr()
	}
	if addr.Addr().IsLoopback() || addr.Addr().IsUnspecified() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(addr.Addr().AsSlice()) {
			return true
		}
	}
	return false
}

// addrPort is a's address in the form that compares: IPv4 is never mapped into IPv6.
func addrPort(a net.Addr) netip.AddrPort {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok { // UDP's, TCP's
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// quietQUIC keeps quic-go from writing about buffers to the process's standard logger.
var quietQUIC = sync.OnceFunc(func() {
	const variable = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"
	if _, set := os.LookupEnv(variable); !set {
		_ = os.Setenv(variable, "true")
	}
})
