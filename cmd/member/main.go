// Command member is the agent of one cluster member and the tool of whoever runs a cluster.
//
//	member dev                          a whole cluster in one process, to look at
//	member run --id n1 --nats URL …     one member
//	member list | events | history | services | pick | diff | wait | check | status --api URL
//	                                    what the log says, from a projector
//	member leave | tag --http ADDRESS   what a running member shall do
//	member ca init | issue | rotate     certificates for people who have none
//
// Every flag can also be set as ROLLCALL_<FLAG> in the environment and in a file given by --config. The exit status is 0
// for success, 1 for failure, 2 for a mistake in the command line, 3 for something that is not on the roll, 4 for an answer
// that is stale or incomplete, and 5 for none in time.
package main

import (
	"context"
	"io"
	"os"

	"rollcall/infra/cli"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program: args without its name, and the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	return cli.Run(context.Background(), newRoot(), args, stdout, stderr)
}
