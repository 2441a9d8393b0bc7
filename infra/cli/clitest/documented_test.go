package clitest

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

const document = "Say `member list --status\nalive` or `tool list`, as\n\n    member list --at 3 | sort   # not that\n" +
	"    go run ./cmd/member list \\\n        --tag 'a b' ...\n\nand no `member-list`.\n"

func TestCommandsOfADocument(t *testing.T) {
	want := [][]string{{"list", "--at", "3"}, {"list", "--tag", "a b"}, {"list", "--status", "alive"}}
	if got := commands(document, "member"); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTaken(t *testing.T) {
	for _, c := range []struct {
		line []string
		want bool
	}{
		{[]string{"list", "--at", "3"}, true},
		{[]string{"list", "n1", "--at"}, true},
		{[]string{"list", "--at", "soon"}, false},
		{[]string{"list", "--loud"}, false},
		{[]string{"list", "--help"}, true},
		{[]string{"lits"}, false},
	} {
		root := &cobra.Command{Use: "member"}
		list := &cobra.Command{Use: "list", Run: func(*cobra.Command, []string) {}}
		list.Flags().Int("at", 0, "")
		root.AddCommand(list)
		if err := taken(root, c.line); (err == nil) != c.want {
			t.Errorf("%q: %v", c.line, err)
		}
	}
}
