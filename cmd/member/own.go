package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
	"rollcall/infra/httpserver"
)

func init() { register(newLeave); register(newTag) }

// leavePoll is how often a member that leaves is looked at.
const leavePoll = 50 * time.Millisecond

// control holds the flags of the commands that talk to a running member.
type control struct {
	http    string
	access  *cli.API
	timeout time.Duration
}

func controlFlags(cmd *cobra.Command) *control {
	c := &control{}
	cmd.Flags().StringVar(&c.http, "http", "", "the member's own `ADDRESS`, its --http, or https://ADDRESS (required)")
	c.access = cli.APIFlags(cmd.Flags())
	cmd.Flags().DurationVar(&c.timeout, "timeout", 30*time.Second, "how long to wait; exit status 5 after it")
	require(cmd, "http")
	cmd.GroupID = sectionAgent
	return c
}

// ask sends one request to the member, and decodes the answer into value.
func (c *control) ask(ctx context.Context, method, path string, body, value any) error {
	if err := positive("timeout", c.timeout); err != nil {
		return err
	}
	base, err := c.base()
	if err != nil {
		return err
	}
	client, err := c.access.Client(base, c.timeout)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, base.JoinPath(path).String(), bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("ask the member: %w", err)
	}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return cli.Errorf(cli.ErrTimeout, "no answer from %s within --timeout %v", c.http, c.timeout)
	case err != nil:
		return fmt.Errorf("%w: no member answers at %s: %s", err, c.http, cmp.Or(cli.Unreached(err), "give it --http there"))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted {
		return refusal(response)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, controlBodyMax)).Decode(value); err != nil {
		return fmt.Errorf("the answer of %s is not a member's: %w", c.http, err)
	}
	return nil
}

// base is where the member is: on this machine, unless the connection is secret.
func (c *control) base() (*url.URL, error) {
	if strings.HasPrefix(c.http, "https://") {
		base, err := url.Parse(c.http)
		if err != nil || base.Host == "" {
			return nil, cli.Errorf(cli.ErrUsage, "--http %q: want HOST:PORT or https://HOST:PORT", c.http)
		}
		return base, nil
	}
	if err := httpserver.CheckAddress(c.http); err != nil {
		return nil, cli.Errorf(cli.ErrUsage, "--http %w; with TLS, say https://", err)
	}
	return &url.URL{Scheme: "http", Host: c.http}, nil
}

func newLeave() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Let a running member leave gracefully",
		Long: `Let a running member leave gracefully, as an interrupt does: others are told, and its process ends with exit status 0. The
command returns when the process serves no more.`,
		Example: "  member leave --http 127.0.0.1:7947",
		Args:    cli.Args(),
	}
	c := controlFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
		defer cancel()
		var leaving struct{ ID string }
		if err := c.ask(ctx, http.MethodPost, "/v1/leave", nil, &leaving); err != nil {
			return err
		}
		for err := error(nil); !gone(err); {
			select {
			case <-time.After(leavePoll):
			case <-ctx.Done():
				if cmd.Context().Err() != nil {
					return context.Canceled
				}
				return cli.Errorf(cli.ErrTimeout, "%s was told to leave and is still there after --timeout %v", leaving.ID, c.timeout)
			}
			err = c.ask(ctx, http.MethodGet, "/v1/tags", nil, &leaving)
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), leaving.ID)
		return err
	}
	return cmd
}

// gone reports whether nobody listens any more where the member was. An answer, whatever it says, or none in time is no departure.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
}

func newTag() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tag [KEY=VALUE | KEY-]...",
		Short: "Print or change the tags of a running member",
		Long: `Print the tags of a running member, after changing them: KEY=VALUE sets a tag, KEY- removes one, and the others stay as they
are; with --replace only those that are given remain. They last until the process ends: a restart has the tags of its
--tag flags.`,
		Example: "  member tag --http 127.0.0.1:7947 draining=yes\n  member tag --http 127.0.0.1:7947 draining-",
	}
	c := controlFlags(cmd)
	replace := cmd.Flags().Bool("replace", false, "remove all tags that are not given")
	output := cli.OutputFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		set, remove, err := parseTagChange(args)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
		defer cancel()
		var now memberTags
		switch {
		case *replace && len(remove) > 0:
			return cli.Errorf(cli.ErrUsage, "--replace removes what is not given; %s- says it again", remove[0])
		case *replace:
			err = c.ask(ctx, http.MethodPut, "/v1/tags", map[string]any{"tags": set}, &now)
		case len(args) > 0:
			err = c.ask(ctx, http.MethodPost, "/v1/tags", map[string]any{"set": set, "remove": remove}, &now)
		default:
			err = c.ask(ctx, http.MethodGet, "/v1/tags", nil, &now)
		}
		if err != nil {
			return err
		}
		return now.print(cmd.OutOrStdout(), *output)
	}
	return cmd
}

// parseTagChange reads KEY=VALUE and KEY-.
func parseTagChange(args []string) (set map[string]string, remove []string, err error) {
	var sets []string
	for _, arg := range args {
		key, removes := strings.CutSuffix(arg, "-")
		if removes && key != "" && !strings.Contains(key, "=") {
			remove = append(remove, key)
			continue
		}
		if !strings.Contains(arg, "=") {
			return nil, nil, cli.Errorf(cli.ErrUsage, "%q is neither KEY=VALUE nor KEY-", arg)
		}
		sets = append(sets, arg)
	}
	set, err = parseTags(sets)
	return set, remove, err
}

func (t memberTags) print(w io.Writer, output cli.Output) error {
	switch output {
	case cli.OutputJSON:
		return json.NewEncoder(w).Encode(t)
	case cli.OutputName:
		_, err := fmt.Fprintln(w, t.ID)
		return err
	}
	table := cli.NewTable(w, "ID", "KEY", "VALUE")
	for _, key := range slices.Sorted(maps.Keys(t.Tags)) {
		table.Row(t.ID, key, t.Tags[key])
	}
	return table.Flush()
}
