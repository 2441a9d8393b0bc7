package main

import (
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
	Older   uint64  `json:"older"`
	History []entry `json:"history"`
}

func newHistory() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "history NODE",
		Short:   "Print what happened to one node, who said so, and why",
		Example: "  member history n3\n  member history n3 --at 2026-03-01T12:00:00Z",
		Args:    cli.Args("NODE"),
	}
	q := questionFlags(cmd)
	at := atFlag(cmd)
	cmd.ValidArgsFunction = q.completeOneNode
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := q.client()
		if err != nil {
			return err
		}
		query := url.Values{}
		setUnlessEmpty(query, "at", *at)
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
	return table.Flush()
}

// step is the node's state after the event, and before it where that differs.
func (o outcome) step() string {
	if o.Before == o.After || o.Before == "" {
		return o.After
	}
	return o.Before + ">" + o.After
}
