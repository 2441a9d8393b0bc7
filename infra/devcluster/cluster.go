// Package devcluster runs a whole Rollcall cluster in one process, for development and tests: an embedded JetStream
// server, members that probe each other over real QUIC sockets on loopback with certificates of a throwaway CA, and a
// projector.
//
//	c, err := devcluster.Start(ctx, devcluster.Config{Dir: dir, Nodes: 5})
//	err = c.Do(ctx, "n3", "crash")
//	err = c.Leave(ctx)
//	c.Close()
//
// Everything in it is what runs in production, but for the process boundaries: a crash closes a member's socket without
// a word, a pause stops its loop while its socket stays open. A Cluster is an httpapi.DevControl.
package devcluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"rollcall"
	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/certs"
	"rollcall/infra/natsd"
	"rollcall/projections/httpapi"
	"rollcall/projections/projector"
	"rollcall/swim"
)

// NodesMax bounds the members of one process.
const NodesMax = 200

// certValidity is long enough for a process that somebody forgot.
const certValidity = 30 * 24 * time.Hour

// Config of a cluster. Dir is required.
type Config struct {
	Cluster    string                        // "default" when empty
	Nodes      int                           // n1 to nN; 1 to NodesMax
	Dir        string                        // of everything that is kept; a second start on it goes on where the first ended
	NATSListen string                        // host:port of the embedded server for others, "127.0.0.1:0" when empty
	Protocol   swim.Config                   // times and counts; zero fields take the defaults
	Tags       func(i int) map[string]string // of member i, from 1; nil: none
	Logger     *slog.Logger                  // nil logs nothing
}

// Cluster is a running cluster. All methods are safe for concurrent use.
type Cluster struct {
	cfg       Config
	log       *slog.Logger
	ca        *certs.CA
	reader    *jslog.Log
	projector *projector.Projector
	network   *network
	stop      context.CancelFunc
	work      sync.WaitGroup
	failed    chan error  // the projector's last word, if it has one
	closing   atomic.Bool // Leave or Close has begun: no action may bring a member back

	natsMu     sync.Mutex
	natsListen string        // with the real port after the first start
	server     *natsd.Server // nil while stopped

	mu    sync.Mutex // guards the two and every node's address
	nodes map[string]*node
	order []string
}

// Start brings everything up: the server, the projector, then the members, the first of which is everybody's seed. It
// returns when every member has joined, or with the first error, having cleaned up.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Cluster == "" {
		cfg.Cluster = "default"
	}
	if cfg.NATSListen == "" {
		cfg.NATSListen = "127.0.0.1:0"
	}
	if cfg.Nodes < 1 || cfg.Nodes > NodesMax {
		return nil, fmt.Errorf("devcluster: %d nodes: want 1 to %d", cfg.Nodes, NodesMax)
	}
	if cfg.Dir == "" {
		return nil, errors.New("devcluster: Dir is required: everything is kept there")
	}
	c := &Cluster{cfg: cfg, log: cfg.Logger, nodes: make(map[string]*node), network: newNetwork(), failed: make(chan error, 1)}
	c.natsListen = cfg.NATSListen
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("devcluster: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.ca, err = certs.NewCA(c.cfg.Cluster, time.Now(), 2*certValidity); err != nil {
		return err
	}
	if err := c.StartNATS(ctx); err != nil {
		return err
	}
	if err := c.startProjector(ctx); err != nil {
		return err
	}
	for i := range c.cfg.Nodes {
		n := newNode(c, "n"+strconv.Itoa(i+1))
		if c.cfg.Tags != nil {
			n.tags = c.cfg.Tags(i + 1)
		}
		c.mu.Lock()
		c.nodes[n.id] = n
		c.order = append(c.order, n.id)
		c.mu.Unlock()
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	for _, n := range c.all() {
		select {
		case <-n.member.Joined():
		case <-ctx.Done():
			return fmt.Errorf("member %s did not join: %w", n.id, ctx.Err())
		}
	}
	return nil
}

func (c *Cluster) startProjector(ctx context.Context) error {
	var err error
	c.reader, err = jslog.Connect(ctx, jslog.Config{
		InProcess: c, Cluster: c.cfg.Cluster, Name: "projector", Provision: true, Logger: c.log,
	})
	if err != nil {
		return err
	}
	c.projector, err = projector.Open(projector.Config{
		Log: c.reader, Cluster: c.cfg.Cluster, Dir: filepath.Join(c.cfg.Dir, "projector"), Logger: c.log,
	})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.work.Go(func() {
		if err := c.projector.Run(run); err != nil {
			c.failed <- err
		}
	})
	return nil
}

// Failed delivers the error that ended the projector, if one does.
func (c *Cluster) Failed() <-chan error { return c.failed }

// Projector holds the views.
func (c *Cluster) Projector() *projector.Projector { return c.projector }

// Log is a connection of its own to the log, for reading.
func (c *Cluster) Log() events.Log { return c.reader }

// Member is the member's present life, or nil while it has none.
func (c *Cluster) Member(id string) *rollcall.Member {
	n, err := c.node(id)
	if err != nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.member
}

// NodeIDs lists the members, whatever became of them, in the order n1, n2, …
func (c *Cluster) NodeIDs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

func (c *Cluster) all() []*node {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*node, 0, len(c.order))
	for _, id := range c.order {
		all = append(all, c.nodes[id])
	}
	return all
}

func (c *Cluster) node(id string) (*node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.nodes[id]
	if !ok {
		return nil, fmt.Errorf("%w: %q; there are %v", httpapi.ErrUnknownNode, id, slices.Sorted(maps.Keys(c.nodes)))
	}
	return n, nil
}

// seeds are the addresses of the other members that have one, so that any of them can be the way in.
func (c *Cluster) seeds(except string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var seeds []string
	for _, id := range c.order {
		if n := c.nodes[id]; id != except && n.bind.Port() != 0 {
			seeds = append(seeds, n.bind.String())
		}
	}
	return seeds
}

// Do implements httpapi.DevControl. Once Leave or Close has begun every action fails with httpapi.ErrWrongState.
func (c *Cluster) Do(ctx context.Context, id, action string) error {
	n, err := c.node(id)
	if err != nil {
		return err
	}
	return n.do(ctx, action)
}

// Partition implements httpapi.DevControl. It cuts the members from each other, not from the log.
func (c *Cluster) Partition(_ context.Context, groups [][]string) error {
	side := make(map[swim.ID]int)
	for i, group := range groups {
		for _, id := range group {
			if _, err := c.node(id); err != nil {
				return err
			}
			side[swim.ID(id)] = i + 1
		}
	}
	c.network.split(side)
	return nil
}

// Leave lets every running member depart gracefully, all at once, and waits until the views have it. No member can be
// brought back after it.
func (c *Cluster) Leave(ctx context.Context) error {
	c.closing.Store(true)
	all := c.all()
	errs := make([]error, len(all))
	var leaving sync.WaitGroup
	for i, n := range all {
		leaving.Go(func() {
			if err := n.leave(ctx); !errors.Is(err, httpapi.ErrWrongState) {
				errs[i] = err
			}
		})
	}
	leaving.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	info, err := c.reader.Info(ctx)
	if err != nil {
		return err
	}
	return c.projector.WaitFor(ctx, info.Last)
}

// Close ends everything at once. It is idempotent.
func (c *Cluster) Close() error {
	c.closing.Store(true)
	var errs []error
	for _, n := range c.all() {
		errs = append(errs, n.close())
	}
	if c.stop != nil {
		c.stop()
	}
	c.work.Wait()
	if c.reader != nil {
		c.reader.Close()
	}
	c.StopNATS()
	return errors.Join(errs...)
}
