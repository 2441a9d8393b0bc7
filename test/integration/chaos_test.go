package integration

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/nats"
)

var (
	chaosFor  = flag.Duration("chaos", 5*time.Second, "how long TestChaos kills members, projectors and NATS servers")
	chaosSeed = flag.Uint64("chaos-seed", 1, "of what it kills, and when")
)

// Who takes part in TestChaos.
const (
	chaosMembers    = 5
	chaosProjectors = 2
	chaosServers    = 3
	killPauseMax    = 1500 * time.Millisecond // how long who was killed stays away
)

// roleNATS is a NATS server; its argument is its configuration.
const roleNATS = "nats"

func serveNATS(ctx context.Context, conf string) error {
	opts, err := server.ProcessConfigFile(conf)
	if err != nil {
		return err
	}
	opts.NoSigs = true
	ns, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	ns.ConfigureLogger()
	go ns.Start()
	<-ctx.Done()
	ns.Shutdown()
	return nil
}

// I1, I2, I5, I8, I9, I10, I11: members, projectors and NATS servers, each a process, are killed with kill -9 and started again,
// for as long as -chaos says; of three servers one is away at a time. Afterwards what a killed member had on its disk is in the
// log, once; the log holds nothing that does not follow; the projectors have the same views; and a subscriber has seen it all.
func TestChaos(t *testing.T) {
	c := newChaos(t)
	rnd := rand.New(rand.NewPCG(*chaosSeed, 0))
	talk := c.talk(t)
	for deadline := time.Now().Add(*chaosFor); time.Now().Before(deadline) || slices.Min(c.kills[:]) == 0; {
		switch n := rnd.IntN(8); {
		case n < 4:
			c.killMember(rnd.IntN(chaosMembers), pauseOf(rnd))
		case n < 6:
			c.killProjector(rnd.IntN(chaosProjectors), pauseOf(rnd))
		default:
			c.killServer(rnd.IntN(chaosServers), pauseOf(rnd))
		}
	}
	said := talk()
	c.settle()
	r := c.check()
	t.Logf("killed: %d members, %d projectors, %d servers; %d changes of tags; %d events on disks of killed members, %d of them decided "+
		"otherwise; %d events in the log; lost %d, twice %d, illegal %d; %d projectors with one hash; seed %d",
		c.kills[0], c.kills[1], c.kills[2], said, r.accepted, r.otherwise, r.stored, r.lost, r.twice, r.illegal, chaosProjectors, *chaosSeed)
	if r.lost+r.twice+r.illegal > 0 || r.stored == 0 {
		t.Error("the log lost something, has something twice or holds what does not follow")
	}
}

func pauseOf(rnd *rand.Rand) time.Duration { return rand.N(killPauseMax) * time.Duration(rnd.IntN(2)) }

// chaos is everybody who takes part.
type chaos struct {
	*site
	cfg        nats.Config
	servers    [chaosServers]*process
	projectors [chaosProjectors]*process
	apis       [chaosProjectors]string
	watched    *jslog.Log // as a reader
	admin      jetstream.JetStream
	kills      [3]int        // members, projectors, servers
	seen       atomic.Uint64 // how far a subscriber has come who was there from the beginning

	mu      sync.Mutex
	members [chaosMembers]lodger

	onDisk map[string]events.Event // by id: what killed members had not got into the log yet
}

// lodger is a member's process.
type lodger struct {
	*process
	address, api string
}

func newChaos(t *testing.T) *chaos {
	t.Helper()
	c := &chaos{site: &site{t: t, dir: t.TempDir()}, onDisk: make(map[string]events.Event)}
	var ids []string
	for i := range chaosMembers {
		ids = append(ids, memberID(i))
	}
	c.authority("pki", ids...)
	c.cfg = nats.Config{
		Cluster: siteCluster, Members: ids, Readers: []string{"p0", "p1", "watcher"}, Projectors: []string{"p0", "p1"},
		Servers: freeServers(t), Dir: filepath.Join(c.dir, "nats"), Store: filepath.Join(c.dir, "store"),
	}
	if _, err := nats.Generate(c.cfg, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i := range c.servers {
		c.startServer(i)
	}
	succeedSoon(t, "projector", c.as(nats.ProvisionerKey, "provision", "--cluster", siteCluster, "--replicas", "3")...)
	c.connect()
	c.subscribe()
	for i := range c.projectors {
		c.startProjector(i)
	}
	for i := range c.members {
		c.startMember(i)
	}
	return c
}

func memberID(i int) string { return fmt.Sprintf("n%d", i+1) }

// freeServers are addresses of loopback that nobody has.
func freeServers(t *testing.T) []nats.Server {
	t.Helper()
	var ports []int
	for range 2 * chaosServers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	var all []nats.Server
	for pair := range slices.Chunk(ports, 2) {
		all = append(all, nats.Server{Host: "127.0.0.1", Port: pair[0], RoutePort: pair[1]})
	}
	return all
}

// succeedSoon runs a command until it succeeds: servers that start have no leader yet.
func succeedSoon(t *testing.T, program string, args ...string) {
	t.Helper()
	eventually(t, program+" "+args[0], func() error {
		p := launch(t, program+" "+args[0], program, args...)
		if status := p.wait(); status != 0 {
			return fmt.Errorf("exit status %d: %s", status, p.stderr)
		}
		return nil
	})
}

// as are args with those that make a command connect as a user.
func (c *chaos) as(key string, args ...string) []string {
	return append(args, "--nats", c.cfg.URL(), "--nats-ca", filepath.Join(c.cfg.Dir, nats.CAFile), "--nkey", filepath.Join(c.cfg.Dir, key))
}

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

func (c *chaos) startServer(i int) {
	c.t.Helper()
	cmd := exec.Command(os.Args[0], filepath.Join(c.cfg.Dir, nats.ServerFile(i+1)))
	cmd.Env = append(os.Environ(), roleVariable+"="+roleNATS)
	if _, err := cmd.StdinPipe(); err != nil { // held open: its end is the server's
		c.t.Fatal(err)
	}
	c.servers[i] = begin(c.t, fmt.Sprintf("NATS server %d", i+1), cmd)
}

func (c *chaos) startProjector(i int) {
	c.t.Helper()
	id := fmt.Sprintf("p%d", i)
	c.projectors[i] = launch(c.t, id, "projector", c.as(nats.ReaderKey(id), "run", "--cluster", siteCluster, "--replicas", "3",
		"--data", filepath.Join(c.dir, id), "--http", "127.0.0.1:0", "--log-format", "json")...)
	c.apis[i] = "http://" + c.projectors[i].logged("projector is up", "http")
}

func (c *chaos) startMember(i int) {
	c.t.Helper()
	var seeds []string
	for j, m := range c.members {
		if j != i && m.process != nil {
			seeds = append(seeds, m.address)
		}
	}
	id := memberID(i)
	p := launch(c.t, id, "member", c.as(nats.MemberKey(id), c.memberArgs("pki", id, seeds...)...)...)
	m := lodger{process: p, address: p.logged("member is up", "address")}
	m.api = "http://" + p.logged("serving health and metrics", "http")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[i] = m
}

// killMember kills a member and looks at what it leaves on its disk before it comes back.
func (c *chaos) killMember(i int, pause time.Duration) {
	c.t.Helper()
	c.members[i].kill()
	c.kills[0]++
	c.inspect(i)
	linger(pause)
	c.startMember(i)
}

func (c *chaos) killProjector(i int, pause time.Duration) {
	c.t.Helper()
	c.projectors[i].kill()
	c.kills[1]++
	linger(pause)
	c.startProjector(i)
}

// killServer kills a server, and waits until all three have the whole log again: two away at once is another story.
func (c *chaos) killServer(i int, pause time.Duration) {
	c.t.Helper()
	c.servers[i].kill()
	c.kills[2]++
	linger(pause)
	c.startServer(i)
	c.healthy()
}

func linger(pause time.Duration) { <-time.NewTimer(pause).C }

func (c *chaos) healthy() {
	c.t.Helper()
	eventually(c.t, "all servers have the whole log", func() error {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		defer cancel()
		stream, err := c.admin.Stream(ctx, events.StreamName(siteCluster))
		if err != nil {
			return err
		}
		group := stream.CachedInfo().Cluster
		if group == nil || group.Leader == "" || len(group.Replicas) != chaosServers-1 {
			return fmt.Errorf("copies: %+v", group)
		}
		for _, peer := range group.Replicas {
			if !peer.Current || peer.Offline {
				return fmt.Errorf("%s lags", peer.Name)
			}
		}
		return nil
	})
}

// talk has members change their tags until it is told to stop, and then returns how often one said that it has.
func (c *chaos) talk(t *testing.T) (stop func() int) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		said := 0
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			c.mu.Lock()
			api := c.members[i%chaosMembers].api
			c.mu.Unlock()
			body := fmt.Sprintf(`{"set":{"count":"%d"}}`, i)
			if err := postJSON(ctx, api+"/v1/tags", strings.NewReader(body)); err == nil {
				said++
			}
			<-tick.C
		}
		done <- said
	}()
	return func() int { cancel(); return <-done }
}
