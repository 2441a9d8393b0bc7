package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/cli"
	"rollcall/infra/figures"
	"rollcall/infra/httpserver"
	"rollcall/infra/kvmirror"
	"rollcall/infra/nats"
	"rollcall/infra/natsapi"
	"rollcall/infra/natsd"
	"rollcall/infra/snapbucket"
	"rollcall/infra/telemetry"
	"rollcall/projections/dnsapi"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
)

// natsStartLimit is how long the embedded server may take to recover what it holds.
const natsStartLimit = time.Minute

// What --snapshots may say.
const (
	snapshotsInData = "data"
	snapshotsInNATS = "nats"
)

// runFlags is what the flags of projector run say.
type runFlags struct {
	cluster    string
	nats       *nats.Connection
	natsListen string
	replicas   int
	http, data string
	access     *httpserver.Access
	natsAccess *natsd.Access
	dns        string
	snapshots  string
	every      int
	mirror     bool
	service    bool
	log        *cli.Logging
}

func newRun() *cobra.Command {
	r := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Keep the views of a cluster and serve them",
		Long: `Keep the views of a cluster and serve them over HTTP, until interrupted. The cluster's stream is made if it is not there;
one that would lose history is refused.

Without --nats the projector runs the cluster's NATS server itself, in --data, on --nats-listen, and flushes every event to
disk before it is acknowledged. Beyond loopback that server takes TLS and users, as member nats config writes them; give the
projector no key then, since it is at home. With --nats, durability is what those servers' sync_interval gives.`,
		Example: "  projector run --cluster default --http 127.0.0.1:8080 --data /var/lib/rollcall\n" +
			"  projector run --cluster default --nats nats://10.0.0.9:4222 --data /var/lib/rollcall",
		Args: cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&r.cluster, "cluster", "default", "`NAME` of the cluster")
	r.nats = nats.ConnectionFlags(f, "`URL` of NATS, several separated by commas; empty: run a server here")
	f.StringVar(&r.natsListen, "nats-listen", "127.0.0.1:4222", "`ADDRESS` of the embedded NATS server; beyond loopback with TLS and users")
	r.natsAccess = natsd.AccessFlags(f)
	f.IntVar(&r.replicas, "replicas", 0, "copies of the stream, on as many servers, 1 to 5; unless said, 3 where they form a cluster")
	f.StringVar(&r.http, "http", "127.0.0.1:8080", "`ADDRESS` of the API and the page; beyond loopback with TLS and a token; port 0 takes a free one")
	r.access = httpserver.AccessFlags(f)
	f.StringVar(&r.dns, "dns", "", "answer DNS at this `ADDRESS`, such as 127.0.0.1:5353; loopback only; empty: do not")
	f.BoolVar(&r.mirror, "kv-mirror", false, "keep one key a node in the NATS bucket ROLLCALL_<cluster>_nodes")
	f.BoolVar(&r.service, "nats-service", false, "answer at svc.rollcall.<cluster>.nodes, services and pick, as a NATS service")
	f.StringVar(&r.data, "data", "", "keep snapshots, and the embedded server's files, in this `DIR`; required unless both are in NATS")
	f.StringVar(&r.snapshots, "snapshots", snapshotsInData,
		"`WHERE` snapshots are kept: data, or nats for the bucket ROLLCALL_<cluster>_snapshots, which all projectors share")
	f.IntVar(&r.every, "snapshot-every", projector.DefaultSnapshotEvery, "`EVENTS` between two snapshots; at least 1")
	r.log = cli.LoggingFlags(f, slog.LevelInfo)
	return cmd
}

func (r *runFlags) check() error {
	switch {
	case !events.ValidID(r.cluster):
		return cli.Errorf(cli.ErrUsage, "--cluster %q: want 1 to %d of A-Z a-z 0-9 _ -", r.cluster, events.IDMax)
	case r.snapshots != snapshotsInData && r.snapshots != snapshotsInNATS:
		return cli.Errorf(cli.ErrUsage, "--snapshots %.40q: want %s or %s", r.snapshots, snapshotsInData, snapshotsInNATS)
	case r.data == "" && (r.nats.URL == "" || r.snapshots == snapshotsInData):
		return cli.Errorf(cli.ErrUsage, "--data is required: the directory of snapshots, and of the embedded server's files")
	case r.every < 1:
		return cli.Errorf(cli.ErrUsage, "--snapshot-every %d: want at least 1", r.every)
	case r.replicas < 0 || r.replicas > 5:
		return cli.Errorf(cli.ErrUsage, "--replicas %d: want 1 to 5", r.replicas)
	case r.nats.URL == "" && r.replicas > 1:
		return cli.Errorf(cli.ErrUsage, "--replicas %d: the embedded server is alone; name servers with --nats", r.replicas)
	}
	if err := r.access.Check(r.http); err != nil {
		return cli.Errorf(cli.ErrUsage, "--http %w", err)
	}
	if r.nats.URL != "" && *r.natsAccess != (natsd.Access{}) {
		return cli.Errorf(cli.ErrUsage, "--nats-cert, --nats-key and --nats-users are the embedded server's, and --nats names others")
	}
	if r.nats.URL == "" {
		if err := r.natsAccess.Check(r.natsListen); err != nil {
			return cli.Errorf(cli.ErrUsage, "--nats-listen %w", err)
		}
	}
	if r.dns == "" {
		return nil
	}
	if err := httpserver.CheckAddress(r.dns); err != nil {
		return cli.Errorf(cli.ErrUsage, "--dns %w, and DNS has no access control: listen at 127.0.0.1", err)
	}
	return nil
}

func (r *runFlags) run(cmd *cobra.Command) error {
	if err := r.check(); err != nil {
		return err
	}
	ctx := cmd.Context()
	log := r.log.Logger(cmd.ErrOrStderr())
	server, err := httpserver.Listen(httpserver.Config{Address: r.http, Access: *r.access, Logger: log})
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	defer server.Close()

	widen()
	var collecting sync.WaitGroup
	defer collecting.Wait()
	sparing, stopSparing := context.WithCancel(ctx)
	defer stopSparing()
	collecting.Go(func() { spareCollections(sparing) })

	config := r.nats.Config(r.cluster, "projector")
	config.Provision, config.Replicas, config.Lazy, config.Logger = true, r.replicas, r.nats.URL != "", log
	if r.nats.URL == "" {
		embedded, err := r.startNATS(ctx, log)
		if err != nil {
			return err
		}
		defer embedded.Shutdown()
		config.InProcess = embedded
	}
	reader, err := jslog.Connect(ctx, config)
	if err != nil {
		return err
	}
	defer reader.Close()
	p, err := r.openProjector(reader, log)
	if err != nil {
		return err
	}
	tel, err := newMetrics(r.cluster, p)
	if err != nil {
		return err
	}
	handler, err := httpapi.New(httpapi.Config{Projector: p, Version: cli.Version(), Metrics: tel.Handler(), Logger: log})
	if err != nil {
		return err
	}
	stop, err := r.startBeside(ctx, p, reader, handler, log)
	if err != nil {
		return err
	}
	defer stop()
	server.Start(handler)
	log.Info("projector is up", "cluster", r.cluster, "http", server.Addr())
	err = p.Run(ctx)
	return errors.Join(err, tel.Shutdown(context.WithoutCancel(ctx)))
}

// openProjector makes the projector of a log, with its snapshots where --snapshots says.
func (r *runFlags) openProjector(reader *jslog.Log, log *slog.Logger) (*projector.Projector, error) {
	cfg := projector.Config{Log: reader, Cluster: r.cluster, SnapshotEvery: r.every, Logger: log}
	if r.snapshots == snapshotsInData {
		cfg.Dir = filepath.Join(r.data, "snapshots")
		return projector.Open(cfg)
	}
	bucket, err := snapbucket.New(snapbucket.Config{Cluster: r.cluster, Conn: reader.Conn, Replicas: r.replicas})
	if err != nil {
		return nil, err
	}
	cfg.Store = bucket
	log.Info("keeping snapshots", "where", bucket.String())
	return projector.Open(cfg)
}

// startBeside starts what else shows the views, when it is asked for: DNS, and in NATS the mirror and the service.
func (r *runFlags) startBeside(
	ctx context.Context, p *projector.Projector, reader *jslog.Log, handler http.Handler, log *slog.Logger,
) (stop func(), err error) {
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	stop = func() {
		cancel()
		running.Wait()
	}
	if r.mirror {
		m, err := kvmirror.New(kvmirror.Config{Projector: p, Conn: reader.Conn, Replicas: r.replicas, Logger: log})
		if err != nil {
			cancel()
			return nil, err
		}
		running.Go(func() { m.Run(ctx) })
		log.Info("mirroring the nodes", "bucket", kvmirror.Bucket(r.cluster))
	}
	if r.service {
		s, err := natsapi.New(natsapi.Config{
			Projector: p, Conn: reader.Conn, Handler: handler, Version: cli.Version(), Logger: log,
		})
		if err != nil {
			stop()
			return nil, err
		}
		running.Go(func() { s.Run(ctx) })
	}
	if r.dns != "" {
		names, err := dnsapi.Listen(r.dns, dnsapi.Config{Projector: p, Logger: log})
		if err != nil {
			stop()
			return nil, fmt.Errorf("--dns: %w", err)
		}
		names.Start()
		running.Go(func() {
			<-ctx.Done()
			if err := names.Close(); err != nil {
				log.Warn("DNS did not stop in time", "error", err)
			}
		})
		log.Info("answering DNS", "dns", names.Addr(), "zone", r.cluster+".rollcall.")
	}
	return stop, nil
}

func (r *runFlags) startNATS(ctx context.Context, log *slog.Logger) (*natsd.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, natsStartLimit)
	defer cancel()
	s, err := natsd.Start(ctx, natsd.Config{
		Dir: filepath.Join(r.data, natsDir), Listen: r.natsListen, Access: *r.natsAccess, Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS server: %w", err)
	}
	return s, nil
}

// newMetrics makes the figures of the projector, read when they are scraped.
func newMetrics(cluster string, p *projector.Projector) (*telemetry.Telemetry, error) {
	tel, err := telemetry.New("rollcall-projector", cli.Version(), cluster)
	if err != nil {
		return nil, err
	}
	return tel, figures.Projector(tel, p)
}
