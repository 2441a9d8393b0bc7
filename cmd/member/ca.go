package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"rollcall/infra/certs"
	"rollcall/infra/cli"
)

func init() { register(newCA) }

func newCA() *cobra.Command {
	ca := cli.Group("ca", "Make and renew certificates for people who have no CA", newCAInit(), newCAIssue(), newCARotate())
	ca.GroupID = sectionSetup
	ca.Long = `A small certificate authority in a directory. Its certificate, ca.pem, goes to every member; its key, ca-key.pem, goes
nowhere. A member's certificate names it: spiffe://rollcall/CLUSTER/ID. What these commands write they print, one path
a line.`
	return ca
}

func newCAInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "init",
		Short:   "Make the authority of a cluster",
		Example: "  member ca init --dir pki --cluster default",
		Args:    cli.Args(),
	}
	dir, cluster := caFlags(cmd)
	validity := cmd.Flags().Duration("validity", certs.ValidityCA, "how long the authority is good for")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := positive("validity", *validity); err != nil {
			return err
		}
		if err := certs.InitCA(*dir, *cluster, time.Now(), *validity); err != nil {
			return caError(err)
		}
		return printPair(cmd, *dir, "ca")
	}
	return cmd
}

func newCAIssue() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue a member's certificate",
		Long: `Issue a member's certificate. With --host it also is what an HTTPS server there can show: projector run --http-cert, or member
run --http-cert, whose clients then trust ca.pem with --api-ca.`,
		Example: "  member ca issue --dir pki --cluster default --id n1\n" +
			"  member ca issue --dir pki --cluster default --id projector --host projector.example.org,10.0.0.9",
		Args: cli.Args(),
	}
	dir, cluster := caFlags(cmd)
	id := cmd.Flags().String("id", "", "the member's `ID` (required)")
	validity := cmd.Flags().Duration("validity", certs.ValidityMember, "how long the certificate is good for")
	hosts := cmd.Flags().StringSlice("host", nil, "`NAMES` or IP addresses of an HTTPS server that will show it, comma separated")
	require(cmd, "id")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := positive("validity", *validity); err != nil {
			return err
		}
		if err := certs.IssueFiles(*dir, *cluster, *id, time.Now(), *validity, *hosts...); err != nil {
			return caError(err)
		}
		return printPair(cmd, *dir, *id)
	}
	return cmd
}

func newCARotate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Renew every member's certificate, with new keys",
		Long: `Renew, with new keys, every member certificate that lies beside the authority. The authority stays. A running member
that reads these files takes the new ones up by itself.`,
		Example: "  member ca rotate --dir pki",
		Args:    cli.Args(),
	}
	dir := dirFlag(cmd)
	validity := cmd.Flags().Duration("validity", certs.ValidityMember, "how long the new certificates are good for")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := positive("validity", *validity); err != nil {
			return err
		}
		renewed, err := certs.Rotate(*dir, time.Now(), *validity)
		for _, id := range renewed { // those renewed before an error are renewed all the same
			if err := printPair(cmd, *dir, id); err != nil {
				return err
			}
		}
		return caError(err)
	}
	return cmd
}

func caFlags(cmd *cobra.Command) (dir, cluster *string) {
	dir = dirFlag(cmd)
	cluster = cmd.Flags().String("cluster", "default", "the cluster's `NAME`")
	return dir, cluster
}

func dirFlag(cmd *cobra.Command) *string {
	dir := cmd.Flags().String("dir", "", "`DIRECTORY` of the authority (required)")
	require(cmd, "dir")
	return dir
}

// require marks a flag that the command has just declared.
func require(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err) // the flag does not exist: a mistake in this program
	}
}

func positive(flag string, d time.Duration) error {
	if d <= 0 {
		return cli.Errorf(cli.ErrUsage, "--%s is %v and must be more than 0", flag, d)
	}
	return nil
}

// caError says which exit status an error of the authority has: a name that cannot be one is a mistake in the command
// line, files in the way or unreadable are not.
func caError(err error) error {
	if errors.Is(err, certs.ErrName) {
		return cli.Errorf(cli.ErrUsage, "%w", err)
	}
	return err
}

func printPair(cmd *cobra.Command, dir, name string) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n",
		filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
	return err
}
