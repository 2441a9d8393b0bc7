package main

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/infra/cli"
)

// completeLimit is how long a shell waits for a projector before it completes nothing.
const completeLimit = 2 * time.Second

// completer is a function that a shell asks for what could stand where the cursor is.
type completer = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// completeNodes offers the ids on the roll with their states, each once.
func (q *question) completeNodes(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var all struct{ Nodes []node }
	q.forShell(cmd, &all, "v1", "nodes")
	var offers []string
	for _, n := range all.Nodes {
		if !slices.Contains(args, n.ID) {
			offers = append(offers, n.ID+"\t"+n.State)
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// completeOneNode offers ids for a command that takes one.
func (q *question) completeOneNode(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return q.completeNodes(cmd, nil, begun)
}

func (q *question) completeGroups(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var all struct{ Groups []struct{ Group string } }
	q.forShell(cmd, &all, "v1", "assignments")
	var offers []string
	for _, g := range all.Groups {
		offers = append(offers, g.Group)
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// forShell asks the projector that the command line, the environment or the file names. Where none answers nothing is offered: a
// shell has nowhere to show an error.
func (q *question) forShell(cmd *cobra.Command, value any, path ...string) {
	if cli.Layer(cmd.Flags(), os.LookupEnv) != nil { // a command that only completes is given no settings otherwise
		return
	}
	q.timeout = min(q.timeout, completeLimit)
	c, err := q.client()
	if err != nil {
		return
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	_, _ = c.get(ctx, value, nil, path...)
}

// kindNames are the kinds of events, as their flag takes them.
func kindNames() []string {
	var names []string
	for _, kind := range append(events.Kinds(), events.GroupKinds()...) {
		names = append(names, string(kind))
	}
	return names
}

// complete lets a shell complete the values of a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	completeBy(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func completeBy(cmd *cobra.Command, flag string, offer completer) {
	if err := cmd.RegisterFlagCompletionFunc(flag, offer); err != nil {
		panic(err) // the flag does not exist: a mistake in this program
	}
}
