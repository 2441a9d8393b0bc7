package quicnet

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"rollcall/swim"
)

// Config of a [Transport]. Cluster, ID, Bind and Credentials are required.
type Config struct {
	Cluster     string         // members of other clusters are refused
	ID          swim.ID        // this member; the credentials' certificate must name it
	Bind        netip.AddrPort // UDP address for both directions; port 0 lets the system choose
	Credentials Credentials
	// ResetKey lets peers of an earlier run notice the restart with the next packet, if it is the same as in that run. Keep
	// it secret: whoever has it can end connections. Zero means a random one.
	ResetKey [32]byte
	Limits   Limits
	// OnConflict, if set, is called when another process proves to have this member's own id, with the address it was
	// seen at. It must not block.
	OnConflict func(addr netip.AddrPort)
	Logger     *slog.Logger // nil discards; one that takes debug records has a price, see [Stats]

	tetherPause    time.Duration // tests have less patience; 0 means tetherPauseMin
	handshakeLimit time.Duration // and busy machines need more; 0 means handshakeMax
}

// Credentials are asked again for each handshake, so they may be replaced while the transport runs.
type Credentials interface {
	// Certificate is this member's, with its private key.
	Certificate() *tls.Certificate
	// Roots are the authorities whose members are let in.
	Roots() *x509.CertPool
}

// Limits of a [Transport]. A zero field means its default.
type Limits struct {
	// Connections bounds the connections to all peers, in both directions, with those being dialled; at least 4. One more
	// makes the one used longest ago close. Default 256.
	Connections int
	// IdleConnections bounds those of them that carried nothing for ten seconds. Default 32.
	IdleConnections int
	// Idle is how long a connection may carry nothing before it is closed; 1 s to 30 s. Default 25 s: less than the 30 s
	// after which QUIC itself drops it without a word.
	Idle time.Duration
	// Exchange bounds one state exchange, on either side; a context may ask for less. Default 10 s.
	Exchange time.Duration
	// Exchanges bounds the state exchanges being answered at once. More are refused. Default 32.
	Exchanges int
	// HalfOpen is the number of incoming handshakes in flight above which strangers must first prove their address (one
	// more round trip, no state kept for them). Eight times as many are refused. Default 32.
	HalfOpen int
}

// Bounds that need no choice.
const (
	protocolName = "rollcall/1" // ALPN

	sendQueueMax = 32        // datagrams waiting for one peer: a few probe rounds; older ones are worthless
	dialsMax     = 8         // young dials in flight for datagrams: more at once are a storm, which more handshakes feed
	silentMax    = 24        // dials in flight besides, older than dialFresh: nobody answers, so they cost no more CPU
	backoffsMax  = 1024      // addresses whose last dial failed and that are spared for a moment
	refusedMax   = 64        // reports of unreachable ports waiting to be looked at
	streamsMax   = 8         // state exchanges that one peer may have open with us
	streamWindow = 64 << 10  // bytes in flight to us on one stream
	linkWindow   = 128 << 10 // bytes in flight to us on one connection
	// With this the smallest ping, 16 bytes, makes a packet of 43: only longer ones than 42 are answered by a stateless reset.
	connectionIDSize = 7
	packetSize       = 1200                   // UDP payload; every IPv6 path carries it, and 1,160 bytes of datagram fit
	socketBuffer     = 2 << 20                // bytes asked for, each way
	handshakeMax     = 2 * time.Second        // for one dial
	dialFresh        = 300 * time.Millisecond // after which a dial that is not through has most likely met nobody
	idleMax          = 30 * time.Second       // QUIC's own idle timeout, the backstop
	recentlyUsed     = 10 * time.Second       // a connection that carried something so recently is not counted as idle
	tick             = time.Second            // between two looks at what has aged
	drainFor         = time.Second            // a superseded connection still receives for so long
	staleAfter       = 3 * time.Second        // silence after which a peer is looked for at the address the caller names
	doubtFor         = 2 * time.Second        // a connection reported unreachable may prove for so long that it isn't
	closeMax         = 2 * time.Second        // for Close
	tellMax          = time.Second            // of that, for telling everybody
	backoffMin       = 100 * time.Millisecond
	backoffMax       = 2 * time.Second
	failedLately     = 30 * time.Second // after a failed dial its address yields to others
	halfOpenFactor   = 8
)

// handshake is how long one may take.
func (c Config) handshake() time.Duration { return cmp.Or(c.handshakeLimit, handshakeMax) }

func (l Limits) withDefaults() Limits {
	set := func(field *int, standard int) {
		if *field == 0 {
			*field = standard
		}
	}
	set(&l.Connections, 256)
	set(&l.IdleConnections, 32)
	set(&l.Exchanges, 32)
	set(&l.HalfOpen, 32)
	if l.Idle == 0 {
		l.Idle = 25 * time.Second
	}
	if l.Exchange == 0 {
		l.Exchange = 10 * time.Second
	}
	return l
}

func (l Limits) validate() error {
	switch {
	case l.Connections < 4:
		return fmt.Errorf("quicnet: Limits.Connections is %d: it must be at least 4", l.Connections)
	case l.IdleConnections < 0:
		return fmt.Errorf("quicnet: Limits.IdleConnections is %d: it must not be negative", l.IdleConnections)
	case l.Idle < time.Second || l.Idle > idleMax:
		return fmt.Errorf("quicnet: Limits.Idle is %v: it must be 1s to %v", l.Idle, idleMax)
	case l.Exchange < 0:
		return fmt.Errorf("quicnet: Limits.Exchange is %v: it must be more than zero", l.Exchange)
	case l.Exchanges < 1:
		return fmt.Errorf("quicnet: Limits.Exchanges is %d: it must be at least 1", l.Exchanges)
	case l.HalfOpen < 1:
		return fmt.Errorf("quicnet: Limits.HalfOpen is %d: it must be at least 1", l.HalfOpen)
	}
	return nil
}

// validate checks c, whose limits are complete, and that the credentials are those of the member it names.
func (c Config) validate() error {
	switch {
	case !swim.ID(c.Cluster).Valid():
		return fmt.Errorf("quicnet: Cluster is %q: it must be 1 to %d of A-Z a-z 0-9 _ -", c.Cluster, swim.IDMax)
	case !c.ID.Valid():
		return fmt.Errorf("quicnet: ID is %q: it must be 1 to %d of A-Z a-z 0-9 _ -", c.ID, swim.IDMax)
	case !c.Bind.IsValid():
		return errors.New("quicnet: Bind is not set: it must be an address and a port, such as 127.0.0.1:0")
	case c.Credentials == nil || c.Credentials.Certificate() == nil || c.Credentials.Roots() == nil:
		return errors.New("quicnet: Credentials are not set: they must hold a certificate and the roots to trust")
	}
	certificate := c.Credentials.Certificate()
	if len(certificate.Certificate) == 0 {
		return errors.New("quicnet: Credentials hold an empty certificate")
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return fmt.Errorf("quicnet: certificate in Credentials: %w", err)
	}
	id, err := identityIn(leaf, c.Cluster)
	if err != nil {
		return fmt.Errorf("quicnet: certificate in Credentials: %w", err)
	}
	if id != c.ID {
		return fmt.Errorf("quicnet: certificate in Credentials: it names %s, and ID is %s: use this member's own", id, c.ID)
	}
	return c.Limits.validate()
}
