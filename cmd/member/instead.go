package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// instead makes a command refuse flags of its siblings that mean nothing to it by saying what to use. It takes no such flag,
// so that nothing completes it, and a setting in the environment for the siblings does not hurt.
func instead(cmd *cobra.Command, use map[string]string) {
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		unknown := new(pflag.NotExistError)
		if !errors.As(err, &unknown) {
			return err
		}
		name := unknown.GetSpecifiedName()
		if name == "w" {
			name = "watch"
		}
		if text, ok := use[name]; ok {
			return fmt.Errorf("it has no --%s: %s", name, text)
		}
		return err
	})
}
