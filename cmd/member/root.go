package main

import (
	"github.com/spf13/cobra"
)

// Sections of the help text, in its order.
const (
	sectionAgent    = "agent"
	sectionQuestion = "question"
	sectionSetup    = "setup"
)

// commands are the constructors of the subcommands, one file each, registered in its init. A constructor returns a new
// command every time and keeps its flags in variables of its own, so two programs in one test process share nothing.
var commands []func() *cobra.Command

func register(newCommand func() *cobra.Command) { commands = append(commands, newCommand) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "member",
		Short: "Keep the roll of a cluster: be a member, or ask who is one",
		Long: `member is the agent of one cluster member and the tool of whoever runs a cluster.

Every flag can also be set as ROLLCALL_<FLAG> in the environment and in a file given by --config.
Exit status: 0 ok, 1 failed, 2 usage, 3 not found, 4 stale or incomplete, 5 timeout.`,
	}
	root.AddGroup(
		&cobra.Group{ID: sectionAgent, Title: "Be a member:"},
		&cobra.Group{ID: sectionQuestion, Title: "Ask a projector:"},
		&cobra.Group{ID: sectionSetup, Title: "Prepare:"},
	)
	for _, newCommand := range commands {
		root.AddCommand(newCommand())
	}
	return root
}
