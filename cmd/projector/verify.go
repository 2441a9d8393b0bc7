package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/events/verify"
	"rollcall/infra/cli"
)

func newVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Derive every verdict of a log again, and say what does not follow",
		Long: `Read a log from its first event, derive every verdict again, and print what does not follow: one finding a line, and a
summary. A violation cannot come from correct members and a correct server; a note can. See docs/verify.md.

Exit status: 0 no violation, 1 there is one, or the log cannot be read, 4 the log no longer begins at position 1, or goes on
with an event that only a newer version can judge.`,
		Example: "  projector verify --nats nats://10.0.0.9:4222\n  projector verify --data /var/lib/rollcall --json",
		Args:    cli.Args(),
	}
	flags := newLogFlags(cmd.Flags())
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object a line: the findings, and last {\"summary\":…}")
	logging := cli.LoggingFlags(cmd.Flags(), slog.LevelWarn)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, end, err := flags.open(cmd.Context(), logging.Logger(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		defer end()
		return verifyLog(cmd.Context(), log, flags.cluster, &findings{out: cmd.OutOrStdout(), json: *asJSON})
	}
	return cmd
}

// verifyLog reads what the log holds now.
func verifyLog(ctx context.Context, log *jslog.Log, cluster string, out *findings) error {
	info, err := log.Info(ctx)
	if err != nil {
		return err
	}
	v := verify.New(cluster, out.finding)
	var cut error
	for m, err := range log.Scan(ctx, info.Last) {
		if err != nil {
			return err
		}
		if cut = v.Next(m.Position, m.Subject, m.Body); cut != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if cut == nil {
		v.End(info.Last)
	}
	sum := v.Summary()
	out.summary(sum)
	switch {
	case out.err != nil:
		return out.err
	case sum.Violations > 0:
		return fmt.Errorf("%d violations in the log of cluster %s", sum.Violations, cluster)
	case errors.Is(cut, events.ErrUnknownKind):
		return cli.Errorf(cli.ErrStale, "verified up to position %d of %d: %w", sum.Position, info.Last, cut)
	default:
		return cut
	}
}

// findings prints.
type findings struct {
	out  io.Writer
	json bool
	err  error // the first of writing
}

func (f *findings) finding(found verify.Finding) {
	if f.json {
		f.line(found)
		return
	}
	f.print("%s\n", found)
}

func (f *findings) summary(sum verify.Summary) {
	if f.json {
		f.line(struct {
			Summary verify.Summary `json:"summary"`
		}{sum})
		return
	}
	f.print("cluster %s, up to position %d: %d events about %d nodes (%d live), %d of groups\n",
		sum.Cluster, sum.Position, sum.Events, sum.Nodes, sum.Live, sum.Groups)
	f.print("%d applied, %d evidence, %d late, %d refused\n", sum.Applied, sum.Evident, sum.Late, sum.Refused)
	f.print("%d violations, %d notes\n", sum.Violations, sum.Notes)
}

func (f *findings) line(v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		f.err = errors.Join(f.err, err)
		return
	}
	f.print("%s\n", raw)
}

func (f *findings) print(format string, args ...any) {
	if _, err := fmt.Fprintf(f.out, format, args...); err != nil && f.err == nil {
		f.err = err
	}
}
