package main

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func init() { register(newServices); register(newPick) }

func newServices() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "services",
		Short: "Print who can be called: alive, and chosen by tags",
		Long: `Print who can be called: the nodes that are alive, or in a state that --status names, and whose tags match. A node about
which an event cannot be read is not among them. With --watch, print a node again whenever something about it changes,
until interrupted: a node that was printed is followed into other states.
` + tagHelp,
		Example: "  member services --tag role=worker\n  member services --tag 'zone in (a,b), !draining' -o name",
		Args:    cli.Args(),
	}
	l := listingFlags(cmd, []string{"alive"})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return l.run(cmd, "services") }
	return cmd
}

func newPick() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pick",
		Short: "Print one of those who can be called",
		Long: `Print one of those who can be called, or with --at who could be called then. Exit status 3 says that there is nobody.

Strategies: random; round_robin takes turns, remembered by the projector, and not with --at; rendezvous gives the same node
for the same --key for as long as it is there; least_loaded takes the lowest number in the tag that --key names, load by default. With
--key alone it is rendezvous, without both random.
` + tagHelp,
		Example: "  member pick --tag role=worker -o name\n  member pick --tag role=worker --key order-1\n" +
			"  member pick --key order-1 --at -1h -o name",
		Args: cli.Args(),
	}
	q := questionFlags(cmd)
	var status, tags []string
	filterFlags(cmd, &status, &tags, []string{"alive"})
	at := atFlag(cmd)
	strategy := cmd.Flags().String("strategy", "", "`HOW` to choose: random, round_robin, least_loaded or rendezvous")
	key := cmd.Flags().String("key", "", "what rendezvous goes by, or the tag that least_loaded goes by")
	instead(cmd, map[string]string{"watch": "a choice is made once; member services --watch prints who can be called, as it changes"})
	complete(cmd, "strategy", "random", "round_robin", "least_loaded", "rendezvous")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := q.client()
		if err != nil {
			return err
		}
		query := filterQuery(status, tags)
		setUnlessEmpty(query, "at", *at)
		setUnlessEmpty(query, "strategy", *strategy)
		if cmd.Flags().Changed("key") {
			query.Set("key", *key)
		}
		return q.printPick(cmd, c, query)
	}
	return cmd
}

func (q *question) printPick(cmd *cobra.Command, c *client, query url.Values) error {
	var picked struct {
		answer
		Node json.RawMessage `json:"node"`
	}
	raw, err := c.get(cmd.Context(), &picked, query, "v1", "pick")
	if err != nil {
		return err
	}
	if *q.output == cli.OutputJSON {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
	} else {
		err = newNodePrinter(cmd.OutOrStdout(), *q.output).print(picked.Node)
	}
	if err != nil {
		return err
	}
	return q.judge(picked.answer)
}
