package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

// report is what befell one node between two instants, or all of them together.
type report struct {
	ID              string   `json:"id"` // empty of all, and in a history
	Known           float64  `json:"known_seconds"`
	Up              float64  `json:"up_seconds"`
	Availability    *float64 `json:"availability"` // nil: not on the roll
	Suspicions      uint64   `json:"suspicions"`
	FalseSuspicions uint64   `json:"false_suspicions"`
	Failures        uint64   `json:"failures"`
	Flaps           uint64   `json:"flaps"`
	TimeToDetect    *delays  `json:"time_to_detect"` // nil: no failure says how long it took to find
}

type delays struct {
	Mean float64 `json:"mean_seconds"`
	P50  float64 `json:"p50_seconds"`
	P99  float64 `json:"p99_seconds"`
	Max  float64 `json:"max_seconds"`
}

// clusterReport is what befell each node, and all together.
type clusterReport struct {
	answer
	Total report   `json:"total"`
	Nodes []report `json:"nodes"`
}

// all is what stands for every node in a table; no id has a bracket.
const all = "(all)"

// report asks what befell every node.
func (c *client) report(ctx context.Context, query url.Values) (r clusterReport, raw []byte, err error) {
	raw, err = c.get(ctx, &r, query, "v1", "report")
	return r, raw, err
}

func (r clusterReport) print(cmd *cobra.Command, output cli.Output, raw []byte) error {
	if output == cli.OutputJSON {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
		return err
	}
	list := r.Nodes
	if output != cli.OutputName {
		r.Total.ID = all
		list = append(list, r.Total)
	}
	return printReports(cmd, output, list...)
}

// printReports prints a table with a line for each, or the names.
func printReports(cmd *cobra.Command, output cli.Output, list ...report) error {
	header := []string{"ID", "AVAILABLE", "SUSPICIONS", "FALSE", "FAILURES", "FLAPS", "DETECTED", "AT MOST"}
	p := newPrinter(cmd.OutOrStdout(), output, header, "MEAN", "P99", "UP", "KNOWN")
	for _, r := range list {
		row := []string{r.ID, r.available()}
		for _, n := range []uint64{r.Suspicions, r.FalseSuspicions, r.Failures, r.Flaps} {
			row = append(row, strconv.FormatUint(n, 10))
		}
		p.add(r, r.ID, append(row,
			r.took(func(d *delays) float64 { return d.P50 }), r.took(func(d *delays) float64 { return d.Max }),
			r.took(func(d *delays) float64 { return d.Mean }), r.took(func(d *delays) float64 { return d.P99 }),
			fmt.Sprintf("%.3fs", r.Up), fmt.Sprintf("%.3fs", r.Known))...)
	}
	return p.flush()
}

// available is cut off, not rounded: 100 % is said of a node that was never down.
func (r report) available() string {
	if r.Availability == nil {
		return ""
	}
	share := strconv.FormatFloat(float64(int64(*r.Availability*1e5))/1e3, 'f', -1, 64)
	return share + "%"
}

func (r report) took(which func(*delays) float64) string {
	if r.TimeToDetect == nil {
		return ""
	}
	return time.Duration(which(r.TimeToDetect) * float64(time.Second)).Round(time.Millisecond).String()
}
