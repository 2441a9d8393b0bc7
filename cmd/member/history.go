package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func init() { register(newHistory) }

// entry is one event of a node's history.
type entry struct {
	Position    uint64          `json:"position"`
	Time        string          `json:"time"`
	Stored      string          `json:"stored"`
	Kind        string          `json:"kind"`
	Author      string          `json:"author"`
	Incarnation uint64          `json:"incarnation"`
	ID          string          `json:"id"`
	Outcome     outcome         `json:"outcome"`
	Evidence    json.RawMessage `json:"evidence"`
}

type history struct {
	answer
	ID      string  `json:"id"`
	Older   uint64  `json:"older"`
	Report  report  `json:"report"`
	History []entry `json:"history"`
}

func newHistory() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history [NODE]",
		Short: "Print what happened to a node, who said so, and why; or what befell every node",
		Long: `Print what happened to a node, who said so, and why, with a line that adds it up; without a node, such a line for every
node and one for all of them. It is AVAILABLE while it is alive or suspect, in percent of the time from joining to leaving.
FALSE suspicions are those that it answered, FLAPS the suspicions and the verdicts that it answered. Half of the failures were
DETECTED within the time shown, and all in what is AT MOST, counted from when the node was last heard. Exit status 4 says that the
log no longer reaches back to --from.`,
		Example: "  member history n3\n  member history n3 --at 2026-03-01T12:00:00Z\n  member history --from -24h",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return cli.Args("NODE")(cmd, args)
		},
	}
	q := questionFlags(cmd)
	at := atFlag(cmd)
	from := instantVar(cmd, "from", "only what came after this instant: "+instantForms+"; everything when it is not given")
	to := instantVar(cmd, "to", "the same as --at: the end of what is printed")
	cmd.MarkFlagsMutuallyExclusive("at", "to")
	cmd.ValidArgsFunction = q.completeOneNode
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := q.client()
		if err != nil {
			return err
		}
		query := url.Values{}
		setUnlessEmpty(query, "from", *from)
		setUnlessEmpty(query, "to", cmp.Or(*to, *at))
		if len(args) == 0 {
			r, raw, err := c.report(cmd.Context(), query)
			if err != nil {
				return err
			}
			if err := r.print(cmd, *q.output, raw); err != nil {
				return err
			}
			return q.judge(r.answer)
		}
		var h history
		raw, err := c.get(cmd.Context(), &h, query, "v1", "nodes", args[0], "history")
		if err != nil {
			return err
		}
		if err := h.print(cmd, *q.output, raw); err != nil {
			return err
		}
		if h.Older > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d older events: member events --node %s\n", h.Older, args[0])
		}
		return q.judge(h.answer)
	}
	return cmd
}

func (h history) print(cmd *cobra.Command, output cli.Output, raw []byte) error {
	w := cmd.OutOrStdout()
	switch output {
	case cli.OutputJSON:
		_, err := fmt.Fprintf(w, "%s\n", raw)
		return err
	case cli.OutputName:
		for _, e := range h.History {
			if _, err := fmt.Fprintln(w, e.ID); err != nil {
				return err
			}
		}
		return nil
	}
	header := []string{"POSITION", "TIME", "KIND", "STATE", "INCARNATION", "AUTHOR", "WHY"}
	if output == cli.OutputWide {
		header = append(header, "OUTCOME", "STORED", "ID")
	}
	table := cli.NewTable(w, header...)
	for _, e := range h.History {
		row := []string{
			strconv.FormatUint(e.Position, 10), instant(e.Time), e.Kind, e.Outcome.step(),
			strconv.FormatUint(e.Incarnation, 10), e.Author, why(e.Evidence),
		}
		if output == cli.OutputWide {
			row = append(row, e.Outcome.String(), instant(e.Stored), e.ID)
		}
		table.Row(row...)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	h.Report.ID = h.ID
	return printReports(cmd, output, h.Report)
}

// step is the node's state after the event, and before it where that differs.
func (o outcome) step() string {
	if o.Before == o.After || o.Before == "" {
		return o.After
	}
	return o.Before + ">" + o.After
}
