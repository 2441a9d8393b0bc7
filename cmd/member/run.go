package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall"
	"rollcall/events/jslog"
	"rollcall/infra/certs"
	"rollcall/infra/cli"
	"rollcall/infra/httpserver"
	"rollcall/infra/nats"
	"rollcall/swim"
)

func init() { register(newRun) }

const (
	leaveLimit          = 15 * time.Second // of a departure: known to others, and on the log
	certificateInterval = 10 * time.Second // between two looks at the certificate files
)

// runFlags is what the flags of member run say.
type runFlags struct {
	cluster, id         string
	bind, advertise     string
	join                []string
	nats                *nats.Connection
	cert, key, ca       string
	profile, onMinority string
	tags                []string
	data, http          string
	access              *httpserver.Access
	log                 *cli.Logging
}

func newRun() *cobra.Command {
	r := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Be one member of a cluster",
		Long: `Be one member of a cluster, until interrupted: SIGINT or SIGTERM leaves gracefully, a second one ends at once.

The member needs a certificate that names it (member ca issue makes one), a directory of its own that survives restarts, and
the address of NATS. NATS may be away at any time, at the start too: detection goes on, and what there is to say is kept in
the directory. The stream is made by the projector.`,
		Example: `  member run --cluster default --id n1 --bind 10.0.0.1:7946 --join 10.0.0.2:7946 \
    --nats nats://10.0.0.9:4222 --cert n1.pem --key n1-key.pem --ca ca.pem --data /var/lib/rollcall --tag role=web`,
		Args:    cli.Args(),
		GroupID: sectionAgent,
		RunE:    func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&r.cluster, "cluster", "default", "`NAME` of the cluster")
	f.StringVar(&r.id, "id", "", "the member's `ID`, unique in the cluster (required)")
	f.StringVar(&r.bind, "bind", "127.0.0.1:7946", "UDP `ADDRESS` of the probe socket; port 0 takes a free one")
	f.StringVar(&r.advertise, "advertise", "", "`ADDRESS` at which others reach the member, if it is not --bind")
	f.StringSliceVar(&r.join, "join", nil, "`ADDRESSES` of members to join through, comma separated; names are looked up again until they are known")
	r.nats = nats.ConnectionFlags(f, "`URL` of NATS, several separated by commas (required)")
	f.StringVar(&r.cert, "cert", "", "the member's certificate `FILE` (required)")
	f.StringVar(&r.key, "key", "", "the key `FILE` of the certificate (required)")
	f.StringVar(&r.ca, "ca", "", "certificate `FILE` of the cluster's authority (required)")
	f.StringArrayVar(&r.tags, "tag", nil, "tag `KEY=VALUE` the member can be found by; may be repeated")
	f.StringVar(&r.profile, "profile", "default", "how soon a member that stands still is held failed: fast, default or patient")
	f.StringVar(&r.onMinority, "on-minority", "warn", "what to do on the smaller side of a partition: warn, read-only or leave")
	f.StringVar(&r.data, "data", "", "`DIR` of what must survive a restart, the member's own (required)")
	f.StringVar(&r.http, "http", "", "serve health, metrics and control (member leave, tag) at this `ADDRESS`; beyond loopback with TLS and a token")
	r.access = httpserver.AccessFlags(f)
	r.log = cli.LoggingFlags(f, slog.LevelInfo)
	complete(cmd, "profile", "fast", "default", "patient")
	complete(cmd, "on-minority", "warn", "read-only", "leave")
	for _, name := range []string{"id", "nats", "cert", "key", "ca", "data"} {
		require(cmd, name)
	}
	return cmd
}

func (r *runFlags) run(cmd *cobra.Command) error {
	opt, err := r.options()
	if err != nil {
		return err
	}
	if r.http != "" {
		if err := r.access.Check(r.http); err != nil {
			return cli.Errorf(cli.ErrUsage, "--http %w", err)
		}
	}
	log := r.log.Logger(cmd.ErrOrStderr())
	identity, err := certs.Load(r.cert, r.key, r.ca)
	if err != nil {
		return err
	}
	if identity.Cluster() != r.cluster || identity.ID() != r.id {
		return cli.Errorf(cli.ErrUsage, "--cert %s is the certificate of %s in cluster %s, not of --id %s in --cluster %s; issue one with member ca issue",
			r.cert, identity.ID(), identity.Cluster(), r.id, r.cluster)
	}
	var server *httpserver.Server
	if r.http != "" { // before anybody is told of the member: a port that is taken is found out now
		if server, err = httpserver.Listen(httpserver.Config{Address: r.http, Access: *r.access, Logger: log}); err != nil {
			return fmt.Errorf("--http: %w", err)
		}
		defer server.Close()
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	go identity.Watch(ctx, certificateInterval, log)

	metrics, err := newMemberMetrics(r.id)
	if err != nil {
		return err
	}
	config := r.nats.Config(r.cluster, r.id)
	config.Lazy, config.Logger = true, log
	events, err := jslog.Connect(ctx, config)
	if err != nil {
		return err
	}
	defer events.Close()
	opt.Credentials, opt.Log, opt.Logger = identity, events, log
	member, err := rollcall.Join(ctx, opt)
	if err != nil {
		return err
	}
	defer member.Close()
	ctx, left := context.WithCancel(ctx) // also when somebody asks for it over HTTP
	defer left()
	if err := metrics.observe(member, events); err != nil {
		return errors.Join(err, leave(ctx, member))
	}
	if r.http != "" {
		api := &memberAPI{member: member, events: events, left: left}
		server.Start(api.handler(metrics.Handler()))
		log.Info("serving health and metrics", "http", server.Addr())
	}
	return r.live(ctx, cmd, member, log)
}

// live waits for the end, and makes it a departure.
func (r *runFlags) live(ctx context.Context, cmd *cobra.Command, member *rollcall.Member, log *slog.Logger) error {
	log.Info("member is up", "id", member.ID(), "cluster", r.cluster, "address", member.Addr(), "incarnation", member.Status().Self.Incarnation)
	select {
	case <-ctx.Done():
	case <-member.Done():
		return member.Err() // nobody told it to
	}
	log.Info("leaving")
	if err := leave(ctx, member); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "left")
	return nil
}

// leave departs, also when ctx has ended.
func leave(ctx context.Context, member *rollcall.Member) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
	defer cancel()
	if err := member.Leave(ctx); err != nil {
		return fmt.Errorf("leaving: %w", err)
	}
	return nil
}

// options turns flags into what Join takes; every mistake is one of usage.
func (r *runFlags) options() (rollcall.Options, error) {
	opt := rollcall.Options{Cluster: r.cluster, ID: r.id, Dir: r.data}
	var err error
	if opt.Bind, err = address("--bind", r.bind); err != nil {
		return opt, err
	}
	if opt.Bind.Addr().IsUnspecified() && r.advertise == "" {
		return opt, cli.Errorf(cli.ErrUsage, "--bind %s is every address of this host: say with --advertise at which one others reach it", r.bind)
	}
	if r.advertise != "" {
		if opt.Advertise, err = address("--advertise", r.advertise); err != nil {
			return opt, err
		}
	}
	opt.Seeds = r.join
	for _, seed := range r.join {
		if err := rollcall.CheckSeed(seed); err != nil {
			return opt, cli.Errorf(cli.ErrUsage, "--join %w", err)
		}
	}
	if opt.OnMinority, err = rollcall.ParseMinorityPolicy(r.onMinority); err != nil {
		return opt, cli.Errorf(cli.ErrUsage, "--on-minority %w", err)
	}
	if err := swim.Profile(r.profile).Apply(&opt.Protocol); err != nil {
		return opt, cli.Errorf(cli.ErrUsage, "--profile: %w", err)
	}
	opt.Tags, err = parseTags(r.tags)
	return opt, err
}

// address parses HOST:PORT; a name is looked up, and its first address taken.
func address(flag, text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddrPort(text); err == nil {
		return addr, nil
	}
	addr, err := net.ResolveUDPAddr("udp", text)
	if err != nil {
		return netip.AddrPort{}, cli.Errorf(cli.ErrUsage, "%s %q: want HOST:PORT: %v", flag, text, err)
	}
	ap := addr.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

func parseTags(list []string) (map[string]string, error) {
	tags := make(map[string]string, len(list))
	for _, t := range list {
		key, value, ok := strings.Cut(t, "=")
		if !ok || key == "" {
			return nil, cli.Errorf(cli.ErrUsage, "--tag %q: want KEY=VALUE", t)
		}
		if _, twice := tags[key]; twice {
			return nil, cli.Errorf(cli.ErrUsage, "--tag %q: %s is given twice", t, key)
		}
		tags[key] = value
	}
	return tags, nil
}
