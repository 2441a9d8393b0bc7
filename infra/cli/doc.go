// Package cli is what the binaries share on their way from a command line to an exit status: where a setting comes
// from, how an answer is printed, and what the process says to its caller with its status.
//
// A main function stays this thin:
//
//	func main() { os.Exit(cli.Run(context.Background(), newRoot(), os.Args[1:], os.Stdout, os.Stderr)) }
//
// Settings. Every flag of every command can also be given in the environment as ROLLCALL_<FLAG>, upper case with _ for
// -, and in a file named by --config. A flag wins over the environment, the environment over the file, the file over
// the default. A command declares pflag flags and reads them in RunE; it sees the result and not where it came from.
// [Layer] does this, [Run] calls it for every command.
//
// Exit status. [ExitCode] maps an error to the status: a command returns an error that matches [ErrNotFound],
// [ErrStale] or [ErrTimeout] (see [Errorf]) where one of these is meant. Everything that goes wrong before RunE starts
// is a usage error.
//
// Output. Data go to the command's OutOrStdout, everything else to its ErrOrStderr. [OutputFlag] adds -o, [Table]
// prints columns.
//
// Limits: a file is read once, at start; a setting does not change while the process runs.
package cli
