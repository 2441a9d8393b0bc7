package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/infra/cli"
)

// run executes a small program: "roll say", which prints --word or fails with err, and "roll ca init".
func run(t *testing.T, err error, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	root := &cobra.Command{Use: "roll"}
	say := &cobra.Command{Use: "say", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		word, _ := cmd.Flags().GetString("word")
		fmt.Fprintln(cmd.OutOrStdout(), word)
		return err
	}}
	say.Flags().String("word", "", "what to say (required)")
	if err := say.MarkFlagRequired("word"); err != nil {
		t.Fatal(err)
	}
	initialise := &cobra.Command{Use: "init", RunE: func(*cobra.Command, []string) error { return nil }}
	root.AddCommand(say, cli.Group("ca", "certificates", initialise))
	var out, errs bytes.Buffer
	status = cli.Run(context.Background(), root, args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestRunStatus(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		args   []string
		status int
		stderr string // part of it
	}{
		{"ok", nil, []string{"say", "--word", "a"}, cli.ExitOK, ""},
		{"group", nil, []string{"ca", "init"}, cli.ExitOK, ""},
		{"failed", errors.New("no luck"), []string{"say", "--word", "a"}, cli.ExitFailed, "roll say: no luck\n"},
		{"unknown command", nil, []string{"sya"}, cli.ExitUsage, `unknown command "sya"`},
		{"unknown command of a group", nil, []string{"ca", "innit"}, cli.ExitUsage, `roll ca: unknown command "innit"`},
		{"no command", nil, nil, cli.ExitUsage, "name a command"},
		{"no command of a group", nil, []string{"ca"}, cli.ExitUsage, "name a command"},
		{"unknown flag", nil, []string{"say", "--loud"}, cli.ExitUsage, "Run 'roll say --help' for usage."},
		{"missing flag", nil, []string{"say"}, cli.ExitUsage, `"word" not set`},
		{"extra argument", nil, []string{"say", "--word", "a", "b"}, cli.ExitUsage, "roll say: "},
		{"no such file", nil, []string{"say", "--config", "nowhere"}, cli.ExitUsage, "nowhere"},
		{"body finds a usage error", cli.Errorf(cli.ErrUsage, "not %q", "a"), []string{"say", "--word", "a"}, cli.ExitUsage, `not "a"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, _, stderr := run(t, c.err, c.args...)
			if status != c.status || !strings.Contains(stderr, c.stderr) {
				t.Errorf("status %d, want %d; stderr:\n%s", status, c.status, stderr)
			}
		})
	}
}

// No arguments are none, and not those of the process.
func TestRunTakesNoArgumentsFromTheProcess(t *testing.T) {
	own := os.Args
	t.Cleanup(func() { os.Args = own })
	os.Args = []string{"roll", "say", "--word", "a"}
	if status, stdout, stderr := run(t, nil); status != cli.ExitUsage || stdout != "" {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

func TestRunLayersBeforeItAsksForRequiredFlags(t *testing.T) {
	t.Setenv("ROLLCALL_WORD", "from the environment")
	if status, stdout, stderr := run(t, nil, "say"); status != cli.ExitOK || stdout != "from the environment\n" {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

func TestRunKeepsHelpOfAMistakeOffStdout(t *testing.T) {
	_, stdout, stderr := run(t, nil)
	if stdout != "" || !strings.Contains(stderr, "Available Commands") {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
	status, stdout, _ := run(t, nil, "--help")
	if status != cli.ExitOK || !strings.Contains(stdout, "Available Commands") {
		t.Errorf("--help: status %d, stdout %q", status, stdout)
	}
}

func TestRunEndsTheContextAtASignal(t *testing.T) {
	root := &cobra.Command{Use: "roll", RunE: func(cmd *cobra.Command, _ []string) error {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-cmd.Context().Done()
		return cmd.Context().Err()
	}}
	var out, errs bytes.Buffer
	if status := cli.Run(context.Background(), root, nil, &out, &errs); status != cli.ExitFailed {
		t.Errorf("status %d, want %d", status, cli.ExitFailed)
	}
	if errs.String() != "roll: interrupted\n" {
		t.Errorf("stderr %q", errs.String())
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, cli.ExitOK},
		{errors.New("x"), cli.ExitFailed},
		{cli.ErrUsage, cli.ExitUsage},
		{fmt.Errorf("list: %w", cli.Errorf(cli.ErrNotFound, "no node %q", "n9")), cli.ExitNotFound},
		{fmt.Errorf("last: %w", events.ErrNotFound), cli.ExitNotFound},
		{cli.ErrStale, cli.ExitStale},
		{fmt.Errorf("replay: %w", events.ErrIncomplete), cli.ExitStale},
		{cli.ErrTimeout, cli.ExitTimeout},
		{fmt.Errorf("get: %w", context.DeadlineExceeded), cli.ExitTimeout},
	} {
		if got := cli.ExitCode(c.err); got != c.want {
			t.Errorf("%v: status %d, want %d", c.err, got, c.want)
		}
	}
	cause := errors.New("cause")
	err := cli.Errorf(cli.ErrTimeout, "waited: %w", cause)
	if !errors.Is(err, cause) || err.Error() != "waited: cause" {
		t.Errorf("Errorf loses its cause or its text: %v", err)
	}
}
