package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/infra/cli"
	"rollcall/infra/devcluster"
	"rollcall/infra/figures"
	"rollcall/infra/httpserver"
	"rollcall/infra/kvmirror"
	"rollcall/infra/natsapi"
	"rollcall/infra/telemetry"
	"rollcall/projections/httpapi"
)

func init() { register(newDev) }

const (
	devStartLimit = time.Minute      // everything up and joined
	devLeaveLimit = 30 * time.Second // everybody's graceful departure, on the log and printed
)

// dev is what the flags of member dev say.
type dev struct {
	nodes  int
	http   string
	access *httpserver.Access
	data   string
	life   time.Duration
	json   bool
	log    *cli.Logging
}

func newDev() *cobra.Command {
	d := &dev{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole cluster in one process, to look at and to break",
		Long: `Run a whole cluster in one process: an embedded JetStream server, members that probe each other over QUIC on loopback
with certificates of a throwaway CA, a projector, the HTTP API and a page to watch and break it. Nothing has to be
installed or configured. Ctrl-C lets every member leave gracefully; a second one ends the process at once.

Everything is kept under --data and goes on there at the next start; without it, in a directory that is removed at the end.`,
		Example: "  member dev\n  member dev --nodes 9 --http 127.0.0.1:8090\n  member dev --for 20s --json",
		Args:    cli.Args(),
		GroupID: sectionAgent,
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.run(cmd) },
	}
	f := cmd.Flags()
	f.IntVar(&d.nodes, "nodes", 5, "how many members, n1 to n`N`")
	f.StringVar(&d.http, "http", "127.0.0.1:8080", "`ADDRESS` of the API and the page; port 0 takes a free one")
	d.access = httpserver.AccessFlags(f)
	f.StringVar(&d.data, "data", "", "keep everything in this `DIR`")
	f.DurationVar(&d.life, "for", 0, "leave by itself after this `TIME`; 0: not")
	f.BoolVar(&d.json, "json", false, "print one CloudEvent a line and nothing else")
	d.log = cli.LoggingFlags(f, slog.LevelWarn)
	return cmd
}

func (d *dev) run(cmd *cobra.Command) error {
	if d.nodes < 1 || d.nodes > devcluster.NodesMax {
		return cli.Errorf(cli.ErrUsage, "--nodes %d: want 1 to %d", d.nodes, devcluster.NodesMax)
	}
	if err := d.access.Check(d.http); err != nil {
		return cli.Errorf(cli.ErrUsage, "--http %w", err)
	}
	dir, cleanup, err := d.directory()
	if err != nil {
		return err
	}
	defer cleanup()
	ctx := cmd.Context()
	if d.life > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.life)
		defer cancel()
	}
	return d.serve(ctx, dir, cmd.OutOrStdout(), d.log.Logger(cmd.ErrOrStderr()))
}

// directory is where everything is kept, and what to do with it at the end.
func (d *dev) directory() (dir string, cleanup func(), err error) {
	if d.data != "" {
		return d.data, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "rollcall-dev-")
	if err != nil {
		return "", nil, fmt.Errorf("a directory for the cluster: %w; name one with --data", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil // what cannot be removed is the system's to clean
}

// serve runs the cluster until ctx ends, and then lets everybody leave.
func (d *dev) serve(ctx context.Context, dir string, out io.Writer, log *slog.Logger) error {
	server, err := httpserver.Listen(httpserver.Config{Address: d.http, Access: *d.access, Logger: log})
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	started := time.Now()
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), devStartLimit)
	defer cancel()
	cluster, err := devcluster.Start(starting, devcluster.Config{Dir: dir, Nodes: d.nodes, Tags: devTags, Logger: log})
	if err != nil {
		return errors.Join(err, server.Close())
	}
	defer cluster.Close()
	defer server.Close() // before the cluster: nobody may ask one that is ending
	handler, err := devAPI(cluster, log)
	if err != nil {
		return err
	}
	stopBeside, err := devBeside(cluster, handler, log)
	if err != nil {
		return err
	}
	defer stopBeside()
	server.Start(handler)

	p := &devPrinter{out: out, json: d.json, tokens: d.access.TokenFile}
	p.header(cluster, server.URL(), started)
	printing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var printer sync.WaitGroup
	printer.Go(func() { p.follow(printing, cluster.Log(), started) })
	defer printer.Wait()
	defer stop()

	select {
	case <-ctx.Done():
	case err := <-cluster.Failed():
		return fmt.Errorf("the projector stopped: %w", err)
	}
	p.note("leaving: every member says so, and waits until others know")
	leaving, cancelLeave := context.WithTimeout(context.WithoutCancel(ctx), devLeaveLimit)
	defer cancelLeave()
	if err := cluster.Leave(leaving); err != nil {
		return err
	}
	info, err := cluster.Log().Info(leaving)
	if err != nil {
		return err
	}
	return p.until(leaving, info.Last)
}

// devTags gives members something to be found by.
func devTags(i int) map[string]string {
	roles := []string{"web", "worker", "worker"}
	return map[string]string{"role": roles[(i-1)%len(roles)], "zone": string(rune('a' + (i-1)%2))}
}

func devAPI(cluster *devcluster.Cluster, log *slog.Logger) (http.Handler, error) {
	metrics, err := telemetry.New("rollcall-dev", cli.Version(), "dev")
	if err != nil {
		return nil, err
	}
	if err := figures.Projector(metrics, cluster.Projector()); err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Config{
		Projector: cluster.Projector(), Version: cli.Version(), Dev: cluster, Metrics: metrics.Handler(), Logger: log,
	})
}

// devBeside shows the views in NATS too: a key a node, and a service.
func devBeside(cluster *devcluster.Cluster, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	mirror, err := kvmirror.New(kvmirror.Config{Projector: cluster.Projector(), Conn: cluster.Conn, Logger: log})
	if err != nil {
		return nil, err
	}
	service, err := natsapi.New(natsapi.Config{
		Projector: cluster.Projector(), Conn: cluster.Conn, Handler: handler, Version: cli.Version(), Logger: log,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { mirror.Run(ctx) })
	running.Go(func() { service.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}, nil
}

// devPrinter prints the events of the log as they happen.
type devPrinter struct {
	out    io.Writer
	json   bool
	tokens string // the file with those that the API asks for; empty: none

	mu      sync.Mutex
	printed uint64
	err     error
	moved   chan struct{} // closed and replaced whenever printed moves
}

func (p *devPrinter) header(c *devcluster.Cluster, url string, started time.Time) {
	if p.json {
		return
	}
	fmt.Fprintf(p.out, `%d members are up after %.1f s.
  page      %s/
  API       %s/v1/nodes
  log       %s, stream %s
%sCtrl-C lets every member leave.

`, len(c.NodeIDs()), time.Since(started).Seconds(), url, url, c.NATS(), events.StreamName(c.Projector().Cluster()),
		hints(url, p.tokens))
}

// hints is what to try first. Where tokens are asked for, they are in the file tokens.
func hints(url, tokens string) string {
	curl, which := "curl", ""
	if tokens != "" {
		curl, which = `curl -H "Authorization: Bearer $TOKEN"`, ", with a TOKEN of those in "+tokens
	}
	return fmt.Sprintf(`Try: open the page and crash n3, or%[3]s
  %[2]s -X POST %[1]s/dev/nodes/n3/crash
  %[2]s %[1]s/v1/nodes/n3/history
  %[2]s -X POST %[1]s/dev/nodes/n3/restart
`, url, curl, which)
}

func (p *devPrinter) note(text string) {
	if !p.json {
		fmt.Fprintln(p.out, text)
	}
}

// follow prints what was stored since the process started, until ctx ends.
func (p *devPrinter) follow(ctx context.Context, log events.Log, since time.Time) {
	for rec, err := range log.Subscribe(ctx, events.Filter{}, events.From{Time: since}) {
		if err == nil {
			err = p.print(rec)
		}
		p.mu.Lock()
		p.printed = max(p.printed, rec.Position)
		if err != nil && p.err == nil && ctx.Err() == nil {
			p.err = err
		}
		if p.moved != nil {
			close(p.moved)
			p.moved = nil
		}
		p.mu.Unlock()
	}
}

func (p *devPrinter) print(rec events.Recorded) error {
	if p.json {
		line, err := events.Encode(rec.Event)
		if err != nil {
			return err
		}
		_, err = p.out.Write(append(line, '\n'))
		return err
	}
	line := fmt.Sprintf("%s  %4s  %-9s %s", rec.Time.Local().Format("15:04:05.000"), "#"+strconv.FormatUint(rec.Position, 10),
		rec.Kind, rec.Node)
	if rec.Author != rec.Node {
		line += " by " + rec.Author
	}
	line += fmt.Sprintf(", incarnation %d", rec.Incarnation)
	if reason := why(rec.Evidence); reason != "" {
		line += ": " + reason
	}
	_, err := fmt.Fprintln(p.out, line)
	return err
}

// until waits until everything up to position is printed.
func (p *devPrinter) until(ctx context.Context, position uint64) error {
	for {
		p.mu.Lock()
		done, err := p.printed >= position, p.err
		if p.moved == nil {
			p.moved = make(chan struct{})
		}
		moved := p.moved
		p.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return errors.New("the last events were not printed in time")
		}
	}
}
