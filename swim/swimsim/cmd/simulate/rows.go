package main

import (
	"fmt"
	"io"
	"time"

	"rollcall/swim/swimsim"
)

func printHead(out io.Writer) {
	fmt.Fprintln(out, "| command | first suspect p50 / p99 | failed everywhere p50 / p99 / max, missed | agreed again p50 / max, never |"+
		" healthy: accused, failed (views), in the log | stalled and failed | quiet: datagrams, B a member·s | in trouble |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|")
}

func printRow(out io.Writer, sc swimsim.Scenario, s swimsim.Setup, o options, r swimsim.Outcome) {
	inLog := "-"
	if s.Log {
		inLog = fmt.Sprint(r.LogVerdicts)
	}
	fmt.Fprintf(out, "| `%s` | %s | %s | %s | %d, %d (%d), %s | %d | %s | %s |\n",
		sc.Command(s, o.first, o.seeds),
		spread(r.FirstSuspect, 0.5, 0.99),
		withCount(spread(r.Everywhere, 0.5, 0.99, 1), r.Missed),
		withCount(spread(r.Agreed, 0.5, 1), r.Apart),
		r.Suspicions, r.Verdicts, r.Views, inLog, r.Stalled, rate(r.Quiet), rate(r.Trouble))
}

// spread prints quantiles in seconds.
func spread(values []time.Duration, quantiles ...float64) string {
	if len(values) == 0 {
		return "-"
	}
	text := ""
	for i, q := range quantiles {
		if i > 0 {
			text += " / "
		}
		text += fmt.Sprintf("%.2f", swimsim.Quantile(values, q).Seconds())
	}
	return text + " s"
}

func withCount(text string, count int) string {
	if count == 0 {
		return text
	}
	return fmt.Sprintf("%s, %d", text, count)
}

func rate(t swimsim.Traffic) string {
	datagrams, bytes := t.Rate()
	return fmt.Sprintf("%.1f, %.0f", datagrams, bytes)
}
