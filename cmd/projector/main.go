// Command projector folds a cluster's log into views and serves them.
//
//	projector run --cluster C --http 127.0.0.1:8080 --data DIR [--nats URL]
//	projector verify | status --cluster C (--nats URL | --data DIR)
//	projector provision --cluster C --nats URL
//
// Without --nats, run runs the cluster's NATS server itself. Every flag can also be set as ROLLCALL_<FLAG> in the environment
// and in a file given by --config. The exit status is 0 for success, 1 for failure, 2 for a mistake in the command line,
// and 4 for a log whose history is incomplete.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program: args without its name, and the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	return cli.Run(context.Background(), newRoot(), args, stdout, stderr)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "projector",
		Short: "Fold a cluster's log into views and serve them",
		Long: `projector reads the log of a cluster and serves what follows from it: who is alive, since when, and on whose word.

Every flag can also be set as ROLLCALL_<FLAG> in the environment and in a file given by --config.
Exit status: 0 ok, 1 failed, 2 usage, 3 not found, 4 stale or incomplete, 5 timeout.`,
	}
	root.AddCommand(newRun(), newProvision(), newVerify(), newStatus(), newRebuild())
	return root
}
