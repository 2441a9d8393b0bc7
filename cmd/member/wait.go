package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func init() { register(newWait) }

func newWait() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait [NODE]",
		Short: "Wait until a node is in a state",
		Long: `Wait until a node is in one of these states, and print it. A node that the log does not name yet is waited for as well. Exit
status 5 says that it was not so within --timeout.`,
		Example: "  member wait n3 --state failed --timeout 30s",
		Args:    cobra.MaximumNArgs(1),
	}
	q := questionFlags(cmd)
	id := cmd.Flags().String("node", "", "`ID` of the node, if it is not an argument")
	states := cmd.Flags().StringSlice("state", []string{"alive"}, "`STATES` to wait for: alive, suspect, failed, left")
	completeBy(cmd, "node", q.completeNodes)
	cmd.ValidArgsFunction = q.completeOneNode
	complete(cmd, "state", "alive", "suspect", "failed", "left")
	instead(cmd, map[string]string{
		"at":    "it waits for what is to come; member check NODE --at says what was",
		"watch": "it ends when the node is so; member list NODE --watch goes on",
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == (*id != "") {
			return cli.Errorf(cli.ErrUsage, "name one node to wait for: member wait NODE")
		}
		name := strings.Join(append(args, *id), "")
		for _, s := range *states {
			if !slices.Contains([]string{"alive", "suspect", "failed", "left"}, s) {
				return cli.Errorf(cli.ErrUsage, "--state %q is none of alive, suspect, failed, left", s)
			}
		}
		c, err := q.client()
		if err != nil {
			return err
		}
		w := &waiter{c: c, id: name, states: *states, was: "not known"}
		raw, err := w.wait(cmd)
		if err != nil {
			return err
		}
		return newNodePrinter(cmd.OutOrStdout(), *q.output).print(raw)
	}
	return cmd
}

// waiter waits for one node.
type waiter struct {
	c      *client
	id     string
	states []string
	was    string // the state it was seen in last
}

// errThere ends a stream when the node is as wanted.
var errThere = errors.New("the node is as wanted")

func (w *waiter) wait(cmd *cobra.Command) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), w.c.timeout)
	defer cancel()
	found, position, err := w.look(ctx, nil)
	if err == nil && found == nil {
		err = w.c.follow(ctx, cmd.ErrOrStderr(), position+1, url.Values{"node": {w.id}}, func(e event) error {
			if found, _, err = w.look(ctx, atLeast(e)); err == nil && found != nil {
				return errThere
			}
			return err
		})
	}
	switch {
	case errors.Is(err, errThere), err == nil && found != nil:
		return found, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, cli.Errorf(cli.ErrTimeout, "%s is %s, not %s, after %v", w.id, w.was, strings.Join(w.states, " or "), w.c.timeout)
	case err == nil:
		return nil, context.Cause(ctx)
	default:
		return nil, err
	}
}

// look returns the node if it is as wanted, and the position at which it was looked at.
func (w *waiter) look(ctx context.Context, query url.Values) (json.RawMessage, uint64, error) {
	var one struct {
		answer
		Node json.RawMessage `json:"node"`
	}
	_, err := w.c.get(ctx, &one, query, "v1", "nodes", w.id)
	if errors.Is(err, cli.ErrNotFound) {
		w.was = "unknown"
		var position uint64
		if position, err = w.c.now(ctx); err != nil {
			return nil, 0, err
		}
		// Between the two answers it may have come.
		if _, err = w.c.get(ctx, &one, nil, "v1", "nodes", w.id); errors.Is(err, cli.ErrNotFound) {
			return nil, position, nil
		}
	}
	if err != nil {
		return nil, 0, err
	}
	var n node
	if err := json.Unmarshal(one.Node, &n); err != nil {
		return nil, 0, fmt.Errorf("the node of the answer is not as expected: %w: %s", err, one.Node)
	}
	if w.was = n.State; slices.Contains(w.states, n.State) {
		return one.Node, one.Position, nil
	}
	return nil, one.Position, nil
}
