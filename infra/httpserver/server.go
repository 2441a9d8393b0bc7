// Package httpserver starts the HTTP servers of the binaries: all with the same limits, none reachable from beyond this
// machine without TLS and a token.
//
//	s, err := httpserver.Listen(httpserver.Config{Address: "127.0.0.1:8080", Logger: log})
//	s.Start(handler)
//	defer s.Close()
//
// [Access] says who may ask: with a certificate the server speaks TLS alone, with a file of tokens every request but those for
// /livez and /readyz needs one. Certificate, key and tokens are read again when their files change; broken ones are logged and
// the old ones stay in use. Beyond loopback both are required, so nothing is ever changed from elsewhere without a token.
//
// Every limit is a constant of this package. It is HTTP/1.1: one request at a time a connection, so that the bound on connections is one
// on everything that goes on.
package httpserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// ConnectionsMax is how many connections a server has at once; more wait until one ends.
const ConnectionsMax = 8192

// Limits of every server.
const (
	headerLimit    = 5 * time.Second  // of a TLS handshake, and of reading a request's header
	bodyLimit      = 10 * time.Second // of reading a request's body
	answerLimit    = 2 * time.Minute  // of an answer, unless its handler sets the deadline, as that of a stream does
	idleLimit      = 2 * time.Minute  // of a connection between requests
	headerBytesMax = 16 << 10
)

// Config of a server. Address is required.
type Config struct {
	Address     string // HOST:PORT, which must pass Access.Check; port 0 takes a free one
	Access      Access
	Connections int          // at once; 0: ConnectionsMax
	Logger      *slog.Logger // nil: nothing is logged
}

// Server listens from the moment it is made and answers from Start on.
type Server struct {
	listener net.Listener
	server   *http.Server
	guard    *guard // nil: anybody may ask
	secure   bool
	serving  sync.WaitGroup
}

// Listen takes the address, and reads the files that cfg.Access names.
func Listen(cfg Config) (*Server, error) {
	if err := cfg.Access.Check(cfg.Address); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address, or port 0 for a free one", err)
	}
	s, err := newServer(listener, cfg)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return s, nil
}

func newServer(listener net.Listener, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Connections == 0 {
		cfg.Connections = ConnectionsMax
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s := &Server{listener: netutil.LimitListener(listener, cfg.Connections), server: &http.Server{
		ReadHeaderTimeout: headerLimit, WriteTimeout: answerLimit, IdleTimeout: idleLimit, MaxHeaderBytes: headerBytesMax,
		Protocols: &protocols, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}}
	if cfg.Access.CertFile != "" {
		pair, err := followPair(cfg.Access.CertFile, cfg.Access.KeyFile, cfg.Logger)
		if err != nil {
			return nil, err
		}
		s.secure = true
		s.server.TLSConfig = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.get(), nil },
		}
	}
	if cfg.Access.TokenFile != "" {
		tokens, err := followTokens(cfg.Access.TokenFile, cfg.Logger)
		if err != nil {
			return nil, err
		}
		s.guard = &guard{tokens: tokens}
	}
	return s, nil
}

// Addr is where the server listens, with its real port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is Addr with the scheme.
func (s *Server) URL() string {
	if s.secure {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// Start serves handler until Close. It is called once.
func (s *Server) Start(handler http.Handler) {
	handler = timed(handler)
	if s.guard != nil {
		s.guard.next = handler
		handler = s.guard
	}
	s.server.Handler = handler
	s.serving.Go(func() { // both end with ErrServerClosed
		if s.secure {
			_ = s.server.ServeTLS(s.listener, "", "")
		} else {
			_ = s.server.Serve(s.listener)
		}
	})
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

// timed bounds the time of reading a body. The deadline goes with the body's end: one that passed later would look like a
// client that is gone.
func timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			control := http.NewResponseController(w)
			if control.SetReadDeadline(time.Now().Add(bodyLimit)) == nil {
				r.Body = &timedBody{r.Body, control}
			}
		}
		next.ServeHTTP(w, r)
	})
}

type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // it could be set, so it can be taken back
	}
	return n, err
}
