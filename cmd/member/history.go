package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func init() { register(newHistory) }

// entry is one event of a node's history.
type entry struct {
	Position    uint64            `json:"position"`
	Time        string            `json:"time"`
	Stored      string            `json:"stored"`
	Kind        string            `json:"kind"`
	Author      string            `json:"author"`
	Incarnation uint64            `json:"incarnation"`
	ID          string            `json:"id"`
	Outcome     outcome           `json:"outcome"`
	Address     string            `json:"address,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Evidence    json.RawMessage   `json:"evidence,omitempty"`
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
log no longer reaches back to --from.

With NODE and --watch, go on with what happens to it, and add nothing up; with -o json, a line then is one event of the history.`,
		Example: "  member history n3\n  member history n3 --at 2026-03-01T12:00:00Z\n  member history --from -24h\n" +
			"  member history n3 --from -1h --watch",
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
	watch := watchFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("at", "to")
	cmd.MarkFlagsMutuallyExclusive("to", "watch")
	cmd.ValidArgsFunction = q.completeOneNode
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && *watch {
			return cli.Errorf(cli.ErrUsage, "--watch is for the history of one node; member events --watch is for all of them")
		}
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
		return q.history(cmd, c, args[0], query, *watch)
	}
	return cmd
}

// history prints the history of one node, and with watch what happens to it from there on.
func (q *question) history(cmd *cobra.Command, c *client, id string, query url.Values, watch bool) error {
	var h history
	raw, err := c.get(cmd.Context(), &h, query, "v1", "nodes", id, "history")
	if err != nil {
		return err
	}
	if h.Older > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d older events: member events --node %s\n", h.Older, id)
	}
	p := newEntryPrinter(cmd.OutOrStdout(), *q.output)
	if *q.output == cli.OutputJSON && !watch {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
	} else {
		for _, e := range h.History {
			e.addTo(p)
		}
		err = p.flush()
	}
	switch {
	case err != nil:
		return err
	case watch:
		return c.follow(cmd.Context(), cmd.ErrOrStderr(), h.Position+1, url.Values{"node": {id}}, func(e event) error {
			e.entry().addTo(p)
			return p.flush()
		})
	case p.table != nil:
		if _, err := fmt.Fprintln(cmd.OutOrStdout()); err != nil {
			return err
		}
		h.Report.ID = h.ID
		if err := printReports(cmd, *q.output, h.Report); err != nil {
			return err
		}
	}
	return q.judge(h.answer)
}

// entry is the event as the history of its node shows it.
func (e event) entry() entry {
	data := e.Event.Data
	return entry{
		Position: e.Position, Time: e.Event.Time, Stored: e.Stored, Kind: e.kind(), Author: data.Author, Incarnation: data.Incarnation,
		ID: e.Event.ID, Outcome: e.Outcome, Address: data.Address, Tags: data.Tags, Evidence: data.Evidence,
	}
}

func newEntryPrinter(w io.Writer, output cli.Output) *printer {
	header := []string{"POSITION", "TIME", "KIND", "STATE", "INCARNATION", "AUTHOR", "WHY"}
	return newPrinter(w, output, header, "OUTCOME", "STORED", "ID")
}

func (e entry) addTo(p *printer) {
	p.add(e, e.ID,
		strconv.FormatUint(e.Position, 10), instant(e.Time), e.Kind, e.Outcome.step(),
		strconv.FormatUint(e.Incarnation, 10), e.Author, why(e.Evidence),
		e.Outcome.String(), instant(e.Stored), e.ID)
}

// step is the node's state after the event, and before it where that differs.
func (o outcome) step() string {
	if o.Before == o.After || o.Before == "" {
		return o.After
	}
	return o.Before + ">" + o.After
}
