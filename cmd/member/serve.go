package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"rollcall/infra/cli"
)

const (
	headerLimit     = 5 * time.Second // of a request
	idleLimit       = 2 * time.Minute // of a connection between requests
	headerBytesMax  = 16 << 10
	refusedLoopback = "%s %s: only loopback is served without TLS and credentials; use 127.0.0.1, ::1 or localhost"
)

// newServer has the limits that every server of ours has. It has none on writing: a stream of events may last.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, MaxHeaderBytes: headerBytesMax,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// loopbackOnly refuses an address that others could reach.
func loopbackOnly(flag, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return cli.Errorf(cli.ErrUsage, "%s %q: want HOST:PORT: %v", flag, address, err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return cli.Errorf(cli.ErrUsage, refusedLoopback, flag, address)
	}
	return nil
}
