package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"rollcall/infra/cli"
	"rollcall/infra/nats"
)

func init() { register(newNATS) }

func newNATS() *cobra.Command {
	group := cli.Group("nats", "Write the configuration of NATS servers for a cluster", newNATSConfig())
	group.GroupID = sectionSetup
	return group
}

func newNATSConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Write servers' configuration, certificates and users",
		Long: `Write what one NATS server, or three to five, need to hold the log of a cluster: a configuration file each, certificates, and
a user for each member, who may speak as that member alone. What is written is printed, one path a line.

Keys and the authority are made once and kept; everything else is written again by every run. So a member is added by
naming it, with all the others, in the next run, and reloading the servers. Give each member keys/member-ID.nk (--nkey) and
tls/ca.pem (--nats-ca), and nobody else's key.`,
		Example: `  member nats config --cluster default --members n1,n2,n3 --servers 10.0.0.1,10.0.0.2,10.0.0.3 --dir nats
  nats-server -c nats/rollcall-1.conf
  projector provision --nats tls://10.0.0.1:4222 --nats-ca nats/tls/ca.pem --nkey nats/keys/provisioner.nk`,
		Args: cli.Args(),
	}
	var cfg nats.Config
	var servers []string
	f := cmd.Flags()
	f.StringVar(&cfg.Cluster, "cluster", "default", "`NAME` of the cluster")
	f.StringSliceVar(&cfg.Members, "members", nil, "`IDS` of the members, comma separated (required)")
	f.StringSliceVar(&cfg.Directors, "directors", nil, "`IDS` of those members that may direct assignment groups")
	f.StringSliceVar(&cfg.Readers, "readers", []string{"projector"}, "`NAMES` of users that read and do not speak")
	f.StringSliceVar(&cfg.Projectors, "projectors", []string{"projector"}, "`NAMES` of those of them that may also write what follows from the log")
	f.StringSliceVar(&servers, "servers", nil, "one `HOST[:PORT[:ROUTEPORT]]` a server, comma separated (required)")
	f.StringVar(&cfg.Dir, "dir", "", "write to this `DIRECTORY` (required)")
	f.StringVar(&cfg.Path, "path", "", "where the directory will lie on the servers, if not where it is")
	f.StringVar(&cfg.Store, "store", "/var/lib/rollcall-nats", "`DIRECTORY` on the servers that holds the log")
	for _, name := range []string{"members", "servers", "dir"} {
		require(cmd, name)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !f.Changed("projectors") && !slices.Contains(cfg.Readers, cfg.Projectors[0]) {
			cfg.Projectors = nil // who names the readers names the projectors
		}
		for _, text := range servers {
			server, err := nats.ParseServer(text)
			if err != nil {
				return cli.Errorf(cli.ErrUsage, "--servers: %w", err)
			}
			cfg.Servers = append(cfg.Servers, server)
		}
		written, err := nats.Generate(cfg, time.Now())
		if errors.Is(err, nats.ErrConfig) {
			return cli.Errorf(cli.ErrUsage, "%w", err)
		}
		for _, file := range written { // those written before an error are there all the same
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), file); err != nil {
				return err
			}
		}
		return err
	}
	return cmd
}
