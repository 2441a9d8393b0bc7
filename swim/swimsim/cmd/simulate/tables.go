package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"rollcall/swim"
	"rollcall/swim/swimsim"
)

// tables measures every row of the document, or those of the scenarios named, and prints them or puts them into the document.
// Each table is put there when it is done, so that what was measured before an interruption stays.
func tables(o options, names []string, out, progress io.Writer) error {
	for _, sc := range swimsim.Scenarios() {
		if len(names) > 0 && !slices.Contains(names, sc.Name) {
			continue
		}
		var table bytes.Buffer
		printHead(&table, sc)
		for _, s := range setups(sc) {
			run := o
			run.seeds = seedsOf(sc, s)
			fmt.Fprintln(progress, sc.Command(s, run.first, run.seeds))
			measure(sc, s, run, &table)
		}
		if o.into == "" {
			fmt.Fprintf(out, "\n%s: %s\n\n%s", sc.Name, sc.About, table.String())
			continue
		}
		text, err := os.ReadFile(o.into)
		if err != nil {
			return err
		}
		replaced, err := replaceTable(string(text), sc.Name, table.String())
		if err != nil {
			return fmt.Errorf("%s: %w", o.into, err)
		}
		if err := os.WriteFile(o.into, []byte(replaced), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// replaceTable puts a table between the document's two marks for it.
func replaceTable(text, name, table string) (string, error) {
	begin, end := "<!-- table "+name+" -->\n", "<!-- end "+name+" -->"
	head, rest, ok := strings.Cut(text, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("no lines %q and %q to put the table between", strings.TrimSpace(begin), end)
	}
	return head + begin + table + end + tail, nil
}

// setups are the rows of a scenario's table: every level with both strategies, rings with and without the log; the crash
// for several sizes.
func setups(sc swimsim.Scenario) []swimsim.Setup {
	sizes, levels := []int{sc.Members}, sc.Levels
	if sc.Name == "crash" {
		sizes = []int{8, 32, 128, 1000}
	}
	if levels == nil {
		levels = []float64{0}
	}
	var all []swimsim.Setup
	for _, n := range sizes {
		for _, level := range levels {
			all = append(all,
				swimsim.Setup{Members: n, Level: level, Strategy: swim.RingObservers},
				swimsim.Setup{Members: n, Level: level, Strategy: swim.RingObservers, Log: true},
				swimsim.Setup{Members: n, Level: level, Strategy: swim.RoundRobin},
			)
		}
	}
	return all
}

// seedsOf is how many seeds a row of the document takes: fewer where a run takes long.
func seedsOf(sc swimsim.Scenario, s swimsim.Setup) int {
	seeds := sc.Seeds
	if s.Members >= 1000 {
		seeds /= 4
	}
	if s.Strategy == swim.RoundRobin {
		seeds /= 4
	}
	return max(seeds, 1)
}
