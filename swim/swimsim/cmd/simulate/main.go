// Command simulate checks and measures the protocol in virtual time.
//
//	simulate check -first 1 -seeds 1000      every invariant, on runs full of faults
//	simulate crash -n 1000 -strategy rings   one row of docs/detection.md; -h lists the flags
//	simulate tables [scenario …]             all rows; with -into docs/detection.md, in place of those that stand there
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"rollcall/swim"
	"rollcall/swim/swimsim"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are the flags of all subcommands.
type options struct {
	members, seeds, workers int
	strategy, into          string
	log                     bool
	level                   float64
	first                   uint64
}

func run(args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		return usage()
	}
	var o options
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.IntVar(&o.members, "n", 0, "members; 0: as the scenario has it")
	flags.IntVar(&o.seeds, "seeds", 0, "how many seeds; 0: as the scenario has it")
	flags.Uint64Var(&o.first, "first", 2000, "the first seed")
	flags.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "runs at a time")
	flags.StringVar(&o.strategy, "strategy", "rings", "rings or classic")
	flags.BoolVar(&o.log, "log", false, "with a log")
	flags.Float64Var(&o.level, "level", 0, "how bad, in the scenario's unit")
	flags.StringVar(&o.into, "into", "", "tables: the document in which to replace them")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "check":
		return check(o, out, progress)
	case "tables":
		return tables(o, flags.Args(), out, progress)
	}
	for _, sc := range swimsim.Scenarios() {
		if sc.Name == args[0] {
			return one(sc, o, out)
		}
	}
	return usage()
}

func usage() error {
	text := "usage: simulate check | tables | one of these, with flags (-h):"
	for _, sc := range swimsim.Scenarios() {
		text += fmt.Sprintf("\n  %-10s %s", sc.Name, sc.About)
	}
	return fmt.Errorf("%s", text)
}

// check runs checked seeds and stops at the first that fails.
func check(o options, out, progress io.Writer) error {
	if o.seeds == 0 {
		o.seeds = 200
	}
	reports := make([]chan swimsim.Report, o.workers)
	for i := range reports {
		reports[i] = make(chan swimsim.Report)
		go func() {
			for seed := i; seed < o.seeds; seed += o.workers {
				reports[i] <- swimsim.Check(o.first + uint64(seed))
			}
		}()
	}
	var steps, faults uint64
	for i := range o.seeds {
		r := <-reports[i%o.workers]
		if r.Err != nil {
			return r.Err
		}
		steps += r.Steps
		faults += uint64(r.Faults)
		if (i+1)%1000 == 0 {
			fmt.Fprintf(progress, "%d seeds\n", i+1)
		}
	}
	fmt.Fprintf(out, "%d seeds from %d: %d faults, %d steps, no invariant broken\n", o.seeds, o.first, faults, steps)
	return nil
}

func strategyOf(name string) (swim.Strategy, error) {
	switch name {
	case "rings":
		return swim.RingObservers, nil
	case "classic":
		return swim.RoundRobin, nil
	}
	return 0, fmt.Errorf("strategy %q: want rings or classic", name)
}

// one measures one row.
func one(sc swimsim.Scenario, o options, out io.Writer) error {
	strategy, err := strategyOf(o.strategy)
	if err != nil {
		return err
	}
	s := swimsim.Setup{Members: sc.Members, Strategy: strategy, Log: o.log, Level: o.level}
	if o.members > 0 {
		s.Members = o.members
	}
	if o.seeds == 0 {
		o.seeds = sc.Seeds
	}
	printHead(out, sc)
	measure(sc, s, o, out)
	return nil
}

func measure(sc swimsim.Scenario, s swimsim.Setup, o options, out io.Writer) {
	printRow(out, row{sc, s, o.first, o.seeds, swimsim.Measure(sc, s, o.first, o.seeds, o.workers)})
}
