// Package httpserver starts the HTTP servers of the binaries: all with the same limits, none reachable from beyond this
// machine without TLS and credentials.
//
//	s, err := httpserver.Listen("127.0.0.1:8080", log)
//	s.Start(handler)
//	defer s.Close()
package httpserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Limits of every server. There is none on writing: a stream of events may last.
const (
	headerLimit    = 5 * time.Second // of reading a request's header
	idleLimit      = 2 * time.Minute // of a connection between requests
	headerBytesMax = 16 << 10
)

// ErrNotLoopback says that an address could be reached from elsewhere.
var ErrNotLoopback = errors.New("only loopback is served without TLS and credentials; use 127.0.0.1, ::1 or localhost")

// CheckAddress refuses what is not HOST:PORT on loopback.
func CheckAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q: want HOST:PORT: %w", address, err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s: %w", address, ErrNotLoopback)
	}
	return nil
}

// Server listens from the moment it is made and answers from Start on.
type Server struct {
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
}

// Listen takes the address, which must pass CheckAddress.
func Listen(address string, log *slog.Logger) (*Server, error) {
	if err := CheckAddress(address); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address, or port 0 for a free one", err)
	}
	return &Server{listener: listener, server: &http.Server{
		ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, MaxHeaderBytes: headerBytesMax,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}, nil
}

// Addr is where the server listens, with its real port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Start serves handler until Close. It is called once.
func (s *Server) Start(handler http.Handler) {
	s.server.Handler = handler
	s.serving.Go(func() { _ = s.server.Serve(s.listener) }) // ends with ErrServerClosed
}

// Close ends every connection, streams too, and waits until the server has stopped.
func (s *Server) Close() error {
	err := s.server.Close()
	if closeErr := s.listener.Close(); err == nil && !errors.Is(closeErr, net.ErrClosed) {
		err = closeErr
	}
	s.serving.Wait()
	return err
}
