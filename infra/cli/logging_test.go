package cli_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"rollcall/infra/cli"
)

// Help speaks of what is to be given, not of the types that hold it.
func TestLoggingFlagsInHelp(t *testing.T) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	cli.LoggingFlags(fs, slog.LevelInfo)
	usage := fs.FlagUsages()
	for _, want := range []string{"--log-level LEVEL ", "--log-format FORMAT "} {
		if !strings.Contains(usage, want) {
			t.Errorf("no %q in\n%s", want, usage)
		}
	}
}
