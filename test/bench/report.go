package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// quantiles of some trials, in seconds, by nearest rank; all zero when Of is.
type quantiles struct {
	Of  int     `json:"of"` // trials in which it happened
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	Max float64 `json:"max"`
}

func quantilesOf(all []time.Duration) quantiles {
	if len(all) == 0 {
		return quantiles{}
	}
	sorted := slices.Sorted(slices.Values(all))
	rank := func(percent int) float64 { return sorted[(len(sorted)*percent+99)/100-1].Seconds() }
	return quantiles{Of: len(all), P50: rank(50), P95: rank(95), Max: rank(100)}
}

func (q quantiles) String() string {
	if q.Of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f / %.3f / %.3f", q.P50, q.P95, q.Max)
}

// among adds how many trials it happened in, unless it was all of them.
func (q quantiles) among(rows crashRows) string {
	trials := rows.Everywhere.Of + rows.Undetected
	if q.Of == 0 || q.Of == trials {
		return q.String()
	}
	return fmt.Sprintf("%s (in %d of %d)", q, q.Of, trials)
}

// printTable prints one row a figure and one column a system.
func printTable(out io.Writer, results []result) error {
	if len(results) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(title string, cell func(result) string) {
		cells := []string{title}
		for _, r := range results {
			cells = append(cells, cell(r))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	first := results[0]
	fmt.Fprintf(t, "%d members in one process on loopback, %s, %d cores\n", first.Members, first.Go, first.Cores)
	row("", func(r result) string { return r.System })
	row("load of the machine, before and after", func(r result) string { return strings.Join(r.Load[:], " ") })
	row("formed", func(r result) string { return fmt.Sprintf("%.1f s, %.1f CPU-s", r.Formed, r.FormedCPU) })
	printSteady(row)
	for i, rows := range first.Crashes {
		printCrash(row, func(r result) crashRows { return r.Crashes[i] }, rows.Kind)
	}
	row("healthy suspected / failed, all trials", func(r result) string { return fmt.Sprintf("%d / %d", r.Suspicions, r.Failures) })
	row("peak memory of the process", func(r result) string { return fmt.Sprintf("%.0f MiB", float64(r.PeakMemory)/(1<<20)) })
	for _, r := range results {
		if !r.Isolated {
			fmt.Fprintf(t, "%s had no network namespace of its own: bytes and packets include everybody else's on loopback\n", r.System)
		}
		if r.Members >= manyMembers {
			fmt.Fprintf(t, "%s: garbage was collected between the phases only: the CPU is without that, the peak with what lay around\n", r.System)
		}
		if r.Handed {
			fmt.Fprintf(t, "%s: members learnt of each other as from the log, not by gossip; %s\n", r.System, crowdText())
		}
		if !r.Urgent {
			fmt.Fprintf(t, "%s ran at no raised priority: what else the machine did may have held it up\n", r.System)
		}
		if r.Missed > 0 {
			fmt.Fprintf(t, "%s: %d sightings were lost: counts of the healthy are too small\n", r.System, r.Missed)
		}
	}
	return t.Flush()
}

func printSteady(row func(string, func(result) string)) {
	row("steady state, a member", func(r result) string { return fmt.Sprintf("(%.0f s)", r.Steady.Seconds) })
	row("  bytes/s, each way", func(r result) string { return fmt.Sprintf("%.0f", r.Steady.Bytes) })
	row("  UDP packets/s, each way", func(r result) string { return fmt.Sprintf("%.2f", r.Steady.Datagrams) })
	row("  CPU ms/s", func(r result) string { return fmt.Sprintf("%.2f", r.Steady.CPU) })
	row("  heap, stack", func(r result) string {
		return fmt.Sprintf("%.0f kB, %.0f kB", r.Steady.Heap/1000, r.Steady.Stack/1000)
	})
	row("  goroutines, connections", func(r result) string {
		return fmt.Sprintf("%.1f, %.1f", r.Steady.Goroutines, r.Steady.Connections)
	})
	row("  longest that the process stood still", func(r result) string { return fmt.Sprintf("%.3f s", r.Steady.Late) })
	row("  healthy suspected / failed", func(r result) string { return fmt.Sprintf("%d / %d", r.HeldWrong[0], r.HeldWrong[1]) })
}

func printCrash(row func(string, func(result) string), of func(result) crashRows, kind string) {
	row(kind, func(r result) string {
		rows := of(r)
		return fmt.Sprintf("s, p50 / p95 / max of %d", rows.Everywhere.Of+rows.Undetected)
	})
	row("  crash to first told by the transport", func(r result) string { return of(r).Told.among(of(r)) })
	row("  told to first suspicion", func(r result) string { return of(r).AfterTold.among(of(r)) })
	row("  crash to first suspicion", func(r result) string { return of(r).Suspected.among(of(r)) })
	row("  crash to first verdict", func(r result) string { return of(r).Failed.String() })
	row("  crash to failed everywhere", func(r result) string { return of(r).Everywhere.String() })
	row("  longest that the process stood still", func(r result) string { return of(r).Late.String() })
	row("  not detected", func(r result) string { return fmt.Sprint(of(r).Undetected) })
}
