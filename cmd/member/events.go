package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/infra/cli"
)

func init() { register(newEvents) }

// pageSize is how many events are asked for at once; the API gives no more.
const pageSize = 1000

// event is one event as the API shows it.
type event struct {
	Position uint64  `json:"position"`
	Stored   string  `json:"stored"`
	Outcome  outcome `json:"outcome"`
	Event    struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Subject string `json:"subject"`
		Time    string `json:"time"`
		Data    struct {
			Author      string            `json:"author"`
			Incarnation uint64            `json:"incarnation"`
			Address     string            `json:"address"`
			Tags        map[string]string `json:"tags"`
			Evidence    json.RawMessage   `json:"evidence"`
		} `json:"data"`
	} `json:"event"`

	raw json.RawMessage // all of it
}

// outcome is what the log's history made of an event.
type outcome struct {
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func (o outcome) String() string {
	if o.Reason == "" {
		return o.Result
	}
	return o.Result + ": " + o.Reason
}

// kind is the type without what is the same in all of them: rollcall.node.joined.v1 is joined.
func (e event) kind() string {
	_, kind, _ := strings.Cut(strings.TrimPrefix(e.Event.Type, "rollcall."), ".")
	return strings.TrimSuffix(kind, ".v1")
}

// ofNode reports whether the event is about a node, and not of an assignment group.
func (e event) ofNode() bool { return strings.HasPrefix(e.Event.Type, "rollcall.node.") }

func newEvents() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print what happened, in the order of the log",
		Long: `Print the events of the log in their order, the whole of it unless --from, --at or --limit say otherwise. With --watch, go
on with what happens: from --from on, or from now; a lost connection is resumed without a gap or a repetition.

With -o json, a line is one event: its position, what became of it, and the CloudEvent.`,
		Example: "  member events --node n3\n  member events --watch --kind failed -o json\n" +
			"  member events --from -2h --at -1h",
		Args: cli.Args(),
	}
	q := questionFlags(cmd)
	from := instantVar(cmd, "from", "first to print: "+instantForms)
	limit := cmd.Flags().Uint64("limit", 0, "print at most `N` events; 0 prints all")
	node := cmd.Flags().String("node", "", "only events about this node `ID`")
	author := cmd.Flags().String("author", "", "only events by this node `ID`")
	group := cmd.Flags().String("group", "", "only events of this assignment `GROUP`")
	kind := cmd.Flags().String("kind", "", "only events of this `KIND`")
	at := instantVar(cmd, "at", "last to print: as of "+instantForms)
	watch := watchFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("node", "group")
	completeBy(cmd, "node", q.completeNodes)
	completeBy(cmd, "author", q.completeNodes)
	completeBy(cmd, "group", q.completeGroups)
	complete(cmd, "kind", kindNames()...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *kind != "" && !events.Kind(*kind).Valid() {
			return cli.Errorf(cli.ErrUsage, "--kind %q is none of %q", *kind, append(events.Kinds(), events.GroupKinds()...))
		}
		filter := url.Values{}
		setUnlessEmpty(filter, "node", *node)
		setUnlessEmpty(filter, "group", *group)
		setUnlessEmpty(filter, "author", *author)
		setUnlessEmpty(filter, "kind", *kind)
		c, err := q.client()
		if err != nil {
			return err
		}
		p := newEventPrinter(cmd.OutOrStdout(), *q.output)
		if !*watch {
			return q.printPages(cmd, c, filter, *from, *at, *limit, p)
		}
		return c.watchEvents(cmd, filter, *from, *limit, p)
	}
	return cmd
}

func setUnlessEmpty(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// printPages prints what the log held at an instant, or up to where the first page saw it end.
func (q *question) printPages(
	cmd *cobra.Command, c *client, filter url.Values, from, at string, limit uint64, p *printer,
) error {
	end, err := c.asOf(cmd.Context(), at)
	if err != nil {
		return err
	}
	for printed, next := uint64(0), uint64(0); ; {
		size := uint64(pageSize)
		if limit > 0 {
			size = min(size, limit-printed)
		}
		filter.Set("limit", strconv.FormatUint(size, 10))
		setUnlessEmpty(filter, "from", from)
		var page struct {
			answer
			Events []json.RawMessage `json:"events"`
			Next   uint64            `json:"next"`
		}
		if _, err := c.get(cmd.Context(), &page, filter, "v1", "events"); err != nil {
			return err
		}
		if at == "" && end == 0 {
			end = page.Position
		}
		for _, raw := range page.Events {
			e := event{raw: raw}
			if err := json.Unmarshal(raw, &e); err != nil {
				return fmt.Errorf("an event of the answer is not as expected: %w: %s", err, raw)
			}
			if e.Position <= end {
				e.addTo(p)
			}
		}
		if err := p.flush(); err != nil {
			return err
		}
		printed += uint64(len(page.Events))
		if page.Next > end || page.Next <= next || limit > 0 && printed >= limit {
			return q.judge(page.answer)
		}
		next = page.Next
		from = strconv.FormatUint(next, 10)
	}
}

// asOf returns the position of the newest event that the log held at an instant; 0 where it held none, and for "".
func (c *client) asOf(ctx context.Context, at string) (uint64, error) {
	if at == "" {
		return 0, nil
	}
	var then answer // of what has little to say of itself
	_, err := c.get(ctx, &then, url.Values{"at": {at}}, "v1", "assignments")
	return then.Position, err
}

// watchEvents prints what happens from the instant from on, or from now, until interrupted or limit events are printed.
func (c *client) watchEvents(cmd *cobra.Command, filter url.Values, from string, limit uint64, p *printer) error {
	first, err := c.first(cmd.Context(), from)
	if err != nil {
		return err
	}
	reserve(p)
	if err := p.flush(); err != nil { // the header: what happens from here on is printed
		return err
	}
	printed := uint64(0)
	err = c.follow(cmd.Context(), cmd.ErrOrStderr(), first, filter, func(e event) error {
		e.addTo(p)
		if err := p.flush(); err != nil {
			return err
		}
		if printed++; printed == limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// first returns the position that an instant means, of a time that of the first event stored then or later; of "", the next to come.
func (c *client) first(ctx context.Context, from string) (uint64, error) {
	if from == "" {
		position, err := c.now(ctx)
		return position + 1, err
	}
	if position, err := strconv.ParseUint(from, 10, 64); err == nil {
		return position, nil
	}
	var page struct {
		Events []event `json:"events"`
		Next   uint64  `json:"next"`
	}
	if _, err := c.get(ctx, &page, url.Values{"from": {from}, "limit": {"1"}}, "v1", "events"); err != nil {
		return 0, err
	}
	if len(page.Events) > 0 {
		return page.Events[0].Position, nil
	}
	return page.Next, nil
}

// errEnough ends a watch that has printed what was asked for.
var errEnough = errors.New("enough")

func newEventPrinter(w io.Writer, output cli.Output) *printer {
	header := []string{"POSITION", "TIME", "KIND", "NODE", "INCARNATION", "AUTHOR", "WHY"}
	return newPrinter(w, output, header, "OUTCOME", "STATE", "ID")
}

// reserve keeps the columns of a watch in line, whatever comes.
func reserve(p *printer) {
	if p.table != nil {
		p.table.Reserve("1000000", instantLayout, string(events.HealthCheckFailed), "node-1", "", "node-1")
	}
}

func (e event) addTo(p *printer) {
	data := e.Event.Data
	p.add(e.raw, e.Event.ID,
		strconv.FormatUint(e.Position, 10), instant(e.Event.Time), e.kind(), e.Event.Subject,
		strconv.FormatUint(data.Incarnation, 10), data.Author, why(data.Evidence),
		e.Outcome.String(), e.Outcome.After, e.Event.ID)
}
