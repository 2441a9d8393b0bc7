package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
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
--max-lag. A node about which an event cannot be read is named on standard error. With --watch, print that again whenever it
changes, seen within a second; the exit status is then that of the newest answer.

With --at, print how many nodes were in which state then, and of the projector nothing.`,
		Example: "  member status -o wide\n  member status --watch\n  member status --at -1h",
		Args:    cli.Args(),
	}
	q := questionFlagsWithin(cmd, lagTolerated)
	at := atFlag(cmd)
	watch := watchFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := q.client()
		if err != nil {
			return err
		}
		return q.tell(cmd, *watch, func(ctx context.Context) (finding, error) {
			if *at != "" {
				past, err := c.census(ctx, *at)
				return past.finding(), err
			}
			s, err := c.status(ctx)
			if err != nil {
				return finding{}, err
			}
			all, err := c.census(ctx, "")
			if err != nil {
				return finding{}, err
			}
			s.Nodes = all.Nodes
			return s.finding(cmp.Or(s.judge(), q.judge(s.answer))), nil
		})
	}
	return cmd
}

// census is how many nodes are in which state, now or as of an instant.
type census struct {
	answer
	Nodes map[string]int `json:"nodes"`
}

func (c *client) census(ctx context.Context, at string) (census, error) {
	query := url.Values{}
	setUnlessEmpty(query, "at", at)
	var all struct {
		answer
		Nodes []node
	}
	if _, err := c.get(ctx, &all, query, "v1", "nodes"); err != nil {
		return census{}, err
	}
	out := census{answer: all.answer, Nodes: map[string]int{"alive": 0, "suspect": 0, "failed": 0, "left": 0}}
	for _, n := range all.Nodes {
		out.Nodes[n.State]++
	}
	return out, nil
}

func (c census) finding() finding {
	return finding{
		header: append([]string{"CLUSTER", "POSITION", "TIME"}, countHeader...),
		row:    append([]string{c.Cluster, strconv.FormatUint(c.Position, 10), instant(c.Time)}, counts(c.Nodes)...),
		names:  []string{c.Cluster}, value: c,
	}
}

var countHeader = []string{"ALIVE", "SUSPECT", "FAILED", "LEFT"}

// counts are the cells under countHeader.
func counts(nodes map[string]int) []string {
	var cells []string
	for _, state := range countHeader {
		cells = append(cells, strconv.Itoa(nodes[strings.ToLower(state)]))
	}
	return cells
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

func (s status) finding(meaning error) finding {
	lag := time.Duration(s.Lag.Seconds * float64(time.Second)).Round(time.Millisecond).String()
	row := []string{s.Cluster, s.State, strconv.FormatUint(s.Position, 10), strconv.FormatUint(s.Lag.Events, 10), lag}
	row = append(row, counts(s.Nodes)...)
	f := finding{
		header: append([]string{"CLUSTER", "STATE", "POSITION", "BEHIND", "LAG"}, countHeader...),
		more:   []string{"PARKED", "REJECTED", "LOG", "VERSION"},
		row:    append(row, strconv.Itoa(len(s.Parked)), strconv.FormatUint(s.Rejected.Total, 10), s.Log.Identity, s.Version),
		names:  []string{s.Cluster}, value: s, meaning: meaning,
	}
	for _, p := range s.Parked {
		f.notes = append(f.notes, fmt.Sprintf("%s is parked at position %d: %s", p.Node, p.Position, p.Reason))
	}
	f.gist = fmt.Sprint(s.State, s.Stopped, s.Log.Error, s.Log.Identity, s.Version, s.Position, s.Nodes, s.Rejected.Total, f.notes,
		cli.ExitCode(meaning))
	return f
}
