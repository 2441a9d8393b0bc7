package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"rollcall/swim/swimsim"
)

// column is one column of a table in Markdown.
type column struct {
	title string
	of    func(r row) string
}

// row is one measurement and what it was made with.
type row struct {
	sc    swimsim.Scenario
	setup swimsim.Setup
	first uint64
	seeds int
	out   swimsim.Outcome
}

// columnsOf are those that the scenario gives figures for.
func columnsOf(sc swimsim.Scenario) []column {
	all := []column{{"N", func(r row) string { return fmt.Sprint(r.setup.Members) }}}
	if sc.Unit != "" {
		all = append(all, column{sc.Unit, func(r row) string { return fmt.Sprintf("%g", r.setup.Level) }})
	}
	all = append(all, column{"strategy", strategy})
	if sc.Shows&swimsim.Detection != 0 {
		all = append(all,
			column{"first suspect p50 / p99, s", func(r row) string { return spread(r.out.FirstSuspect, 0.5, 0.99) }},
			column{"failed everywhere p50 / p99 / max, s", func(r row) string { return spread(r.out.Everywhere, 0.5, 0.99, 1) }},
			column{"missed", func(r row) string { return fmt.Sprint(r.out.Missed) }})
	}
	if sc.Shows&swimsim.Agreement != 0 {
		all = append(all,
			column{"views equal again p50 / max, s", func(r row) string { return spread(r.out.Agreed, 0.5, 1) }},
			column{"never", func(r row) string { return fmt.Sprint(r.out.Apart) }})
	}
	if sc.Shows&swimsim.Stalls != 0 {
		all = append(all, column{"faulty: failed", func(r row) string { return fmt.Sprint(r.out.Stalled) }})
	}
	return append(all,
		column{"healthy: accused", func(r row) string { return fmt.Sprint(r.out.Suspicions) }},
		column{"healthy: failed (views, in the log)", healthy},
		column{"before: msgs, B a member·s, dials a member·min", func(r row) string { return rate(r.out.Quiet) }},
		column{"under trouble", func(r row) string { return rate(r.out.Trouble) }},
		column{"command", func(r row) string { return "`" + r.sc.Command(r.setup, r.first, r.seeds) + "`" }})
}

func printHead(out io.Writer, sc swimsim.Scenario) {
	columns := columnsOf(sc)
	for _, c := range columns {
		fmt.Fprintf(out, "| %s ", c.title)
	}
	fmt.Fprintf(out, "|\n%s|\n", strings.Repeat("|---", len(columns)))
}

func printRow(out io.Writer, r row) {
	for _, c := range columnsOf(r.sc) {
		fmt.Fprintf(out, "| %s ", c.of(r))
	}
	fmt.Fprintln(out, "|")
}

func strategy(r row) string {
	name := swimsim.StrategyName(r.setup.Strategy)
	if r.setup.Log {
		name += " + log"
	}
	return name
}

// healthy says how many healthy members were failed by anybody, in how many views, and in the log.
func healthy(r row) string {
	inLog := "-"
	if r.setup.Log {
		inLog = fmt.Sprint(r.out.LogVerdicts)
	}
	return fmt.Sprintf("%d (%d, %s)", r.out.Verdicts, r.out.Views, inLog)
}

// spread prints quantiles in seconds.
func spread(values []time.Duration, quantiles ...float64) string {
	if len(values) == 0 {
		return "-"
	}
	var text []string
	for _, q := range quantiles {
		text = append(text, fmt.Sprintf("%.2f", swimsim.Quantile(values, q).Seconds()))
	}
	return strings.Join(text, " / ")
}

func rate(t swimsim.Traffic) string {
	datagrams, bytes, dials := t.Rate()
	return fmt.Sprintf("%.1f, %.0f, %.1f", datagrams, bytes, dials)
}
