// Command views measures what the views cost, with nothing in it replaced: a NATS server, the projector and its clients are
// processes of their own on this machine.
//
//	go run ./test/views                             # 10,000 nodes, 1,000,000 events: some four minutes
//	go run ./test/views -nodes 1000 -events 50000
//
// It writes a story (package story) into a stream, and prints
//
//   - how fast one consumer takes the messages of the log when nobody decodes them, and how fast when it folds them into all
//     views; and how fast a projector does, which is a process that starts with nothing, answers requests and writes down
//     snapshots and checkpoints: by turns, since what else the machine does changes; a ratio is that of a round;
//   - how long a start from the snapshot takes until the projector is ready, after kill -9;
//   - what one node, and a tag expression, take at 200 requests/s in all while the projector catches up with the log as fast as it can;
//   - what any view takes as of an instant half-way;
//   - what they take while it is up to date and 1,000 events/s come;
//   - the projector's memory.
//
// A request takes from when it is made until all of its answer is here, and waits for no other. With -strict it fails unless every
// figure is within its bound. It needs Linux, for the memory alone, and some 2 GB below -dir.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"

	"rollcall/projections/projector"
	"rollcall/test/story"
)

// options are the flags.
type options struct {
	nodes  int
	events uint64
	seed   uint64
	rounds int
	rate   int
	asOf   int
	dir    string
	strict bool
	snaps  string

	pace, seconds int
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == serverRole {
		exit(serve(os.Args[2:]))
	}
	var o options
	flag.IntVar(&o.nodes, "nodes", 10_000, "nodes in the cluster")
	flag.Uint64Var(&o.events, "events", 1_000_000, "events in the log")
	flag.Uint64Var(&o.seed, "seed", 1, "of the story")
	flag.IntVar(&o.rounds, "rounds", 5, "how often the log is delivered undecoded, is folded, and is folded by a projector")
	flag.IntVar(&o.rate, "rate", 200, "requests/s, half of them for one node, half for a tag expression")
	flag.IntVar(&o.asOf, "as-of", 200, "reads as of an instant half-way")
	flag.IntVar(&o.pace, "pace", 1000, "events/s while the projector is asked that is up to date")
	flag.IntVar(&o.seconds, "seconds", 30, "how long it is asked")
	flag.StringVar(&o.dir, "dir", "", "where everything is kept meanwhile; empty: a temporary directory")
	flag.StringVar(&o.snaps, "snapshots", "data", "where the projector keeps its snapshots: data or nats")
	flag.BoolVar(&o.strict, "strict", false, "fail when a figure is beyond its bound")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o, os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "views:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	if o.nodes < 8 || o.events < uint64(4*o.nodes) || o.rounds < 1 || o.rate < 2 || o.asOf < 4 || o.pace < 1 || o.seconds < 1 {
		return errors.New("want at least 8 nodes, 4 events a node, one round, 2 requests/s, 4 reads as of the past, and a second of 1 event/s")
	}
	dir, err := os.MkdirTemp(o.dir, "rollcall-views-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := newReport(out)
	r.machine(o)
	b := &bench{options: o, dir: dir, report: r}
	defer b.end()
	for _, step := range []func(context.Context) error{b.start, b.fill, b.race, b.restart, b.past, b.busy, b.live} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return r.verdict(o.strict)
}

// bench is one run.
type bench struct {
	options
	dir       string
	report    *report
	tale      *story.Story
	server    *process
	projector *process
	url       string // of NATS
	api       string // of the projector
}

func (b *bench) end() {
	for _, p := range []*process{b.projector, b.server} {
		if p != nil {
			p.kill()
		}
	}
}

// start builds the projector and starts the server.
func (b *bench) start(ctx context.Context) error {
	if err := build(ctx, b.binary()); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if b.server, err = launch(self, serverRole, filepath.Join(b.dir, "nats")); err != nil {
		return err
	}
	b.url, err = b.server.logged(ctx, "embedded NATS server ready", "url")
	return err
}

func (b *bench) binary() string { return filepath.Join(b.dir, "projector") }

// fresh starts a projector that has nothing, in the place of the one before.
func (b *bench) fresh(ctx context.Context) error {
	if b.projector != nil {
		b.projector.kill()
	}
	if err := os.RemoveAll(b.data()); err != nil {
		return err
	}
	return b.startProjector(ctx)
}

func (b *bench) data() string { return filepath.Join(b.dir, "data") }

// snapshotEvery is how many events there are between two snapshots, fewer than usual in a short log.
func (b *bench) snapshotEvery() uint64 { return min(projector.DefaultSnapshotEvery, b.events/2) }

// startProjector starts it on the data that there is and returns once it serves.
func (b *bench) startProjector(ctx context.Context) (err error) {
	b.projector, err = launch(b.binary(), "run", "--nats", b.url, "--data", b.data(), "--http", "127.0.0.1:0",
		"--snapshots", b.snaps, "--snapshot-every", strconv.FormatUint(b.snapshotEvery(), 10), "--log-format", "json")
	if err != nil {
		return err
	}
	addr, err := b.projector.logged(ctx, "projector is up", "http")
	b.api = "http://" + addr
	return err
}
