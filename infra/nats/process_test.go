package nats_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/infra/nats"
)

// serverConf is the variable that makes this binary a NATS server, with the configuration in the file it names.
const serverConf = "NATS_SERVER_CONF"

// serve runs a server until standard input ends, which it does with the process that started this one.
func serve(conf string) int {
	opts, err := server.ProcessConfigFile(conf)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	opts.NoSigs = true
	ns, err := server.NewServer(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ns.ConfigureLogger()
	go ns.Start()
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return 1
	}
	ns.Shutdown()
	return 0
}

// process is one server of a cluster, which can be killed and started again.
type process struct {
	conf string
	cmd  *exec.Cmd
	end  io.Closer // of its standard input
	log  string    // what it says
}

// processes generates a configuration for three servers and runs them as processes until the test ends.
func processes(t *testing.T, members ...string) (*servers, []*process) {
	t.Helper()
	s := &servers{all: make([]*server.Server, 3), cfg: nats.Config{
		Cluster: cluster, Members: members, Readers: []string{"projector"}, Dir: t.TempDir(), Store: t.TempDir(), Servers: freePorts(t, 3),
	}}
	if _, err := nats.Generate(s.cfg, time.Now()); err != nil {
		t.Fatal(err)
	}
	var all []*process
	for i := range s.cfg.Servers {
		p := &process{conf: s.file(nats.ServerFile(i + 1)), log: filepath.Join(s.cfg.Dir, fmt.Sprintf("server-%d.log", i+1))}
		p.start(t)
		t.Cleanup(p.kill)
		all = append(all, p)
	}
	return s, all
}

func (p *process) start(t *testing.T) {
	t.Helper()
	said, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), serverConf+"="+p.conf)
	p.cmd.Stdout, p.cmd.Stderr = said, said
	if p.end, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process as a crash would: it is told nothing, and flushes nothing.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when it is gone already
	_ = p.cmd.Wait()         // says only that it was killed
	_ = p.end.Close()
}
