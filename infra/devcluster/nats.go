package devcluster

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"

	"rollcall/infra/natsd"
)

// errNATSDown is what a connection attempt meets while the server is stopped.
var errNATSDown = errors.New("devcluster: the embedded NATS server is stopped")

// StartNATS starts the embedded server on the cluster's directory, on the port it had before, if it is not running.
func (c *Cluster) StartNATS(ctx context.Context) error {
	c.natsMu.Lock()
	defer c.natsMu.Unlock()
	if c.server != nil {
		return nil
	}
	server, err := natsd.Start(ctx, natsd.Config{
		Dir: filepath.Join(c.cfg.Dir, "nats"), Listen: c.natsListen, ServerName: "rollcall-dev", Logger: c.log,
	})
	if err != nil {
		return err
	}
	c.server = server
	c.natsListen = strings.TrimPrefix(server.URL(), "nats://") // clients of others come back to where it was
	return nil
}

// StopNATS stops the embedded server and returns when it has; members keep what they have to say until it is back.
func (c *Cluster) StopNATS() {
	c.natsMu.Lock()
	defer c.natsMu.Unlock() // held until the files are closed: a start before that would find the directory in use
	if c.server != nil {
		c.server.Shutdown()
		c.server = nil
	}
}

// NATS is the URL of the embedded server for other processes, or empty while it is stopped.
func (c *Cluster) NATS() string {
	c.natsMu.Lock()
	defer c.natsMu.Unlock()
	if c.server == nil {
		return ""
	}
	return c.server.URL()
}

// Conn is the projector's connection to the embedded server, for what shows the views there; nil while there is none.
func (c *Cluster) Conn() *nats.Conn { return c.reader.Conn() }

// InProcessConn implements jslog.InProcess for whichever server is running.
func (c *Cluster) InProcessConn() (net.Conn, error) {
	c.natsMu.Lock()
	server := c.server
	c.natsMu.Unlock()
	if server == nil {
		return nil, errNATSDown
	}
	return server.InProcessConn()
}

// Durability says what the embedded server promises of an acknowledged event.
func (c *Cluster) Durability() string {
	c.natsMu.Lock()
	defer c.natsMu.Unlock()
	if c.server == nil {
		return errNATSDown.Error()
	}
	return c.server.Durability()
}
