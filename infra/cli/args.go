package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Args is a cobra.PositionalArgs for a command that takes exactly these arguments, each named as in its usage line. Its errors say
// which is missing, or which is too much.
func Args(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s is missing", strings.Join(names[len(args):], " and "))
		case len(args) > len(names) && len(names) == 0:
			return fmt.Errorf("it takes no arguments, and %q is one", args[0])
		case len(args) > len(names):
			return fmt.Errorf("%q is too much: it takes %s", args[len(names)], strings.Join(names, " and "))
		default:
			return nil
		}
	}
}
