package jslog

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"rollcall/events"
)

// Defaults and bounds of [Config].
const (
	appendTimeoutDefault  = 5 * time.Second  // a leader election of three servers takes about two
	catchUpDefault        = 30 * time.Second // recovering a large log after a crash takes longer than electing its leader
	connectTimeoutDefault = 10 * time.Second // how long Connect waits for a log that is not Lazy
	replicasMax           = 5                // JetStream's own limit
)

// InProcess is an embedded server, such as natsd.Server.
type InProcess interface {
	InProcessConn() (net.Conn, error)
}

// durable is implemented by an embedded server that knows what its acknowledgements are worth.
type durable interface{ Durability() string }

// guarded is implemented by an embedded server that asks even its own process who it is; an empty key means that it does not.
type guarded interface {
	InProcessUser() (publicKey string, sign func(nonce []byte) ([]byte, error))
}

// Config says which log to use and how to reach it. URL or InProcess, and Cluster, are required.
type Config struct {
	// URL is where the servers are, "nats://127.0.0.1:4222"; several are separated by commas. A user and password may
	// be part of it.
	URL string
	// InProcess is an embedded server to use instead of URL.
	InProcess InProcess
	// Cluster is the cluster whose log it is; see events.ValidID.
	Cluster string
	// Name is shown in the server's list of connections.
	Name string
	// CredsFile is a NATS credentials file; it is read again at every reconnect.
	CredsFile string
	// NKeyFile holds the seed of an nkey that the server knows as a user.
	NKeyFile string
	// CAFile holds the certificates, in PEM, that sign the servers'; it is read again at every reconnect. The connection
	// is then over TLS, whatever the URL.
	CAFile string
	// TLS is used for a tls:// URL or a server that asks for it; nil means the system's roots.
	TLS *tls.Config
	// Inbox begins the subjects at which answers arrive. Empty means the user's own, [Inbox], where NKeyFile or CredsFile
	// say who that is, and otherwise [InboxShared]. The user's permissions must let it listen there.
	Inbox string
	// Provision makes the stream when it is not there at the start. A stream that is there is never changed, and one that
	// is deleted later is not made again.
	Provision bool
	// Replicas of a stream that is made, and the least that one found must have. When 0, one that is made has 3 on a
	// server that is one of a cluster and else 1, and one found may have any number.
	Replicas int
	// Lazy makes Connect return while the log is away: it is reached, provisioned and compared in the background.
	Lazy bool
	// AppendTimeout bounds every exchange with the server, an append or a read; 5 s when 0.
	AppendTimeout time.Duration
	// CatchUp is how long a log with several replicas may end earlier than it was read before it counts as replaced; 30 s
	// when 0. Where all servers were away at once, the leader that is chosen first may call it empty for a while.
	CatchUp time.Duration
	// OnStatus is called, from one goroutine, with every new status; some that last only moments may be passed over.
	// It must return soon and must not call Close.
	OnStatus func(Status)
	// Logger is told when the log comes and goes; nil discards.
	Logger *slog.Logger

	inspectEvery time.Duration // the mean; inspectEveryDefault when 0. Tests look more often, or not at all
}

func (cfg Config) validate() error {
	switch {
	case !events.ValidID(cfg.Cluster):
		return fmt.Errorf("jslog: Cluster is %.80q: it must be 1 to %d of A-Z a-z 0-9 _ -", cfg.Cluster, events.IDMax)
	case cfg.URL == "" && cfg.InProcess == nil:
		return errors.New("jslog: URL and InProcess are both empty: one of them must say where the log is")
	case cfg.URL != "" && cfg.InProcess != nil:
		return errors.New("jslog: URL and InProcess are both set: the log is in one place")
	case cfg.CredsFile != "" && cfg.NKeyFile != "":
		return errors.New("jslog: CredsFile and NKeyFile are both set: a connection has one user")
	case cfg.TLS != nil && cfg.CAFile != "":
		return errors.New("jslog: TLS and CAFile are both set: name the authority in one of them")
	case cfg.Replicas < 0 || cfg.Replicas > replicasMax:
		return fmt.Errorf("jslog: Replicas is %d: it must be 0 to %d", cfg.Replicas, replicasMax)
	case cfg.AppendTimeout < 0:
		return fmt.Errorf("jslog: AppendTimeout is %v: it must not be negative", cfg.AppendTimeout)
	case cfg.CatchUp < 0:
		return fmt.Errorf("jslog: CatchUp is %v: it must not be negative", cfg.CatchUp)
	default:
		return nil
	}
}

// withDefaults fills what the zero value leaves to us.
func (cfg Config) withDefaults() Config {
	if cfg.AppendTimeout == 0 {
		cfg.AppendTimeout = appendTimeoutDefault
	}
	if cfg.CatchUp == 0 {
		cfg.CatchUp = catchUpDefault
	}
	if cfg.inspectEvery == 0 {
		cfg.inspectEvery = inspectEveryDefault
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}
