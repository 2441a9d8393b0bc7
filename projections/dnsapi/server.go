package dnsapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"

	"rollcall/projections/projector"
)

// Bounds of the server.
const (
	TTL            = 2 * time.Second // of every record: about as old as a view may well be
	UDPMax         = 1232            // bytes of an answer over UDP: what passes everywhere without fragments
	ConnectionsMax = 128             // TCP connections at once; further ones wait
	ReadLimit      = 5 * time.Second // of a TCP connection without its first query

	idleLimit    = 10 * time.Second // of a TCP connection between two queries
	writeLimit   = 5 * time.Second
	closeLimit   = 5 * time.Second
	portAttempts = 10 // to find a port that is free for UDP and TCP
)

// ErrConfig says that a field of Config is missing.
var ErrConfig = errors.New("dnsapi config")

// Config says what to serve. Projector is required.
type Config struct {
	Projector *projector.Projector
	Logger    *slog.Logger // nil: nothing is logged
}

// Server listens from the moment it is made and answers from Start on.
type Server struct {
	udp, tcp *dns.Server
	serving  sync.WaitGroup
	log      *slog.Logger
	address  string
	started  bool
}

// Listen takes the address, HOST:PORT, for UDP and for TCP; port 0 takes one that is free for both.
func Listen(address string, cfg Config) (*Server, error) {
	if cfg.Projector == nil {
		return nil, fmt.Errorf("%w: Projector is missing", ErrConfig)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	packets, listener, err := listen(address)
	if err != nil {
		return nil, err
	}
	h := newZone(cfg.Projector)
	s := &Server{
		log: cfg.Logger, address: listener.Addr().String(),
		udp: &dns.Server{PacketConn: packets, Handler: h, UDPSize: UDPMax},
		tcp: &dns.Server{
			Listener: netutil.LimitListener(listener, ConnectionsMax), Handler: h, ReadTimeout: ReadLimit, WriteTimeout: writeLimit,
			IdleTimeout: func() time.Duration { return idleLimit },
		},
	}
	return s, nil
}

// listen opens both sockets on one port.
func listen(address string) (net.PacketConn, net.Listener, error) {
	var last error
	for range portAttempts {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return nil, nil, fmt.Errorf("%w; choose another address, or port 0 for a free one", err)
		}
		packets, err := net.ListenPacket("udp", listener.Addr().String())
		if err == nil {
			return packets, listener, nil
		}
		last = errors.Join(err, listener.Close())
		if _, port, err := net.SplitHostPort(address); err != nil || port != "0" {
			break
		}
	}
	return nil, nil, fmt.Errorf("%w; choose another address, or port 0 for a free one", last)
}

// Addr is where the server listens, with its real port.
func (s *Server) Addr() string { return s.address }

// Start answers until Close. It is called once.
func (s *Server) Start() {
	s.started = true
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		up := make(chan struct{})
		server.NotifyStartedFunc = func() { close(up) }
		s.serving.Go(func() {
			if err := server.ActivateAndServe(); err != nil {
				s.log.Error("DNS is served no more", "error", err)
			}
		})
		<-up // else Close might come first, and find nothing to close
	}
}

// Close ends what is being answered, 5 s at most, and waits until the server has stopped.
func (s *Server) Close() error {
	if !s.started {
		return errors.Join(s.udp.PacketConn.Close(), s.tcp.Listener.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	err := errors.Join(s.udp.ShutdownContext(ctx), s.tcp.ShutdownContext(ctx))
	s.serving.Wait()
	return err
}
