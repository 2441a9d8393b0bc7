package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func init() { register(newCheck) }

func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [NODE]...",
		Short: "Say by the exit status whether enough nodes can be called",
		Long: `Say by the exit status whether enough nodes can be called: 0 when at least --min nodes, and at most --max, are alive or in a state
that --status names and have tags that match; 1 when not; 4 when the projector does not know, because its views are not up to
date: it is catching up or paused, has stopped, cannot read its log, or is further behind it than --max-lag.

Of nodes that are named, no others count, and all of them must be so unless --min says otherwise; 3 when one is not on the roll.
With --at, say how it was then. With --watch, say so again whenever it changes, seen within a second; the exit status is
then that of the newest answer.
` + tagHelp,
		Example: "  member check --min 3 --tag role=worker\n  member check --max 0 --min 0 --status suspect,failed\n" +
			"  member check n3 --at -1h\n  member check n1 n2 n3 --watch",
		Args: cobra.ArbitraryArgs,
	}
	q := questionFlagsWithin(cmd, lagTolerated)
	k := &checking{q: q}
	filterFlags(cmd, &k.status, &k.tags, []string{"alive"})
	k.at = atFlag(cmd)
	watch := watchFlag(cmd)
	cmd.Flags().IntVar(&k.min, "min", 1, "at least this `COUNT`; of nodes that are named, all of them when it is not given")
	cmd.Flags().IntVar(&k.max, "max", -1, "at most this `COUNT`; below 0: any")
	cmd.ValidArgsFunction = q.completeNodes
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		k.ids = slices.Compact(slices.Sorted(slices.Values(ids)))
		if len(ids) > 0 && !cmd.Flags().Changed("min") {
			k.min = len(k.ids)
		}
		if k.max >= 0 && k.max < k.min {
			return cli.Errorf(cli.ErrUsage, "--max %d is below --min %d", k.max, k.min)
		}
		c, err := q.client()
		if err != nil {
			return err
		}
		return q.tell(cmd, *watch, func(ctx context.Context) (finding, error) { return k.check(ctx, c) })
	}
	return cmd
}

// checking is what a check asks.
type checking struct {
	q            *question
	ids          []string // sorted; empty: every node
	status, tags []string
	at           *string
	min, max     int
}

// check asks once.
func (k *checking) check(ctx context.Context, c *client) (finding, error) {
	if *k.at == "" { // the past is what it is, however the projector does
		projector, err := c.status(ctx)
		if err == nil {
			err = projector.judge()
		}
		if err != nil {
			return finding{}, err
		}
	}
	query := filterQuery(k.status, k.tags)
	setUnlessEmpty(query, "at", *k.at)
	var all nodes
	if _, err := c.get(ctx, &all, query, "v1", "services"); err != nil {
		return finding{}, err
	}
	r := checked{answer: all.answer, Nodes: []json.RawMessage{}, Min: k.min, Max: k.max}
	var names []string
	for _, raw := range all.Services {
		var n node
		if err := json.Unmarshal(raw, &n); err != nil {
			return finding{}, fmt.Errorf("a node of the answer is not as expected: %w: %s", err, raw)
		}
		if len(k.ids) == 0 || slices.Contains(k.ids, n.ID) {
			names, r.Nodes = append(names, n.ID), append(r.Nodes, raw)
		}
	}
	if err := k.known(ctx, c, names); err != nil {
		return finding{}, err
	}
	r.Count = len(names)
	r.OK = r.Count >= r.Min && (r.Max < 0 || r.Count <= r.Max)
	meaning := k.q.judge(all.answer)
	if meaning == nil && !r.OK {
		meaning = errors.New(r.complaint())
	}
	return finding{
		header: []string{"CHECK", "COUNT", "MIN", "MAX"}, more: []string{"POSITION", "BEHIND"}, row: r.row(),
		names: names, value: r, meaning: meaning, gist: fmt.Sprint(cli.ExitCode(meaning), names),
	}, nil
}

// known fails when a node was named that is not on the roll. Those that were found are.
func (k *checking) known(ctx context.Context, c *client, found []string) error {
	query := url.Values{}
	setUnlessEmpty(query, "at", *k.at)
	for _, id := range k.ids {
		if slices.Contains(found, id) {
			continue
		}
		var one answer
		if _, err := c.get(ctx, &one, query, "v1", "nodes", id); err != nil {
			return err
		}
	}
	return nil
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

func (r checked) row() []string {
	result, limit := "failed", ""
	if r.OK {
		result = "ok"
	}
	if r.Max >= 0 {
		limit = strconv.Itoa(r.Max)
	}
	return []string{
		result, strconv.Itoa(r.Count), strconv.Itoa(r.Min), limit,
		strconv.FormatUint(r.Position, 10), strconv.FormatUint(r.Lag.Events, 10),
	}
}
