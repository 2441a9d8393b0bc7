package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/memberlist"
)

// memberlistCluster runs memberlist with its values for a LAN: plain UDP and TCP, neither encrypted nor authenticated,
// because that is what it does unless it is given a key.
type memberlistCluster struct {
	watch   *watch
	members []*memberlistMember
}

type memberlistMember struct {
	mu   sync.Mutex
	list *memberlist.Memberlist // nil when it does not run
	port int                    // after the first life
	hole []io.Closer            // sockets that nobody reads, while it is silent
}

func newMemberlist(o options, w *watch) *memberlistCluster {
	c := &memberlistCluster{watch: w, members: make([]*memberlistMember, o.n)}
	for i := range c.members {
		c.members[i] = &memberlistMember{}
	}
	return c
}

// loopback is where all members live.
const loopback = "127.0.0.1"

func (c *memberlistCluster) start(_ context.Context, i int) error {
	m := c.members[i]
	conf := memberlist.DefaultLANConfig()
	conf.Name = name(i)
	conf.BindAddr, conf.BindPort = loopback, m.port
	conf.AdvertiseAddr, conf.AdvertisePort = loopback, m.port
	conf.Events = eventsOf{i, c.watch}
	conf.Logger = log.New(accusations{i, c.watch}, "", 0)
	list, err := memberlist.Create(conf)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.list, m.port = list, int(list.LocalNode().Port)
	m.mu.Unlock()
	if seeds := c.seedsOf(i); len(seeds) > 0 {
		_, err = list.Join(seeds)
	}
	return err
}

// seedsOf returns up to two members that run, spread over the cluster as for the other system.
func (c *memberlistCluster) seedsOf(i int) (seeds []string) {
	n := len(c.members)
	for _, from := range []int{i / 2, i + n/2} {
		for k := range n {
			j := (from + k) % n
			if j != i && c.members[j].running() != nil {
				seeds = append(seeds, net.JoinHostPort(loopback, strconv.Itoa(c.members[j].port)))
				break
			}
		}
	}
	return seeds
}

func (m *memberlistMember) running() *memberlist.Memberlist {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list
}

// eventsOf notes whom member i comes to hold failed. Nobody leaves here, so a departure is a failure.
type eventsOf struct {
	i     int
	watch *watch
}

func (e eventsOf) NotifyJoin(*memberlist.Node)    {}
func (e eventsOf) NotifyUpdate(*memberlist.Node)  {}
func (e eventsOf) NotifyLeave(n *memberlist.Node) { e.watch.see(e.i, indexOf(n.Name), failed) }

// accusations reads the log lines of member i: memberlist has no event for a suspicion, only the accuser's own line.
type accusations struct {
	i     int
	watch *watch
}

func (a accusations) Write(line []byte) (int, error) {
	if _, after, ok := strings.Cut(string(line), "memberlist: Suspect "); ok {
		if id, _, ok := strings.Cut(after, " has failed"); ok {
			a.watch.see(a.i, indexOf(id), suspected)
		}
	}
	return len(line), nil
}

func (c *memberlistCluster) kill(i int) error {
	m := c.members[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.hole {
		_ = s.Close()
	}
	m.hole = nil
	if m.list == nil {
		return nil
	}
	err := m.list.Shutdown() // without Leave: it tells nobody
	m.list = nil
	return err
}

// silence replaces the member by sockets on its port that nobody reads: as with a stopped process, the kernel still takes
// packets, and connections, and no answer comes.
func (c *memberlistCluster) silence(ctx context.Context, i int) error {
	if err := c.kill(i); err != nil {
		return err
	}
	m := c.members[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	at := net.JoinHostPort(loopback, strconv.Itoa(m.port))
	var conf net.ListenConfig
	udp, err := conf.ListenPacket(ctx, "udp4", at)
	if err != nil {
		return fmt.Errorf("silence %s: %w", name(i), err)
	}
	m.hole = append(m.hole, udp)
	tcp, err := conf.Listen(ctx, "tcp4", at)
	if err != nil {
		return fmt.Errorf("silence %s: %w", name(i), err)
	}
	m.hole = append(m.hole, tcp)
	return nil
}

func (c *memberlistCluster) count(i int) int {
	if list := c.members[i].running(); list != nil {
		return list.NumMembers()
	}
	return 0
}

func (c *memberlistCluster) connections(int) int { return 0 }

func (c *memberlistCluster) close() {
	var all sync.WaitGroup
	for i := range c.members {
		all.Go(func() { _ = c.kill(i) }) // the measurements are taken
	}
	all.Wait()
}
