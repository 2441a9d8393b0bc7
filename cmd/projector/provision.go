package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/cli"
	"rollcall/infra/kvmirror"
	"rollcall/infra/nats"
	"rollcall/infra/snapbucket"
)

func newProvision() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Make the stream of a cluster",
		Long: `Make the stream of a cluster on NATS servers, as the user who may: the provisioner of "member nats config". A stream that
is there is compared, never changed. A projector whose user may make the stream does it by itself. The name of what is there
now is printed.`,
		Example: `  projector provision --cluster default --nats tls://10.0.0.1:4222 --nats-ca tls/ca.pem \
    --nkey keys/provisioner.nk`,
		Args: cli.Args(),
	}
	cluster := cmd.Flags().String("cluster", "default", "`NAME` of the cluster")
	replicas := cmd.Flags().Int("replicas", 0, "copies of the stream, on as many servers, 1 to 5; unless said, 3 where they form a cluster")
	conn := nats.ConnectionFlags(cmd.Flags(), "`URL` of NATS, several separated by commas (required)")
	mirror := cmd.Flags().Bool("kv-mirror", false, "make the bucket too that projector run --kv-mirror writes")
	snapshots := cmd.Flags().Bool("snapshots", false, "make the bucket too that projector run --snapshots nats writes")
	logging := cli.LoggingFlags(cmd.Flags(), slog.LevelWarn)
	if err := cmd.MarkFlagRequired("nats"); err != nil {
		panic(err) // the flag does not exist: a mistake in this program
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case !events.ValidID(*cluster):
			return cli.Errorf(cli.ErrUsage, "--cluster %q: want 1 to %d of A-Z a-z 0-9 _ -", *cluster, events.IDMax)
		case *replicas < 0 || *replicas > 5:
			return cli.Errorf(cli.ErrUsage, "--replicas %d: want 1 to 5", *replicas)
		}
		config := conn.Config(*cluster, "provisioner")
		config.Provision, config.Replicas, config.Logger = true, *replicas, logging.Logger(cmd.ErrOrStderr())
		log, err := jslog.Connect(cmd.Context(), config)
		if err != nil {
			return err
		}
		defer log.Close()
		made := []string{events.StreamName(*cluster)}
		if *mirror {
			if err := kvmirror.Make(cmd.Context(), log.Conn(), *cluster, *replicas); err != nil {
				return err
			}
			made = append(made, kvmirror.Bucket(*cluster))
		}
		if *snapshots {
			bucket, err := snapbucket.New(snapbucket.Config{Cluster: *cluster, Conn: log.Conn, Replicas: *replicas})
			if err == nil {
				err = bucket.Make(cmd.Context())
			}
			if err != nil {
				return err
			}
			made = append(made, snapbucket.Name(*cluster))
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.Join(made, "\n"))
		return err
	}
	return cmd
}
