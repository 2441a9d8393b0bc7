package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

// againEvery is how soon after an answer a watched question is asked again. It is asked and not told by the event stream
// because there need not be an event: a projector is paused, or falls behind.
const againEvery = time.Second

// finding is an answer of one line, and what it means.
type finding struct {
	header, more []string // of a table, and of a wide one besides
	row          []string // the cells of both
	names        []string // for -o name
	value        any      // for -o json; nil: there was no answer
	notes        []string // for standard error
	gist         string   // the same for answers that need not be printed one after the other
	meaning      error    // for the exit status
}

// tell prints what ask finds and returns what it means. With watch it asks again until interrupted, prints what differs from
// the answer before, says on standard error what is wrong, and returns what the newest answer means, or why there was none.
func (q *question) tell(cmd *cobra.Command, watch bool, ask func(ctx context.Context) (finding, error)) error {
	var newest finding
	var p *printer
	for asked := false; ; asked = true {
		f, err := ask(cmd.Context())
		switch {
		case asked && cmd.Context().Err() != nil:
			return newest.meaning
		case err != nil && (asked || watch && errors.Is(err, cli.ErrStale)):
			f = finding{gist: numberless(err.Error()), meaning: err}
		case err != nil:
			return err
		}
		if !asked || f.gist != newest.gist {
			if p == nil && f.value != nil {
				p = newPrinter(cmd.OutOrStdout(), *q.output, f.header, f.more...)
			}
			if err := f.print(p); err != nil {
				return err
			}
			for _, note := range f.notes {
				fmt.Fprintln(cmd.ErrOrStderr(), note)
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

// numberless is what an error says but for its numbers: positions, and the ports of connections, differ each time.
func numberless(text string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, text)
}

func (f finding) print(p *printer) error {
	if f.value == nil || p.output == cli.OutputName && len(f.names) == 0 {
		return nil
	}
	p.add(f.value, strings.Join(f.names, "\n"), f.row...)
	return p.flush()
}

// watchFlag is the flag of the questions that can go on. The past does not change, so it does not go with --at.
func watchFlag(cmd *cobra.Command) *bool {
	watch := cmd.Flags().BoolP("watch", "w", false, "go on with what changes, until interrupted")
	cmd.MarkFlagsMutuallyExclusive("at", "watch")
	return watch
}
