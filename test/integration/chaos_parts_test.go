package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/infra/nats"
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

// The kinds of parts.
const (
	aMember = iota
	aProjector
	aServer
	partKinds
)

// part is one of those who are killed and come back. Its lives are processes that speak into the same transcripts.
type part struct {
	kind           int
	name           string
	api            string // of members and projectors: where it is asked
	command        func() *exec.Cmd
	stdout, stderr *transcript
	process        *process // nil while it is away
}

// add makes a part, which has no life yet.
func (c *chaos) add(kind int, name, api string, command func() *exec.Cmd) *part {
	p := &part{
		kind: kind, name: name, api: api, command: command,
		stdout: newTranscript(c.t, name+", standard output"), stderr: newTranscript(c.t, name+", standard error"),
	}
	c.parts[kind] = append(c.parts[kind], p)
	return p
}

// start gives a part a life. It does not wait until there is something to see of it.
func (c *chaos) start(p *part) {
	c.t.Helper()
	cmd := p.command()
	cmd.Stdout = p.stdout
	if cmd.Stderr == nil {
		cmd.Stderr = p.stderr
	}
	p.process = (&process{t: c.t, name: p.name, cmd: cmd, stdout: p.stdout, stderr: p.stderr}).begin()
}

// startServers writes what members, readers and servers need, and starts the servers.
func (c *chaos) startServers(ids []string, take func() int) {
	c.t.Helper()
	c.cfg = nats.Config{
		Cluster: siteCluster, Members: ids, Readers: []string{"p1", "p2", "watcher"}, Projectors: []string{"p1", "p2"},
		Dir: filepath.Join(c.dir, "nats"), Store: filepath.Join(c.dir, "store"),
	}
	for range chaosServers {
		c.cfg.Servers = append(c.cfg.Servers, nats.Server{Host: "127.0.0.1", Port: take(), RoutePort: take()})
	}
	if _, err := nats.Generate(c.cfg, time.Now()); err != nil {
		c.t.Fatal(err)
	}
	for i := range chaosServers {
		p := c.add(aServer, fmt.Sprintf("NATS server %d", i+1), "", nil)
		p.command = func() *exec.Cmd {
			cmd := exec.Command(os.Args[0], filepath.Join(c.cfg.Dir, nats.ServerFile(i+1)))
			cmd.Env = append(os.Environ(), roleVariable+"="+roleNATS)
			cmd.Stderr = &lines{take: func(line []byte) {
				_, _ = p.stderr.Write(append(line, '\n'))
				if damage.Match(line) {
					c.t.Errorf("%s: %s", p.name, line)
				}
			}}
			if _, err := cmd.StdinPipe(); err != nil { // held open: its end is the server's
				c.t.Fatal(err)
			}
			return cmd
		}
		c.start(p)
	}
}

// damage is what a server says when it cannot read or write what it holds. It takes everything from the others then, which
// is lost if more of them do the same.
var damage = regexp.MustCompile(`Error recreating stream|critical write error`)

func (c *chaos) startProjector(id string, port int) {
	c.t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	args := c.as(nats.ReaderKey(id), "run", "--cluster", siteCluster, "--replicas", "3", "--data", filepath.Join(c.dir, id),
		"--http", address, "--log-format", "json")
	c.start(c.add(aProjector, id, "http://"+address, func() *exec.Cmd { return ours("projector", args...) }))
}

// startMember starts a member that tells in its own log what its outbox accepts, which goes into the account.
func (c *chaos) startMember(id, bind string, seeds []string, port int) {
	c.t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	args := c.as(nats.MemberKey(id), c.memberArgs("pki", id, seeds...)...)
	args = append(args, "--bind", bind, "--http", address, "--log-level", "debug") // the last one given holds
	p := c.add(aMember, id, "http://"+address, nil)
	p.command = func() *exec.Cmd {
		cmd := ours("member", args...)
		cmd.Stderr = &lines{take: (&clerk{member: id, account: c.account, others: p.stderr}).read}
		return cmd
	}
	c.start(p)
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
