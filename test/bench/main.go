// Bench measures Rollcall beside memberlist on the same work: a cluster of N members in one process, over loopback, that
// forms, holds, and loses a member again and again.
//
//	go run . -n 64                    both, 20 crashes of each kind
//	go run . -n 1000 -only rollcall   a big one: forms, holds a minute, detects one crash of each kind
//	go run . -n 16 -trials 5 -json    for machines
//
// Each system runs in a process of its own and, where the kernel allows it, in a network namespace of its own, whose
// loopback interface counts what the members send and nothing else. Progress goes to stderr, the table to stdout. Every
// wait has a limit, so the command ends by itself. It needs Linux: namespaces and /proc.
//
// What is measured, and what it does not show, is in README.md.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"rollcall/swim"
)

// options are the command's flags.
type options struct {
	n       int
	trials  int
	hold    time.Duration
	settle  time.Duration
	only    string
	seed    uint64
	json    bool
	doc     string
	profile string
	inside  string
}

// What stands for a flag that is not given; a cluster of manyMembers or more is held longer and crashed less often.
const (
	manyMembers = 500
	trialsUsual = 20
	trialsMany  = 1
	holdUsual   = 30 * time.Second
	holdMany    = time.Minute
	membersMax  = 5000 // loopback ports and memory end soon after
)

// systems that can be measured, in the order of the table's columns.
var systems = []string{"rollcall", "memberlist"}

func parseFlags(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.n, "n", 64, "members")
	flags.IntVar(&o.trials, "trials", 0, "crashes of each kind (default 20; 1 from 500 members on)")
	flags.DurationVar(&o.hold, "hold", 0, "how long the steady state is measured (default 30s; 1m from 500 members on)")
	flags.DurationVar(&o.settle, "settle", 5*time.Second, "peace before the steady state, and between two crashes")
	flags.StringVar(&o.only, "only", "", "measure one system: rollcall or memberlist")
	flags.Uint64Var(&o.seed, "seed", 1, "of the choice of victims and instants, and of Rollcall's own randomness")
	flags.BoolVar(&o.json, "json", false, "print the results as JSON")
	flags.StringVar(&o.doc, "doc", "", "also put the table into this document, where it has a place for it")
	flags.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the steady state to this file; needs -only")
	flags.StringVar(&o.inside, "inside", "", "for the command's own use: measure this system in this process")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	many := o.n >= manyMembers
	if o.trials == 0 {
		o.trials = trialsUsual
		if many {
			o.trials = trialsMany
		}
	}
	if o.hold == 0 {
		o.hold = holdUsual
		if many {
			o.hold = holdMany
		}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.n < 3 || o.n > membersMax:
		return o, fmt.Errorf("-n %d: it must be 3 to %d", o.n, membersMax)
	case o.trials < 1 || o.hold < time.Second || o.settle < 0:
		return o, errors.New("-trials must be 1 or more, -hold 1s or more, -settle not negative")
	case o.only != "" && !slices.Contains(systems, o.only):
		return o, fmt.Errorf("-only %s: it must be one of %q", o.only, systems)
	case o.profile != "" && o.only == "":
		return o, errors.New("-cpuprofile needs -only")
	case o.doc != "" && o.json:
		return o, errors.New("-doc takes a table: leave -json away")
	}
	return o, nil
}

// handed says that members learn of each other as from the log and not by gossip. A datagram costs about 0.15 ms of CPU, and
// gossip about a thousand joins is millions of them: a thousand machines have a core each for it, this process does not.
func (o options) handed() bool { return o.n >= manyMembers && o.inside == "rollcall" }

// crowd are Rollcall's settings where many members share few cores. A ping is waited for longer: what the default of 50 ms says of
// a member with a core of its own, a process that is late says of all its members at once, and each miss makes handshakes that make
// it later. And news is repeated less often: by default 1,000 members send 15,000 packets a second about it, more than two cores carry.
var crowd = swim.Config{
	AckTimeout: 800 * time.Millisecond, AckTimeoutMin: 800 * time.Millisecond, GossipInterval: 2 * time.Second, GossipFactor: 1,
}

// crowdText names what crowd sets.
func crowdText() string {
	return fmt.Sprintf("AckTimeout and AckTimeoutMin %v, GossipInterval %v, GossipFactor %d",
		crowd.AckTimeout, crowd.GossipInterval, crowd.GossipFactor)
}

// protocol returns Rollcall's settings: the defaults, or crowd.
func (o options) protocol() swim.Config {
	if o.n >= manyMembers {
		return crowd
	}
	return swim.Config{}
}

// limit is when a run of one system is given up.
func (o options) limit() time.Duration {
	trial := o.settle + verdictLimit + o.formLimit() + 2*time.Second
	return o.formLimit() + o.settle + o.hold + time.Duration(2*o.trials)*trial + closeLimit
}

// formLimit bounds the forming of the cluster, and its being whole again after a restart.
func (o options) formLimit() time.Duration {
	return time.Minute + time.Duration(o.n)*300*time.Millisecond
}

func main() {
	o, err := parseFlags(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures in this process when it is the inner one; otherwise it has one process a system do it, one after the other.
func run(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(len(systems))*o.limit())
	defer cancel()
	if o.inside != "" {
		r, err := measure(ctx, o)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	var results []result
	for _, system := range systems {
		if o.only != "" && o.only != system {
			continue
		}
		r, err := runIsolated(ctx, o, system)
		if err != nil {
			return fmt.Errorf("%s: %w", system, err)
		}
		results = append(results, r)
	}
	if o.json {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(results)
	}
	var table bytes.Buffer
	if err := printTable(&table, results); err != nil {
		return err
	}
	if _, err := os.Stdout.Write(table.Bytes()); err != nil || o.doc == "" {
		return err
	}
	return intoDocument(o.doc, o.n, table.Bytes())
}
