package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func init() { register(newDiff) }

// change is what became of one node.
type change struct {
	ID     string   `json:"id"`
	Fields []string `json:"fields"`
	Before *node    `json:"before"`
	After  *node    `json:"after"`
}

type diff struct {
	answer
	Added   []change `json:"added"`
	Changed []change `json:"changed"`
	Removed []change `json:"removed"`
}

func newDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Print what changed on the roll between two instants",
		Long: `Print what changed on the roll between two instants: who came onto it (added: joined, or joined again after leaving), who is
no longer on it (removed: left), and who is otherwise not what it was (changed). Exit status 4 says that the log no longer
reaches back to --from.`,
		Example: "  member diff --from -1h\n  member diff --from 2026-03-01T12:00:00Z\n  member diff --from 100 --to 200 -o wide",
		Args:    cli.Args(),
	}
	q := questionFlags(cmd)
	from := instantVar(cmd, "from", "the earlier instant: "+instantForms+" (required)")
	to := instantVar(cmd, "to", "the later instant, in the same forms; now when it is not given")
	require(cmd, "from")
	instead(cmd, map[string]string{
		"at":    "--from and --to name the two instants",
		"watch": "member list --watch prints who changes, as it happens, and member events --watch what happens",
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := q.client()
		if err != nil {
			return err
		}
		query := url.Values{"from": {*from}}
		setUnlessEmpty(query, "to", *to)
		var d diff
		raw, err := c.get(cmd.Context(), &d, query, "v1", "diff")
		if err != nil {
			return err
		}
		if err := d.print(cmd, *q.output, raw); err != nil {
			return err
		}
		return q.judge(d.answer)
	}
	return cmd
}

func (d diff) print(cmd *cobra.Command, output cli.Output, raw []byte) error {
	w := cmd.OutOrStdout()
	if output == cli.OutputJSON {
		_, err := fmt.Fprintf(w, "%s\n", raw)
		return err
	}
	p := newPrinter(w, output, []string{"CHANGE", "ID", "STATE", "INCARNATION", "FIELDS"}, "ADDRESS", "TAGS")
	for _, part := range []struct {
		name string
		list []change
	}{{"added", d.Added}, {"changed", d.Changed}, {"removed", d.Removed}} {
		for _, c := range part.list {
			p.add(c, c.ID, c.row(part.name)...)
		}
	}
	return p.flush()
}

// row shows each field as before>after, or once where both are the same.
func (c change) row(name string) []string {
	both := func(of func(n node) string) string {
		var before, after string
		if c.Before != nil {
			before = of(*c.Before)
		}
		if c.After != nil {
			after = of(*c.After)
		}
		if before == after || c.Before == nil {
			return after
		}
		return before + ">" + after
	}
	return []string{
		name, c.ID, both(func(n node) string { return n.State }),
		both(func(n node) string { return strconv.FormatUint(n.Incarnation, 10) }), strings.Join(c.Fields, ","),
		both(func(n node) string { return n.Address }), both(node.tagList),
	}
}
