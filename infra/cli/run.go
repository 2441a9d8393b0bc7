package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Run executes root with args, the command line after the program's name, and returns the exit status. It prints the
// error, if there is one, to stderr. The commands' context ends with ctx and at the first SIGINT or SIGTERM; a second
// signal ends the process at once.
//
// Run owns root from here on: it adds --config and --version, layers the settings and decides what is a usage error.
// Only root may use cobra's PersistentPreRunE, and Run uses it.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from the first signal on, the second has its default effect

	root.SetArgs(append([]string{}, args...)) // of nil cobra would make those of the process
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = Version()
	root.PersistentFlags().String(configFlag, "", "read settings from `FILE`, one \"flag: value\" a line")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		return Layer(cmd.Flags(), os.LookupEnv)
	}
	if root.RunE == nil && root.Run == nil {
		root.RunE = nameACommand
	}
	markBodies(root)

	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	if inBody := new(bodyError); errors.As(err, &inBody) {
		err = inBody.err
	} else {
		err = Errorf(ErrUsage, "%w", err)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	fmt.Fprintf(stderr, "%s: %v\n", cmd.CommandPath(), err)
	if errors.Is(err, ErrUsage) {
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return ExitCode(err)
}

// Group returns a command that only holds others. Called by itself it is a usage error.
func Group(use, short string, children ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{Use: use, Short: short, RunE: nameACommand}
	group.AddCommand(children...)
	return group
}

func nameACommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Errorf(ErrUsage, "unknown command %q", args[0])
	}
	cmd.SetOut(cmd.ErrOrStderr())
	if err := cmd.Help(); err != nil {
		return err
	}
	return Errorf(ErrUsage, "name a command")
}

// bodyError is an error of a command's RunE, in contrast to what cobra, pflag and Layer find wrong before it.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

func markBodies(cmd *cobra.Command) {
	if body := cmd.RunE; body != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := body(cmd, args); err != nil {
				return &bodyError{err}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		markBodies(child)
	}
}

// Version names the build: the module's version where it was installed by one, else the revision it was built from,
// else "devel".
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "devel"
}
