package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

// againEvery is how soon after an answer a watched question is asked again. It is asked and not told by the event stream
// because there need not be an event: a projector is paused, or falls behind.
const againEvery = time.Second

// finding is an answer of one line, and what it means.
type finding struct {
	header, row []string // of a table, as wide as asked
	names       []string // for -o name
	value       any      // for -o json
	notes       []string // for standard error
	gist        string   // the same for answers that need not be printed one after the other
	meaning     error    // for the exit status
}

// tell prints what ask finds and returns what it means. With watch it asks again until interrupted, prints what differs from
// the answer before, says on standard error what is wrong, and returns what the newest answer means, or why there was none.
func (q *question) tell(cmd *cobra.Command, watch bool, ask func(ctx context.Context) (finding, error)) error {
	var newest finding
	var table *cli.Table
	for asked := false; ; asked = true {
		f, err := ask(cmd.Context())
		switch {
		case asked && cmd.Context().Err() != nil:
			return newest.meaning
		case err != nil && (asked || watch && errors.Is(err, cli.ErrStale)):
			f = finding{gist: fmt.Sprint(cli.ExitCode(err)), meaning: err}
		case err != nil:
			return err
		}
		if !asked || f.gist != newest.gist {
			if table, err = f.print(cmd, *q.output, table); err != nil {
				return err
			}
			if watch && f.meaning != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), f.meaning)
			}
		}
		newest = f
		if !watch {
			return newest.meaning
		}
		select {
		case <-cmd.Context().Done():
			return newest.meaning
		case <-time.After(againEvery):
		}
	}
}

// print adds a finding to the table, which it begins where there is none yet.
func (f finding) print(cmd *cobra.Command, output cli.Output, table *cli.Table) (*cli.Table, error) {
	for _, note := range f.notes {
		fmt.Fprintln(cmd.ErrOrStderr(), note)
	}
	w := cmd.OutOrStdout()
	switch {
	case f.value == nil: // there was no answer
		return table, nil
	case output == cli.OutputJSON:
		return nil, json.NewEncoder(w).Encode(f.value)
	case output == cli.OutputName:
		for _, name := range f.names {
			if _, err := fmt.Fprintln(w, name); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case table == nil:
		table = cli.NewTable(w, f.header...)
	}
	table.Row(f.row...)
	return table, table.Flush()
}

// watchFlag is the flag of the questions that can go on. The past does not change, so it does not go with --at.
func watchFlag(cmd *cobra.Command) *bool {
	watch := cmd.Flags().BoolP("watch", "w", false, "go on with what changes, until interrupted")
	cmd.MarkFlagsMutuallyExclusive("at", "watch")
	return watch
}
