// Command director shows a service of yours whose shards Rollcall assigns. Run one beside every member, under that member's
// id: each works on the shards it is given, and those that may direct do so in turn.
//
//	go run ./cmd/member dev --nodes 3                                 # in one terminal; it says where its NATS is
//	go run ./docs/examples/director -id n1 -nats URL -direct 12       # in another: n1 works, and directs 12 shards
//	go run ./docs/examples/director -id n2 -nats URL -direct 12       # n2 works, and stands by to direct
//	go run ./docs/examples/director -id n3 -nats URL                  # n3 works
//
// Crash n3 on the page, and see its shards go to the others. Crash n1, and n2 takes over. (On the page the member crashes,
// and the process beside it lives on: it gives up its shards once it reads that its member has failed.)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"

	"rollcall/events/jslog"
	"rollcall/projections/assignment"
	"rollcall/projections/projector"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	id, url, cluster, group, selector string
	direct                            int
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var opt options
	flags := flag.NewFlagSet("director", flag.ContinueOnError)
	flags.StringVar(&opt.id, "id", "", "the member in whose name this process directs or works")
	flags.StringVar(&opt.url, "nats", "nats://127.0.0.1:4222", "where the log is")
	flags.StringVar(&opt.cluster, "cluster", "default", "the cluster")
	flags.StringVar(&opt.group, "group", "orders", "the group of shards")
	flags.StringVar(&opt.selector, "selector", "", "tag expression that workers match; empty for every node")
	flags.IntVar(&opt.direct, "direct", 0, "also direct, or stand by to direct, a group of this many shards")
	if err := flags.Parse(args); err != nil {
		return err
	}
	log, err := jslog.Connect(ctx, jslog.Config{URL: opt.url, Cluster: opt.cluster, Name: opt.id + " " + opt.group})
	if err != nil {
		return err
	}
	defer log.Close()
	views, err := projector.Open(projector.Config{Log: log, Cluster: opt.cluster})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { cancel(views.Run(ctx)) })
	if opt.direct > 0 {
		beside.Go(func() { cancel(direct(ctx, opt, log, views)) })
	}
	err = work(ctx, opt, views, out)
	cancel(err)
	beside.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err // whatever ended first ended the rest
	}
	return nil
}

// direct plans whenever this member directs the group, and otherwise stands by.
func direct(ctx context.Context, opt options, log *jslog.Log, views *projector.Projector) error {
	cfg := assignment.DirectorConfig{
		Cluster: opt.cluster, Group: opt.group, Self: opt.id, Selector: opt.selector, Log: log, Views: views,
	}
	for i := range opt.direct {
		cfg.Shards = append(cfg.Shards, fmt.Sprintf("shard-%03d", i))
	}
	director, err := assignment.NewDirector(cfg)
	if err != nil {
		return err
	}
	return director.Run(ctx)
}

// work says what this member is given and what is taken from it. What is done in between is yours; whatever it writes to
// has to refuse a fence lower than the highest it has seen.
func work(ctx context.Context, opt options, views *projector.Projector, out io.Writer) error {
	worker, err := assignment.NewWorker(assignment.WorkerConfig{Group: opt.group, Self: opt.id, Views: views})
	if err != nil {
		return err
	}
	var printing sync.Mutex
	say := func(what string, s assignment.Assigned) {
		printing.Lock()
		defer printing.Unlock()
		fmt.Fprintf(out, "%s %s %s, fence %d\n", opt.id, what, s.Shard, s.Fence)
	}
	return worker.Run(ctx, func(ctx context.Context, s assignment.Assigned) {
		say("takes", s)
		<-ctx.Done() // your work goes here
		say("gives up", s)
	})
}
