package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"rollcall/infra/certs"
	"rollcall/swim"
	"rollcall/swim/agent"
	"rollcall/swim/quicnet"
)

// subscriptionBound is how many changes may wait for the one who counts them; more are told as missed.
const subscriptionBound = 256

// rollcallCluster runs agents over QUIC with mutual TLS, under a certificate authority that lives as long as it does. There
// is no log: detection rules 1 to 7 and gossip alone.
type rollcallCluster struct {
	watch    *watch
	handed   bool // newcomers are introduced as by the log
	protocol swim.Config
	seed     uint64
	members  []*rollcallMember
}

// rollcallMember is a place in the cluster, from life to life.
type rollcallMember struct {
	identity    *certs.Identity
	resetKey    [32]byte       // kept from life to life, as a member keeps it in its data directory
	bind        netip.AddrPort // with its real port after the first life
	incarnation uint64         // of the last life, kept likewise

	mu     sync.Mutex // guards the rest, which is nil when it does not run
	agent  *agent.Agent
	quic   *quicnet.Transport
	resume func()
}

func newRollcall(o options, w *watch) (*rollcallCluster, error) {
	const clusterName = "bench"
	ca, err := certs.NewCA(clusterName, time.Now(), 0)
	if err != nil {
		return nil, err
	}
	c := &rollcallCluster{watch: w, handed: o.handed(), protocol: o.protocol(), seed: o.seed, members: make([]*rollcallMember, o.n)}
	for i := range c.members {
		m := &rollcallMember{bind: netip.MustParseAddrPort("127.0.0.1:0")}
		if m.identity, err = ca.Identity(name(i), time.Now(), 0); err != nil {
			return nil, err
		}
		_, _ = rand.Read(m.resetKey[:]) // never fails
		c.members[i] = m
	}
	return c, nil
}

// hearing notes what the transport tells the agent of peers whose process is gone.
type hearing struct {
	*quicnet.Transport
	note func(swim.ID)
}

func (h hearing) Serve(handler agent.Handler) { h.Transport.Serve(hearingHandler{handler, h.note}) }

type hearingHandler struct {
	agent.Handler
	note func(swim.ID)
}

func (h hearingHandler) HandleDown(from swim.ID, addr netip.AddrPort, how swim.Down) {
	h.note(from)
	h.Handler.HandleDown(from, addr, how)
}

func (c *rollcallCluster) start(ctx context.Context, i int) error {
	m := c.members[i]
	transport, err := quicnet.Listen(quicnet.Config{
		Cluster: m.identity.Cluster(), ID: swim.ID(name(i)), Bind: m.bind, Credentials: m.identity, ResetKey: m.resetKey,
	})
	if err != nil {
		return err
	}
	note := func(peer swim.ID) { c.watch.see(i, indexOf(string(peer)), told) }
	node := c.protocol
	node.ID, node.Addr = swim.ID(name(i)), transport.LocalAddr()
	node.Incarnation, node.Seed = m.incarnation+1, c.seed+uint64(i)
	a, err := agent.Start(agent.Config{Node: node, Transport: hearing{transport, note}})
	if err != nil {
		transport.Kill()
		return err
	}
	m.mu.Lock()
	m.agent, m.quic, m.bind = a, transport, transport.LocalAddr()
	m.mu.Unlock()
	bound := subscriptionBound
	if m.incarnation > 0 {
		bound += len(c.members) // it comes back to all the others at once
	}
	go c.follow(i, a.Subscribe(bound)) // ends when the agent is closed
	if c.handed && m.incarnation == 0 {
		return c.introduce(ctx, i, a)
	}
	return c.join(ctx, i, a)
}

// introduce does what the log does for a newcomer: everybody learns of it from the log, and it learns of everybody. Nobody
// passes on by gossip what the log told him.
func (c *rollcallCluster) introduce(ctx context.Context, i int, a *agent.Agent) error {
	claim := func(j int) *swim.LogClaim {
		return &swim.LogClaim{ID: swim.ID(name(j)), Addr: c.members[j].bind, Incarnation: 1, State: swim.Alive}
	}
	for j := range c.members {
		other := c.members[j].running()
		if other == nil || j == i {
			continue
		}
		if err := errors.Join(a.Learn(ctx, claim(j)), other.Learn(ctx, claim(i))); err != nil {
			return fmt.Errorf("introduce to %s: %w", name(j), err)
		}
	}
	return nil
}

// joinPatience is for one attempt to join; a busy seed may well lose a handshake.
const joinPatience = 5 * time.Second

func (c *rollcallCluster) join(ctx context.Context, i int, a *agent.Agent) error {
	seeds := c.seedsOf(i)
	if len(seeds) == 0 {
		return nil
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, joinPatience)
		_, err := a.Join(attempt, seeds)
		cancel()
		if err == nil {
			return nil
		}
		if rest(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("join: %w", err)
		}
	}
}

// seedsOf returns up to two members that run, spread over the cluster so that nobody serves everybody.
func (c *rollcallCluster) seedsOf(i int) (seeds []netip.AddrPort) {
	n := len(c.members)
	for _, from := range []int{i / 2, i + n/2} {
		for k := range n {
			j := (from + k) % n
			if m := c.members[j]; j != i && m.running() != nil {
				seeds = append(seeds, m.bind)
				break
			}
		}
	}
	return seeds
}

func (m *rollcallMember) running() *agent.Agent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.agent
}

// follow notes what member i comes to hold of others.
func (c *rollcallCluster) follow(i int, sub *agent.Subscription) {
	for n := range sub.C {
		if n.Missed > 0 {
			c.watch.lose(n.Missed)
		}
		switch n.Kind {
		case swim.TransitionSuspected:
			if n.Own { // the accuser's word; the others only hear of it
				c.watch.see(i, indexOf(string(n.Subject)), suspected)
			}
		case swim.TransitionFailed:
			c.watch.see(i, indexOf(string(n.Subject)), failed)
		default:
		}
	}
}

func (c *rollcallCluster) kill(i int) error {
	m := c.members[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.agent == nil {
		return nil
	}
	m.quic.Kill()
	m.incarnation = m.agent.Status().Self.Incarnation
	if m.resume != nil {
		m.resume()
	}
	err := m.agent.Close()
	m.agent, m.quic, m.resume = nil, nil, nil
	return err
}

// silence stops the loop. QUIC underneath still acknowledges, which nobody takes for life.
func (c *rollcallCluster) silence(ctx context.Context, i int) (err error) {
	m := c.members[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resume, err = m.agent.Pause(ctx)
	return err
}

func (c *rollcallCluster) count(i int) int {
	if a := c.members[i].running(); a != nil {
		return a.Registry().Count()
	}
	return 0
}

func (c *rollcallCluster) connections(i int) int {
	m := c.members[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quic == nil {
		return 0
	}
	return m.quic.Stats().Connections
}

// close stops every loop before it ends a member: those that are left would take up the search for each that is gone, and a
// thousand did so for minutes.
func (c *rollcallCluster) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	for i, m := range c.members {
		if m.running() != nil {
			_ = c.silence(ctx, i) // one that cannot be stopped is ended all the same
		}
	}
	for i := range c.members {
		_ = c.kill(i) // the measurements are taken
	}
}
