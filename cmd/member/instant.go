package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// instantFlag is a flag for a point in the log: a position, a time, or how long ago by this machine's clock. It holds what the
// API reads. Implements pflag.Value.
type instantFlag string

const instantForms = "a `POSITION` of the log, an RFC 3339 time, or how long ago, as -5m"

func (i *instantFlag) Set(text string) error {
	if ago, isAgo := strings.CutPrefix(text, "-"); isAgo {
		d, err := time.ParseDuration(ago)
		if err != nil || d < 0 {
			return fmt.Errorf("how long ago is a duration such as -90s, -5m or -36h")
		}
		*i = instantFlag(time.Now().Add(-d).UTC().Format(time.RFC3339Nano))
		return nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > 0 {
		*i = instantFlag(text)
		return nil
	}
	if _, err := time.Parse(time.RFC3339, text); err != nil {
		return fmt.Errorf("want a position from 1, a time such as 2026-03-01T12:00:00Z, or how long ago, as -5m")
	}
	*i = instantFlag(text)
	return nil
}

func (i *instantFlag) String() string { return string(*i) }

// Type implements pflag.Value.
func (i *instantFlag) Type() string { return "instant" }

// instantVar adds such a flag to a command.
func instantVar(cmd *cobra.Command, name, usage string) *string {
	i := new(instantFlag)
	cmd.Flags().Var(i, name, usage)
	return (*string)(i)
}

func atFlag(cmd *cobra.Command) *string { return instantVar(cmd, "at", "as of "+instantForms) }
