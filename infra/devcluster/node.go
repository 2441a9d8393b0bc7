package devcluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"rollcall"
	"rollcall/events/jslog"
	"rollcall/projections/httpapi"
	"rollcall/swim"
	"rollcall/swim/agent"
	"rollcall/swim/quicnet"
)

// node is one member's place in the cluster, from life to life.
type node struct {
	cluster *Cluster
	id      string
	bind    netip.AddrPort // with the real port of the last life, so that the next comes back where that was
	tags    map[string]string

	resetKey [32]byte // of all lives, so that peers notice a restart with the next packet

	mu      sync.Mutex // one action at a time
	member  *rollcall.Member
	log     *jslog.Log
	quic    *quicnet.Transport
	resumed func() // while paused
}

func newNode(c *Cluster, id string) *node {
	n := &node{cluster: c, id: id, bind: netip.MustParseAddrPort("127.0.0.1:0")}
	rand.Read(n.resetKey[:])
	return n
}

// start begins a life.
func (n *node) start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.startLocked(ctx)
}

func (n *node) startLocked(ctx context.Context) error {
	c := n.cluster
	identity, err := c.ca.Identity(n.id, time.Now(), certValidity)
	if err != nil {
		return err
	}
	log, err := jslog.Connect(ctx, jslog.Config{
		InProcess: c, Cluster: c.cfg.Cluster, Name: n.id, Lazy: true, Logger: c.log,
	})
	if err != nil {
		return err
	}
	n.member, err = rollcall.Join(ctx, rollcall.Options{
		Cluster: c.cfg.Cluster, ID: n.id, Bind: n.bind, Seeds: c.seeds(n.id), Tags: n.tags, Log: log,
		Dir: filepath.Join(c.cfg.Dir, n.id), Protocol: c.cfg.Protocol, Logger: c.log,
		Transport: func(id swim.ID, bind netip.AddrPort) (agent.Transport, error) {
			return n.listen(id, bind, identity)
		},
	})
	if err != nil {
		log.Close()
		return err
	}
	n.log = log
	c.mu.Lock()
	defer c.mu.Unlock()
	n.bind = n.member.Addr()
	return nil
}

// listen opens the socket of a life, behind the network that can be split. Between two lives the system may have given the
// port to somebody else: then the next one is at another.
func (n *node) listen(id swim.ID, bind netip.AddrPort, credentials quicnet.Credentials) (agent.Transport, error) {
	c := n.cluster
	config := quicnet.Config{
		Cluster: c.cfg.Cluster, ID: id, Bind: bind, Credentials: credentials, ResetKey: n.resetKey, Logger: c.log,
	}
	quic, err := quicnet.Listen(config)
	if errors.Is(err, syscall.EADDRINUSE) && bind.Port() != 0 {
		config.Bind = netip.AddrPortFrom(bind.Addr(), 0)
		quic, err = quicnet.Listen(config)
	}
	if err != nil {
		return nil, err
	}
	n.quic = quic
	return &link{Transport: quic, self: id, network: c.network}, nil
}

func (n *node) wrong(want string) error {
	return fmt.Errorf("%w: %s is not %s", httpapi.ErrWrongState, n.id, want)
}

// do carries out one of httpapi.DevActions. The cluster's closing is looked at under the lock: Leave and Close take it
// after they have said so, and find the member that an earlier action brought back.
func (n *node) do(ctx context.Context, action string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cluster.closing.Load() {
		return fmt.Errorf("%w: the cluster is leaving", httpapi.ErrWrongState)
	}
	switch action {
	case "crash":
		return n.crash()
	case "pause":
		return n.pause(ctx)
	case "resume":
		return n.resume()
	case "restart":
		return n.restart(ctx)
	case "leave":
		return n.leaveLocked(ctx)
	default:
		return fmt.Errorf("devcluster: no action %q; there are %v", action, httpapi.DevActions())
	}
}

// crash ends the life without a word to anybody.
func (n *node) crash() error {
	if n.member == nil {
		return n.wrong("running")
	}
	n.quic.Kill()
	return n.endLocked()
}

func (n *node) pause(ctx context.Context) error {
	if n.member == nil || n.resumed != nil {
		return n.wrong("running")
	}
	resume, err := n.member.Pause(ctx)
	n.resumed = resume
	return err
}

func (n *node) resume() error {
	if n.resumed == nil {
		return n.wrong("paused")
	}
	n.resumed()
	n.resumed = nil
	return nil
}

// restart begins a new life: of a member that is gone at once, of one that runs after a crash.
func (n *node) restart(ctx context.Context) error {
	if n.member != nil {
		n.quic.Kill()
		if err := n.endLocked(); err != nil {
			return err
		}
	}
	return n.startLocked(ctx)
}

func (n *node) leave(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leaveLocked(ctx)
}

func (n *node) leaveLocked(ctx context.Context) error {
	if n.member == nil {
		return n.wrong("running")
	}
	if n.resumed != nil {
		n.resumed()
		n.resumed = nil
	}
	err := n.member.Leave(ctx)
	return errors.Join(err, n.endLocked())
}

func (n *node) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.member == nil {
		return nil
	}
	return n.endLocked()
}

func (n *node) endLocked() error {
	err := n.member.Close()
	n.log.Close()
	n.member, n.log, n.resumed = nil, nil, nil
	return err
}
