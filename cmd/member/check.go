package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func init() { register(newCheck) }

func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say by the exit status whether enough nodes can be called",
		Long: `Say by the exit status whether enough nodes can be called: 0 when at least --min nodes, and at most --max, are alive or in a state
that --status names and have tags that match; 1 when not; 4 when the projector does not know, because its views are not up to
date: it is catching up or paused, has stopped, cannot read its log, or is further behind it than --max-lag.
` + tagHelp,
		Example: "  member check --min 3 --tag role=worker\n  member check --max 0 --min 0 --status suspect,failed",
		Args:    cli.Args(),
	}
	q := questionFlagsWithin(cmd, lagTolerated)
	var status, tags []string
	filterFlags(cmd, &status, &tags, []string{"alive"})
	atLeast := cmd.Flags().Int("min", 1, "at least this `COUNT`")
	atMost := cmd.Flags().Int("max", -1, "at most this `COUNT`; below 0: any")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *atMost >= 0 && *atMost < *atLeast {
			return cli.Errorf(cli.ErrUsage, "--max %d is below --min %d", *atMost, *atLeast)
		}
		c, err := q.client()
		if err != nil {
			return err
		}
		projector, err := c.status(cmd.Context())
		if err != nil {
			return err
		}
		if err := projector.judge(); err != nil {
			return err
		}
		var all nodes
		if _, err := c.get(cmd.Context(), &all, filterQuery(status, tags), "v1", "services"); err != nil {
			return err
		}
		r := checked{answer: all.answer, Nodes: all.Services, Count: len(all.Services), Min: *atLeast, Max: *atMost}
		r.OK = r.Count >= r.Min && (r.Max < 0 || r.Count <= r.Max)
		if err := r.print(cmd, *q.output); err != nil {
			return err
		}
		if err := q.judge(all.answer); err != nil || r.OK {
			return err
		}
		return errors.New(r.complaint())
	}
	return cmd
}

// checked is what a check found.
type checked struct {
	answer
	OK    bool              `json:"ok"`
	Count int               `json:"count"`
	Min   int               `json:"min"`
	Max   int               `json:"max"` // below 0: any
	Nodes []json.RawMessage `json:"nodes"`
}

func (r checked) complaint() string {
	if r.Count < r.Min {
		return fmt.Sprintf("%d nodes match, want at least %d", r.Count, r.Min)
	}
	return fmt.Sprintf("%d nodes match, want at most %d", r.Count, r.Max)
}

func (r checked) print(cmd *cobra.Command, output cli.Output) error {
	w := cmd.OutOrStdout()
	switch output {
	case cli.OutputJSON:
		return json.NewEncoder(w).Encode(r)
	case cli.OutputName:
		return newNodePrinter(w, output).print(r.Nodes...)
	}
	result, limit := "failed", "-"
	if r.OK {
		result = "ok"
	}
	if r.Max >= 0 {
		limit = strconv.Itoa(r.Max)
	}
	header := []string{"CHECK", "COUNT", "MIN", "MAX"}
	row := []string{result, strconv.Itoa(r.Count), strconv.Itoa(r.Min), limit}
	if output == cli.OutputWide {
		header = append(header, "POSITION", "BEHIND")
		row = append(row, strconv.FormatUint(r.Position, 10), strconv.FormatUint(r.Lag.Events, 10))
	}
	table := cli.NewTable(w, header...)
	table.Row(row...)
	return table.Flush()
}
