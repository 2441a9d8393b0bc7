package devcluster

import (
	"context"
	"errors"
	"net"
	"path/filepath"

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
		Dir: filepath.Join(c.cfg.Dir, "nats"), Listen: c.cfg.NATSListen, ServerName: "rollcall-dev", Logger: c.log,
	})
	if err != nil {
		return err
	}
	c.server = server
	return nil
}

// StopNATS stops the embedded server; members keep what they have to say until it is back.
func (c *Cluster) StopNATS() {
	c.natsMu.Lock()
	server := c.server
	c.server = nil
	c.natsMu.Unlock()
	if server != nil {
		server.Shutdown()
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
