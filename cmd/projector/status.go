package main

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

// logStatus is what status prints.
type logStatus struct {
	Cluster  string `json:"cluster"`
	Identity string `json:"identity"` // when the stream was made
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Whole    bool   `json:"whole"` // it begins at position 1
}

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how a log stands",
		Long: `Say which log it is and what it holds. That the answer comes means that the stream is set as a log must be: one that could
lose history is refused, with the settings that are wrong. For the views of a running projector ask it: member status.

Exit status: 0 the log is whole, 1 it cannot be used, 4 it no longer begins at position 1.`,
		Example: "  projector status --nats nats://10.0.0.9:4222",
		Args:    cli.Args(),
	}
	flags := newLogFlags(cmd.Flags())
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object")
	logging := cli.LoggingFlags(cmd.Flags(), slog.LevelWarn)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, end, err := flags.open(cmd.Context(), logging.Logger(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		defer end()
		info, err := log.Info(cmd.Context())
		if err != nil {
			return err
		}
		status := logStatus{info.Cluster, info.Identity, info.First, info.Last, info.First <= 1}
		if err := printStatus(cmd, status, *asJSON); err != nil {
			return err
		}
		if !status.Whole {
			return cli.Errorf(cli.ErrStale, "history incomplete: the log begins at position %d", info.First)
		}
		return nil
	}
	return cmd
}

func printStatus(cmd *cobra.Command, s logStatus, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
	}
	table := cli.NewTable(cmd.OutOrStdout(), "CLUSTER", "FIRST", "LAST", "MADE")
	table.Row(s.Cluster, fmt.Sprint(s.First), fmt.Sprint(s.Last), s.Identity)
	return table.Flush()
}
