// Package natsd runs a NATS server with JetStream inside this process, for people who have none: one machine, one
// directory, one listener on loopback or no listener at all.
//
//	srv, err := natsd.Start(ctx, natsd.Config{Dir: "data/nats", Listen: "127.0.0.1:4222"})
//	if err != nil {
//		return err
//	}
//	defer srv.Shutdown()
//	log, err := jslog.Connect(ctx, jslog.Config{InProcess: srv, Cluster: "default", Provision: true})
//
// It promises that an acknowledged message is on disk: unless Config.SyncInterval says otherwise every write is flushed
// before it is acknowledged, which costs about half a millisecond each. The server's own default flushes every two
// minutes; a power cut then takes everything acknowledged since.
//
// A server can be shut down and started again on the same directory and the same port. One directory belongs to one
// server at a time, and a second one, in this process or another, is refused.
//
// Beyond loopback it listens only with TLS and users ([Access]), who may then do what their permissions say and no more:
//
//	natsd.Config{Dir: dir, Listen: "10.0.0.1:4222", Access: natsd.Access{
//		CertFile: "nats/tls/rollcall-1.pem", KeyFile: "nats/tls/rollcall-1-key.pem", UsersFile: "nats/users.conf"}}
//
// Its limits: it is never part of a NATS cluster, so there are no replicas, and users change with the next start.
package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTimeout bounds the time until the server is ready. Most of it is the recovery of what the directory holds, a few
// hundred milliseconds for a million messages; a disk under load may need many times that.
const startTimeout = 30 * time.Second

// Config says where the server keeps its files and where it listens.
type Config struct {
	// Dir holds everything the server knows. It is made when it does not exist. Required.
	Dir string
	// Listen is the host:port for clients over TCP; the host must be loopback unless Access has TLS and users, port 0 takes a
	// free one. Empty means no TCP listener at all: the only way in is Server.InProcessConn.
	Listen string
	// Access is who may connect at Listen, and how.
	Access Access
	// ServerName is shown in logs and client info; "rollcall" when empty.
	ServerName string
	// SyncInterval relaxes durability: 0 flushes every write before it is acknowledged; more flushes that often, and
	// what was acknowledged in between does not survive a power cut (a killed process loses nothing either way).
	SyncInterval time.Duration
	// Logger receives what the server has to say: notices at debug level, warnings and errors at theirs. Nil discards.
	Logger *slog.Logger
}

// ErrLocked is an error of Start, as are [ErrDamaged] and those of an [Access]. Nothing runs after any of them.
var ErrLocked = errors.New("the directory is in use by another server")

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	nats  *server.Server
	lock  *os.File
	user  *ownUser // nil while there are no users
	sync  string
	url   string
	close func()
}

// Start runs a server and returns when it takes connections, which is bounded by ctx and by half a minute. ctx matters
// for the start alone: only Shutdown ends the server.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start the embedded NATS server: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock, sync: durability(cfg.SyncInterval)}
	if opts.Nkeys != nil {
		s.user, err = newOwnUser(opts)
	}
	if err == nil {
		s.nats, err = server.NewServer(opts)
	}
	if err != nil {
		unlock(lock)
		return nil, fmt.Errorf("configure the embedded NATS server: %w", err)
	}
	s.close = sync.OnceFunc(s.stop)
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	logs := &serverLog{to: logger, fatal: make(chan string, 1)}
	s.nats.SetLoggerV2(logs, false, false, false)
	if err := s.run(ctx, cfg.Dir, logs.fatal); err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("start the embedded NATS server in %s: %w", cfg.Dir, err)
	}
	s.tellStats()
	if cfg.Listen != "" {
		s.url = s.nats.ClientURL()
	}
	logger.Info("embedded NATS server ready", "dir", cfg.Dir, "url", s.url, "durability", s.sync)
	return s, nil
}

// run starts the server and waits until it is ready with all that dir holds, has failed, or takes too long.
func (s *Server) run(ctx context.Context, dir string, fatal <-chan string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	started := make(chan struct{})
	go func() {
		defer close(started)
		s.nats.Start()
	}()
	select {
	case <-started:
	case msg := <-fatal:
		return errors.New(msg)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case msg := <-fatal:
		return errors.New(msg)
	default:
	}
	deadline, _ := ctx.Deadline()
	if !s.nats.ReadyForConnections(time.Until(deadline)) {
		return errors.New("it did not become ready in time")
	}
	return s.whole(dir)
}

// tellStats lets clients ask how the server is set, as they may ask other servers that are set up for it (jslog.StatsSubject).
// Where that fails, they are told that they cannot.
func (s *Server) tellStats() {
	const subject = "$SYS.REQ.SERVER.PING.STATSZ"
	system := s.nats.SystemAccount()
	if system.AddServiceExportWithResponse(subject, server.Streamed, nil) == nil {
		_ = s.nats.GlobalAccount().AddServiceImport(system, subject, subject)
	}
}

// URL is where clients connect over TCP, "nats://127.0.0.1:4222"; empty when there is no listener.
func (s *Server) URL() string { return s.url }

// InProcessConn returns a connection to the server that passes through no socket. nats.go and jslog dial with it.
func (s *Server) InProcessConn() (net.Conn, error) {
	conn, err := s.nats.InProcessConn()
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded NATS server: %w", err)
	}
	return conn, nil
}

// InProcessUser is who this process is to the server, over an in-process connection: an nkey, and how to prove that it is
// one's own. The key is empty while the server has no users. That user may do everything, as the owner of the directory may.
func (s *Server) InProcessUser() (publicKey string, sign func(nonce []byte) ([]byte, error)) {
	if s.user == nil {
		return "", nil
	}
	return s.user.public, s.user.pair.Sign
}

// Durability says in a few words what an acknowledgement of this server is worth.
func (s *Server) Durability() string { return s.sync }

// Shutdown stops the server and returns when its files are closed and its port is free. Calling it again waits for the
// same and does nothing else.
func (s *Server) Shutdown() { s.close() }

func (s *Server) stop() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	unlock(s.lock)
}

// options translates the configuration for the server, or says what is wrong with it.
func (cfg Config) options() (*server.Options, error) {
	if cfg.Dir == "" {
		return nil, errors.New("embedded NATS server: Dir is empty; it must name a directory of its own")
	}
	if cfg.SyncInterval < 0 {
		return nil, fmt.Errorf("embedded NATS server: SyncInterval is %v; it must not be negative", cfg.SyncInterval)
	}
	opts := &server.Options{
		ServerName:             cfg.ServerName,
		JetStream:              true,
		StoreDir:               cfg.Dir,
		SyncAlways:             cfg.SyncInterval == 0,
		SyncInterval:           cfg.SyncInterval,
		DontListen:             cfg.Listen == "",
		NoSigs:                 true, // signals belong to the process that embeds the server
		DisableJetStreamBanner: true,
	}
	if opts.ServerName == "" {
		opts.ServerName = "rollcall"
	}
	if opts.DontListen {
		return opts, nil
	}
	if err := cfg.Access.Check(cfg.Listen); err != nil {
		return nil, fmt.Errorf("embedded NATS server: Listen: %w", err)
	}
	opts.Host, opts.Port, _ = split(cfg.Listen) // which Check has done
	return opts, cfg.Access.secure(opts)
}

func durability(interval time.Duration) string {
	if interval == 0 {
		return "every write is flushed to disk before it is acknowledged"
	}
	return fmt.Sprintf("flushed to disk every %v: a power cut loses what was acknowledged since", interval)
}

// lockDir makes dir if need be and takes it for this server, because nats-server itself lets two servers write into one
// directory and ruin it.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded NATS server: make its directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "natsd.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS server: its directory is not writable: %w", err)
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded NATS server: %s: %w: stop it, or choose another directory (%w)",
			dir, ErrLocked, err), f.Close())
	}
	return f, nil
}

// unlock gives the directory free. The lock goes with the open file, so that a killed process leaves none behind.
func unlock(f *os.File) { _ = f.Close() }
