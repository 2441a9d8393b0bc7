package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/nats"
)

// connect opens the log as a reader, and the servers' API as the administrator.
func (c *chaos) connect() {
	c.t.Helper()
	ca := filepath.Join(c.cfg.Dir, nats.CAFile)
	log, err := jslog.Connect(c.t.Context(), jslog.Config{
		URL: c.cfg.URL(), Cluster: siteCluster, CAFile: ca, NKeyFile: filepath.Join(c.cfg.Dir, nats.ReaderKey("watcher")), Replicas: 3,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(log.Close)
	c.watched = log
	user, err := natsgo.NkeyOptionFromSeed(filepath.Join(c.cfg.Dir, nats.AdministratorKey))
	if err != nil {
		c.t.Fatal(err)
	}
	nc, err := natsgo.Connect(c.cfg.URL(), user, natsgo.RootCAs(ca), natsgo.MaxReconnects(-1),
		natsgo.CustomInboxPrefix(c.inbox(nats.AdministratorKey)))
	if err != nil {
		c.t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*natsgo.Conn) { close(closed) })
	c.t.Cleanup(func() { nc.Close(); <-closed })
	if c.admin, err = jetstream.New(nc); err != nil {
		c.t.Fatal(err)
	}
}

// subscribe reads along until the test ends: each position comes once, in order, whatever happens to the servers (I10).
func (c *chaos) subscribe() {
	ctx, cancel := context.WithCancel(c.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for rec, err := range c.watched.Subscribe(ctx, events.Filter{}, events.From{}) {
			if last := c.seen.Load(); err != nil || rec.Position != last+1 {
				c.t.Errorf("a subscriber that was at position %d got position %d, %v (I10)", last, rec.Position, err)
				return
			}
			c.seen.Store(rec.Position)
		}
	})
	c.t.Cleanup(func() { cancel(); running.Wait() })
}

// inbox is where the answers for the user of a key arrive.
func (c *chaos) inbox(key string) string {
	c.t.Helper()
	seed, err := os.ReadFile(filepath.Join(c.cfg.Dir, key))
	if err != nil {
		c.t.Fatal(err)
	}
	pair, err := nkeys.ParseDecoratedNKey(seed)
	if err != nil {
		c.t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		c.t.Fatal(err)
	}
	return jslog.Inbox(public)
}

// healthy waits until all servers are there with the whole log.
func (c *chaos) healthy() {
	c.t.Helper()
	timeout := infoTimeoutMin
	within(c.t, chaosPatience, "all servers have the whole log", func() error {
		ctx, cancel := context.WithTimeout(c.t.Context(), timeout)
		defer cancel()
		stream, err := c.admin.Stream(ctx, events.StreamName(siteCluster))
		if err != nil {
			timeout = min(2*timeout, infoTimeoutMax)
			return err
		}
		group := stream.CachedInfo().Cluster
		if group == nil || group.Leader == "" || len(group.Replicas) != chaosServers-1 {
			return fmt.Errorf("copies: %+v", group)
		}
		for _, peer := range group.Replicas {
			if !peer.Current || peer.Offline {
				return fmt.Errorf("%s lags by %d entries of the leader, %s, which heard of it %v ago; offline: %v",
					peer.Name, peer.Lag, group.Leader, peer.Active, peer.Offline)
			}
		}
		return nil
	})
}
