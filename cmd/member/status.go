package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func init() { register(newStatus) }

// lagTolerated is how long the views may not have been level with the log before check and status call them out of date,
// unless --max-lag says otherwise. Views that are fed without a pause are a little behind at most instants; a log that is silent,
// rather than refusing, shows as lag after some heartbeats.
const lagTolerated = 5 * time.Second

// status is how a projector is doing: its own answer, and how many nodes are in which state.
type status struct {
	answer
	Version string `json:"version"`
	State   string `json:"state"`
	Ready   bool   `json:"ready"`
	Stopped string `json:"stopped,omitempty"`
	Log     struct {
		Identity string `json:"identity"`
		Last     uint64 `json:"last"`
		Error    string `json:"error,omitempty"`
	} `json:"log"`
	Rejected struct {
		Total uint64 `json:"total"`
	} `json:"rejected"`
	Parked []struct {
		Node     string `json:"node"`
		Position uint64 `json:"position"`
		Reason   string `json:"reason"`
	} `json:"parked"`
	Nodes map[string]int `json:"nodes"` // by state
}

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print how far a projector has come, and how many nodes are in which state",
		Long: `Print how far a projector has come, and how many nodes are in which state. The exit status is 4 when its views are
not up to date: it is still catching up or paused, has stopped, cannot read its log, or is further behind it than
--max-lag. A node about which an event cannot be read is named on standard error.`,
		Args: cli.Args(),
	}
	q := questionFlagsWithin(cmd, lagTolerated)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := q.client()
		if err != nil {
			return err
		}
		s, err := c.status(cmd.Context())
		if err != nil {
			return err
		}
		var all struct{ Nodes []node }
		if _, err := c.get(cmd.Context(), &all, nil, "v1", "nodes"); err != nil {
			return err
		}
		s.Nodes = map[string]int{"alive": 0, "suspect": 0, "failed": 0, "left": 0}
		for _, n := range all.Nodes {
			s.Nodes[n.State]++
		}
		if err := s.print(cmd, *q.output); err != nil {
			return err
		}
		for _, p := range s.Parked {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s is parked at position %d: %s\n", p.Node, p.Position, p.Reason)
		}
		if err := s.judge(); err != nil {
			return err
		}
		return q.judge(s.answer)
	}
	return cmd
}

// status asks how the projector is doing; Nodes is left empty.
func (c *client) status(ctx context.Context) (s status, err error) {
	_, err = c.get(ctx, &s, nil, "v1", "projections")
	return s, err
}

// judge says why the views are not up to date, if they are not.
func (s status) judge() error {
	switch {
	case s.Stopped != "":
		return cli.Errorf(cli.ErrStale, "the projector has stopped: %s", s.Stopped)
	case s.Log.Error != "":
		return cli.Errorf(cli.ErrStale, "the projector cannot read the log: %s", s.Log.Error)
	case !s.Ready:
		return cli.Errorf(cli.ErrStale, "the projector is catching up: at position %d of %d", s.Position, s.Log.Last)
	case s.State == "paused":
		return cli.Errorf(cli.ErrStale, "the projector is paused at position %d of %d: POST /v1/projections/registry/resume goes on",
			s.Position, s.Log.Last)
	default:
		return nil
	}
}

func (s status) print(cmd *cobra.Command, output cli.Output) error {
	w := cmd.OutOrStdout()
	switch output {
	case cli.OutputJSON:
		return json.NewEncoder(w).Encode(s)
	case cli.OutputName:
		_, err := fmt.Fprintln(w, s.Cluster)
		return err
	}
	header := []string{"CLUSTER", "STATE", "POSITION", "BEHIND", "LAG", "ALIVE", "SUSPECT", "FAILED", "LEFT"}
	row := []string{
		s.Cluster, s.State, strconv.FormatUint(s.Position, 10), strconv.FormatUint(s.Lag.Events, 10),
		time.Duration(s.Lag.Seconds * float64(time.Second)).Round(time.Millisecond).String(),
	}
	for _, state := range []string{"alive", "suspect", "failed", "left"} {
		row = append(row, strconv.Itoa(s.Nodes[state]))
	}
	if output == cli.OutputWide {
		header = append(header, "PARKED", "REJECTED", "LOG", "VERSION")
		row = append(row, strconv.Itoa(len(s.Parked)), strconv.FormatUint(s.Rejected.Total, 10), s.Log.Identity, s.Version)
	}
	table := cli.NewTable(w, header...)
	table.Row(row...)
	return table.Flush()
}
