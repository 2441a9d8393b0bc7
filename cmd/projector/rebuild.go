package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

const (
	rebuildPoll  = 200 * time.Millisecond // between two looks at the progress
	rebuildAsk   = 10 * time.Second       // of one request
	answerMax    = 8 << 20                // bytes of an answer
	rebuiltViews = "registry"             // all views are folded together: rebuilding one rebuilds all
)

// rebuilding is what /v1/projections says of a rebuild.
type rebuilding struct {
	Running     bool      `json:"running"`
	Position    uint64    `json:"position"`
	Target      uint64    `json:"target"`
	Started     time.Time `json:"started"`
	SecondsLeft float64   `json:"seconds_left"`
	Changed     bool      `json:"changed"`
	Error       string    `json:"error"`
}

func newRebuild() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Fold the log again beside the views of a running projector",
		Long: `Ask a running projector to fold its log again from the first event, beside the views that it goes on serving, and wait until
it has switched to the new ones. Progress goes to stderr. What is printed at the end says whether the views had been wrong.

Exit status: 0 rebuilt, 1 failed, 5 not done within --timeout; the rebuild then goes on.`,
		Example: "  projector rebuild --api http://127.0.0.1:8080",
		Args:    cli.Args(),
	}
	api := cmd.Flags().String("api", "http://127.0.0.1:8080", "`URL` of the projector's API")
	access := cli.APIFlags(cmd.Flags())
	timeout := cmd.Flags().Duration("timeout", 10*time.Minute, "how long to wait for the end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		base, err := url.Parse(*api)
		if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
			return cli.Errorf(cli.ErrUsage, "--api %q: want a URL such as http://127.0.0.1:8080", *api)
		}
		client, err := access.Client(base, rebuildAsk)
		if err != nil {
			return err
		}
		defer client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		r := rebuilder{client, base.JoinPath("v1", "projections")}
		return r.run(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// rebuilder asks one projector.
type rebuilder struct {
	client *http.Client
	views  *url.URL // /v1/projections
}

func (r rebuilder) run(ctx context.Context, out, progress io.Writer) error {
	state, err := r.ask(ctx, http.MethodPost, r.views.JoinPath(rebuiltViews, "rebuild"))
	if err != nil {
		return err
	}
	poll := time.NewTicker(rebuildPoll)
	defer poll.Stop()
	shown := newProgress(progress)
	defer shown.end()
	for state != nil && state.Running {
		shown.show(state)
		select {
		case <-poll.C:
		case <-ctx.Done():
			return cli.Errorf(cli.ErrTimeout, "the rebuild goes on: %v; member status shows how far it is", state)
		}
		if state, err = r.ask(ctx, http.MethodGet, r.views); err != nil {
			return err
		}
	}
	shown.end()
	switch {
	case state == nil:
		return fmt.Errorf("%s does not say what became of the rebuild", r.views)
	case state.Error != "":
		return fmt.Errorf("the rebuild failed, the views are as they were: %s", state.Error)
	case state.Changed:
		fmt.Fprintf(out, "rebuilt up to position %d; the views before were wrong\n", state.Position)
	default:
		fmt.Fprintf(out, "rebuilt up to position %d; the views are as they were\n", state.Position)
	}
	return nil
}

// String is one line of progress.
func (r *rebuilding) String() string {
	const width = 30
	done := 0
	if r.Target > 0 {
		done = int(min(r.Position, r.Target) * width / r.Target)
	}
	return fmt.Sprintf("[%s%s] %d of %d events, about %.0f s left",
		strings.Repeat("#", done), strings.Repeat(".", width-done), r.Position, r.Target, r.SecondsLeft)
}

// ask sends one request and returns what the answer says of the rebuild; nil when it says nothing.
func (r rebuilder) ask(ctx context.Context, method string, to *url.URL) (*rebuilding, error) {
	ctx, cancel := context.WithTimeout(ctx, rebuildAsk)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, to.String(), nil)
	if err != nil {
		return nil, cli.Errorf(cli.ErrUsage, "--api: %w", err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, cmp.Or(cli.Unreached(err), "start one with: projector run"))
	}
	defer res.Body.Close()
	body := io.LimitReader(res.Body, answerMax)
	if res.StatusCode != http.StatusOK {
		var problem struct{ Title, Detail string }
		_ = json.NewDecoder(body).Decode(&problem) // what is no problem document leaves the status
		return nil, fmt.Errorf("%s answers %s: %s: %s", to, res.Status, problem.Title, problem.Detail)
	}
	var answer struct {
		Rebuild *rebuilding `json:"rebuild"`
	}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", to, err)
	}
	return answer.Rebuild, nil
}
