package natsapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall/projections/projector"
)

// Bounds of what waits and of what is read.
const (
	RequestMax  = 16 << 10 // bytes of a request
	RequestsMax = 1024     // requests that wait at one endpoint

	requestLimit = 5 * time.Second        // of one answer; the views are in memory, so only a machine that stands still reaches it
	lookEvery    = 100 * time.Millisecond // between two looks at whether to serve
	retryAfter   = 5 * time.Second        // when the server would not have the service
)

// queueGroup is that of all projectors of a cluster.
const queueGroup = "rollcall"

// ErrConfig says that a field of Config is missing.
var ErrConfig = errors.New("natsapi config")

// Config says what to answer, and where. Projector, Conn and Handler are required.
type Config struct {
	Projector *projector.Projector
	Conn      func() *nats.Conn // the connection to use now; nil while there is none
	Handler   http.Handler      // package httpapi's
	Version   string            // of the program; what is no semantic version becomes the build of 0.0.0
	Logger    *slog.Logger      // nil: nothing is logged
}

// Name is that of a cluster's service.
func Name(cluster string) string { return "rollcall-" + cluster }

// Subject is where an endpoint of a cluster's service listens: nodes, services or pick.
func Subject(cluster, endpoint string) string { return "svc.rollcall." + cluster + "." + endpoint }

// Service answers for one projector.
type Service struct {
	cfg Config
	log *slog.Logger
	now *instance // nil while it does not serve; Run's alone
}

// instance is a service on one connection.
type instance struct {
	conn *nats.Conn
	micro.Service
}

// New returns a service that does nothing until Run.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Projector == nil:
		return nil, fmt.Errorf("%w: Projector is missing", ErrConfig)
	case cfg.Conn == nil:
		return nil, fmt.Errorf("%w: Conn is missing", ErrConfig)
	case cfg.Handler == nil:
		return nil, fmt.Errorf("%w: Handler is missing", ErrConfig)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: cfg, log: cfg.Logger}, nil
}

// Run serves, whenever there is a connection and the views are ready, until ctx ends. It is called once.
func (s *Service) Run(ctx context.Context) {
	defer s.stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	pause := time.Duration(0)
	for {
		if pause -= lookEvery; pause <= 0 {
			if err := s.look(); err != nil {
				s.log.Warn("not a service of NATS; trying again", "service", s.name(), "error", err, "in", retryAfter)
				pause = retryAfter
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) name() string { return Name(s.cfg.Projector.Cluster()) }

// look starts or stops serving, as things are now.
func (s *Service) look() error {
	conn, ready := s.cfg.Conn(), s.cfg.Projector.Status().Ready
	if s.now != nil && (!ready || s.now.conn != conn || s.now.Stopped()) {
		s.stop()
	}
	if s.now != nil || !ready || conn == nil || !conn.IsConnected() {
		return nil
	}
	return s.start(conn)
}

func (s *Service) start(conn *nats.Conn) error {
	cluster := s.cfg.Projector.Cluster()
	service, err := micro.AddService(conn, micro.Config{
		Name: s.name(), Version: semantic(s.cfg.Version), QueueGroup: queueGroup,
		Description: "Who is on the roll of cluster " + cluster + ", by one of its projectors",
		Metadata:    map[string]string{"cluster": cluster},
		ErrorHandler: func(_ micro.Service, err *micro.NATSError) {
			s.log.Warn("NATS service", "service", s.name(), "subject", err.Subject, "error", err.Description)
		},
	})
	if err != nil {
		return err
	}
	s.now = &instance{conn, service}
	for _, e := range endpoints {
		err := service.AddEndpoint(e.name, s.handler(conn, e), micro.WithEndpointSubject(Subject(cluster, e.name)),
			micro.WithEndpointMetadata(map[string]string{"parameters": strings.Join(e.params, ",")}),
			micro.WithEndpointPendingLimits(RequestsMax, RequestsMax*RequestMax))
		if err != nil {
			s.stop()
			return fmt.Errorf("endpoint %s: %w", e.name, err)
		}
	}
	s.log.Info("answering NATS", "service", s.name(), "id", service.Info().ID, "subjects", Subject(cluster, "*"))
	return nil
}

func (s *Service) stop() {
	if s.now == nil {
		return
	}
	if err := s.now.Stop(); err != nil {
		s.log.Debug("NATS service stopped", "service", s.name(), "error", err) // mostly that the connection is gone
	}
	s.now = nil
}

var semver = regexp.MustCompile(`^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$`)

// semantic is version as the protocol of services wants it.
func semantic(version string) string {
	if trimmed := strings.TrimPrefix(version, "v"); semver.MatchString(trimmed) {
		return trimmed
	}
	build := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, version)
	if build == "" {
		build = "unknown"
	}
	return "0.0.0+" + build
}
