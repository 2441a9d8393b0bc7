package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func init() { register(newList) }

// node is one node as the API shows it.
type node struct {
	ID            string            `json:"id"`
	Address       string            `json:"address"`
	State         string            `json:"state"`
	Incarnation   uint64            `json:"incarnation"`
	Tags          map[string]string `json:"tags"`
	Since         string            `json:"since"`
	SincePosition uint64            `json:"since_position"`
	Accusers      []string          `json:"accusers"`
}

// nodes is the answer to who is on the roll, or who can be called.
type nodes struct {
	answer
	Nodes    []json.RawMessage `json:"nodes"`
	Services []json.RawMessage `json:"services"`
}

func newList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list [NODE]...",
		Aliases: []string{"ls"},
		Short:   "Print who is on the roll, and in which state",
		Long: `Print who is on the roll, and in which state: everybody, whom --status and --tag choose, or the nodes that are named; exit
status 3 says that one of those is not on it. With --watch, print a node again whenever something about it changes, until
interrupted; a node that was printed is followed into states that --status does not name.

With -o json, a line is the API's whole answer, or with NODE or --watch one node.
` + tagHelp,
		Example: "  member list --status alive,suspect --tag role=web\n  member list n3 --watch\n  member list --at -1h -o wide",
	}
	l := listingFlags(cmd, nil)
	cmd.ValidArgsFunction = l.q.completeNodes
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		switch {
		case len(ids) == 0:
			return l.run(cmd, "nodes")
		case len(l.status)+len(l.tags) > 0:
			return cli.Errorf(cli.ErrUsage, "--status and --tag choose among all nodes, and %s is named: do one of them", ids[0])
		default:
			return l.runNamed(cmd, ids)
		}
	}
	return cmd
}

const tagHelp = `
A tag expression is one of: role, role=worker, "zone in (a,b)", version^=2. and !draining, where ! is not and goes before any
of them; a comma, or --tag again, is and.`

// listing holds what the commands that print nodes have in common.
type listing struct {
	q           *question
	status      []string
	tags        []string
	at          *string
	minPosition uint64
	watch       *bool
}

func listingFlags(cmd *cobra.Command, status []string) *listing {
	l := &listing{q: questionFlags(cmd)}
	f := cmd.Flags()
	filterFlags(cmd, &l.status, &l.tags, status)
	l.at = atFlag(cmd)
	f.Uint64Var(&l.minPosition, "min-position", 0, "wait until the answer includes this `POSITION` of the log")
	l.watch = watchFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("at", "min-position")
	return l
}

// filterFlags are the flags that choose nodes.
func filterFlags(cmd *cobra.Command, status, tags *[]string, states []string) {
	f := cmd.Flags()
	f.StringSliceVar(status, "status", states, "only nodes in one of these `STATES`: alive, suspect, failed, left")
	f.StringArrayVar(tags, "tag", nil, "only nodes whose tags match this `EXPRESSION`, such as role=worker; may be repeated")
	complete(cmd, "status", "alive", "suspect", "failed", "left")
}

// filterQuery asks for what filterFlags say.
func filterQuery(status, tags []string) url.Values {
	query := url.Values{}
	if len(tags) > 0 {
		query["tag"] = tags
	}
	setUnlessEmpty(query, "status", strings.Join(status, ","))
	return query
}

// run prints what the API answers at /v1/<path>.
func (l *listing) run(cmd *cobra.Command, path string) error {
	c, err := l.q.client()
	if err != nil {
		return err
	}
	filter := filterQuery(l.status, l.tags)
	query := l.when()
	maps.Copy(query, filter)
	var all nodes
	raw, err := c.get(cmd.Context(), &all, query, "v1", path)
	if err != nil {
		return err
	}
	p := newNodePrinter(cmd.OutOrStdout(), *l.q.output)
	if *l.q.output == cli.OutputJSON && !*l.watch {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
	} else {
		err = p.print(append(all.Nodes, all.Services...)...)
	}
	if err != nil {
		return err
	}
	if *l.watch {
		return c.watchNodes(cmd, path, filter, nil, all.Position+1, p)
	}
	return l.q.judge(all.answer)
}

// when asks for the instant that the flags name.
func (l *listing) when() url.Values {
	query := url.Values{}
	setUnlessEmpty(query, "at", *l.at)
	if l.minPosition > 0 {
		query.Set("min_position", strconv.FormatUint(l.minPosition, 10))
	}
	return query
}

// runNamed prints these nodes, each as the API answers when it is asked for it.
func (l *listing) runNamed(cmd *cobra.Command, ids []string) error {
	c, err := l.q.client()
	if err != nil {
		return err
	}
	p := newNodePrinter(cmd.OutOrStdout(), *l.q.output)
	var first, last answer
	var list []json.RawMessage
	for _, id := range ids {
		var one struct {
			answer
			Node json.RawMessage `json:"node"`
		}
		if _, err := c.get(cmd.Context(), &one, l.when(), "v1", "nodes", id); err != nil {
			return errors.Join(p.print(list...), err)
		}
		if list = append(list, one.Node); len(list) == 1 {
			first = one.answer
		}
		last = one.answer
	}
	if err := p.print(list...); err != nil {
		return err
	}
	if *l.watch {
		return c.watchNodes(cmd, "nodes", nil, ids, first.Position+1, p)
	}
	return l.q.judge(last)
}

// watchNodes prints nodes that events from position from on are about, when they changed: of those that are named, or of all
// that path, nodes or services, has for the filter.
func (c *client) watchNodes(cmd *cobra.Command, path string, filter url.Values, named []string, from uint64, p *nodePrinter) error {
	return c.follow(cmd.Context(), cmd.ErrOrStderr(), from, nil, func(e event) error {
		if !e.ofNode() || len(named) > 0 && !slices.Contains(named, e.Event.Subject) {
			return nil
		}
		if p.printed[e.Event.Subject] == "" && (len(filter) > 0 || path == "services") {
			wanted, err := c.matches(cmd.Context(), path, filter, e)
			if err != nil || !wanted {
				return err
			}
		}
		var one struct {
			Node json.RawMessage `json:"node"`
		}
		if _, err := c.get(cmd.Context(), &one, atLeast(e), "v1", "nodes", e.Event.Subject); err != nil {
			return err
		}
		return p.print(one.Node)
	})
}

// matches reports whether path has the node that e is about for the filter, after e.
func (c *client) matches(ctx context.Context, path string, filter url.Values, e event) (bool, error) {
	query := atLeast(e)
	maps.Copy(query, filter)
	var all struct{ Nodes, Services []node }
	if _, err := c.get(ctx, &all, query, "v1", path); err != nil {
		return false, err
	}
	return slices.ContainsFunc(append(all.Nodes, all.Services...), func(n node) bool { return n.ID == e.Event.Subject }), nil
}

// atLeast asks for an answer that includes e.
func atLeast(e event) url.Values {
	return url.Values{"min_position": {strconv.FormatUint(e.Position, 10)}}
}

// nodePrinter prints nodes, and again only those that changed.
type nodePrinter struct {
	*printer
	printed map[string]string // id to what was printed of it last
}

func newNodePrinter(w io.Writer, output cli.Output) *nodePrinter {
	header := []string{"ID", "STATE", "INCARNATION", "ADDRESS", "SINCE"}
	return &nodePrinter{newPrinter(w, output, header, "POSITION", "ACCUSERS", "TAGS"), make(map[string]string)}
}

func (p *nodePrinter) print(list ...json.RawMessage) error {
	for _, raw := range list {
		var n node
		if err := json.Unmarshal(raw, &n); err != nil {
			return fmt.Errorf("a node of the answer is not as expected: %w: %s", err, raw)
		}
		row := n.row()
		shown := row
		if p.output == cli.OutputTable {
			shown = row[:p.narrow]
		}
		if text := strings.Join(shown, "\x00"); p.printed[n.ID] != text {
			p.printed[n.ID] = text
			p.add(raw, n.ID, row...)
		}
	}
	return p.flush()
}

// row is the node in the columns of the wide table.
func (n node) row() []string {
	return []string{
		n.ID, n.State, strconv.FormatUint(n.Incarnation, 10), n.Address, instant(n.Since),
		strconv.FormatUint(n.SincePosition, 10), strings.Join(n.Accusers, ","), n.tagList(),
	}
}

// tagList is the tags by their keys, key=value, with commas between.
func (n node) tagList() string {
	tags := make([]string, 0, len(n.Tags))
	for _, key := range slices.Sorted(maps.Keys(n.Tags)) {
		tags = append(tags, key+"="+n.Tags[key])
	}
	return strings.Join(tags, ",")
}
