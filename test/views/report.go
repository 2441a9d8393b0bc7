package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report prints one figure a line as they come, and remembers which were beyond their bound.
type report struct {
	out    io.Writer
	beyond []string
}

func newReport(out io.Writer) *report { return &report{out: out} }

func (r *report) say(what, format string, args ...any) {
	fmt.Fprintf(r.out, "%-34s %s\n", what, fmt.Sprintf(format, args...))
}

// machine says what the figures were taken on.
func (r *report) machine(o options) {
	r.say("nodes, events, seed", "%d, %d, %d", o.nodes, o.events, o.seed)
	model := "unknown processor"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
				break
			}
		}
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	r.say("machine", "%d cores, %s, %s/%s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version())
	r.say("load before", "%s", strings.TrimSpace(string(load)))
}

type direction bool

const (
	atLeast direction = true
	atMost  direction = false
)

// bound prints a figure with its bound.
func (r *report) bound(what string, value, bound float64, d direction, unit string) {
	sign, good := "<=", value <= bound
	if d == atLeast {
		sign, good = ">=", value >= bound
	}
	digits := 2
	if bound >= 1000 {
		digits = 0
	}
	verdict := "holds"
	if !good {
		verdict = "DOES NOT HOLD"
		r.beyond = append(r.beyond, what)
	}
	r.say(what, "%.*f %s; want %s %.*f: %s", digits, value, unit, sign, digits, bound, verdict)
}

// rounds prints a figure that was taken several times: each, and which is in the middle.
func (r *report) rounds(what string, values []float64, unit string) {
	r.say(what, "%.0f %s, the median of %.0f", median(values), unit, values)
}

// median is the middle one; of an even number, the lower of the two.
func median(values []float64) float64 { return slices.Sorted(slices.Values(values))[(len(values)-1)/2] }

// latency prints quantiles and holds the 99th percentile against its bound.
func (r *report) latency(what string, took []time.Duration, bound time.Duration) {
	if len(took) == 0 {
		r.say(what, "nothing was measured")
		r.beyond = append(r.beyond, what)
		return
	}
	r.bound(what, rank(took, 99), millis(bound), atMost, "ms p99"+spread(took))
}

// quantiles prints them, where there is no bound.
func (r *report) quantiles(what string, took []time.Duration) {
	if len(took) > 0 {
		r.say(what, "%.2f ms p99%s", rank(took, 99), spread(took))
	}
}

func spread(took []time.Duration) string {
	return fmt.Sprintf(" of %d; p50 %.2f, p90 %.2f, max %.2f", len(took), rank(took, 50), rank(took, 90), rank(took, 100))
}

// rank is a quantile by nearest rank, in milliseconds.
func rank(took []time.Duration, percent int) float64 {
	slices.Sort(took)
	return millis(took[(len(took)*percent+99)/100-1])
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *report) memory(what string, p *process) {
	now, most := p.memory()
	r.say(what, "%d MB resident, %d MB at most", now/1e6, most/1e6)
}

// verdict fails when strict and something was beyond its bound.
func (r *report) verdict(strict bool) error {
	if strict && len(r.beyond) > 0 {
		return fmt.Errorf("beyond the bound: %s", strings.Join(r.beyond, "; "))
	}
	return nil
}
