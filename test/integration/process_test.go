package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/infra/loopback"
)

// process is a program that was started, with what it says on its standard streams.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdout *transcript
	stderr *transcript
	ended  chan struct{} // closed when it has; status holds from then on
	status int           // exit status, -1 when a signal ended it
}

// launch starts a program of ours. It is killed when the test ends, if it runs still.
func launch(t *testing.T, name, program string, args ...string) *process {
	t.Helper()
	return begin(t, name, ours(program, args...))
}

// ours is the command that starts a program of ours.
func ours(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(binaries, program), args...)
	cmd.Env = environment()
	return cmd
}

// environment is ours without the settings of whoever runs the tests, which are not those of the programs.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ROLLCALL_") })
}

// begin starts cmd as launch does.
func begin(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{
		t: t, name: name, cmd: cmd,
		stdout: newTranscript(t, name+", standard output"), stderr: newTranscript(t, name+", standard error"),
	}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	return p.begin()
}

// begin starts the command as it is.
func (p *process) begin() *process {
	t := p.t
	t.Helper()
	p.ended = make(chan struct{})
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state says it all
		p.status = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9: nothing is said to anybody.
func (p *process) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("kill %s: %v", p.name, err)
	}
	<-p.ended
}

// terminate asks the process to end, and returns its exit status.
func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	return p.wait()
}

// wait returns the exit status.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.status
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended after %v", p.name, patience)
		return 0
	}
}

// logged waits for a line of the log, in JSON on standard error, and returns its value of key. A line that is there
// already counts.
func (p *process) logged(message, key string) string {
	p.t.Helper()
	var value string
	eventually(p.t, fmt.Sprintf("%s logs %q", p.name, message), func() error {
		for line := range strings.Lines(p.stderr.String()) {
			var entry map[string]any
			if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == message {
				value = fmt.Sprint(entry[key])
				return nil
			}
		}
		select {
		case <-p.ended:
			p.t.Fatalf("%s ended with status %d before it logged %q", p.name, p.status, message)
		default:
		}
		return errors.New("it has not")
	})
	return value
}

// succeed runs a command to its end and returns what it printed.
func succeed(t *testing.T, program string, args ...string) string {
	t.Helper()
	p := launch(t, program+" "+args[0], program, args...)
	if status := p.wait(); status != 0 {
		t.Fatalf("%s %v: exit status %d: %s", program, args, status, p.stderr)
	}
	return p.stdout.String()
}

// site is where the processes of one test live.
type site struct {
	t          *testing.T
	dir        string
	nats, http string // host:port of the projector
	projector  *process
}

const siteCluster = "site"

// newSite makes an authority with a certificate for each id, by the commands that people use, and starts the projector.
func newSite(t *testing.T, ids ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), nats: loopback.Addr(t), http: loopback.Addr(t)}
	s.authority("pki", ids...)
	s.startProjector()
	return s
}

func (s *site) authority(dir string, ids ...string) {
	s.t.Helper()
	succeed(s.t, "member", "ca", "init", "--dir", filepath.Join(s.dir, dir), "--cluster", siteCluster)
	for _, id := range ids {
		succeed(s.t, "member", "ca", "issue", "--dir", filepath.Join(s.dir, dir), "--cluster", siteCluster, "--id", id)
	}
}

// startProjector starts it with an embedded NATS server.
func (s *site) startProjector() {
	s.t.Helper()
	s.projector = launch(s.t, "projector", "projector", "run", "--cluster", siteCluster, "--data", filepath.Join(s.dir, "projector"),
		"--nats-listen", s.nats, "--http", s.http, "--log-format", "json")
	s.projector.logged("projector is up", "http")
}

func (s *site) api() string { return "http://" + s.http }

// memberArgs are the arguments of a member with a certificate of the authority in pki and a data directory of its own.
func (s *site) memberArgs(pki, id string, join ...string) []string {
	args := []string{
		"run", "--cluster", siteCluster, "--id", id, "--bind", "127.0.0.1:0", "--nats", "nats://" + s.nats,
		"--cert", filepath.Join(s.dir, pki, id+".pem"), "--key", filepath.Join(s.dir, pki, id+"-key.pem"),
		"--ca", filepath.Join(s.dir, pki, "ca.pem"), "--data", filepath.Join(s.dir, "data", pki, id),
		"--tag", "role=web", "--http", "127.0.0.1:0", "--log-format", "json",
	}
	if len(join) > 0 {
		args = append(args, "--join", strings.Join(join, ","))
	}
	return args
}

// startMember returns the running member and its address.
func (s *site) startMember(id string, join ...string) (*process, string) {
	s.t.Helper()
	p := launch(s.t, id, "member", s.memberArgs("pki", id, join...)...)
	return p, p.logged("member is up", "address")
}

// states is what the projector says of every node: its state, with the incarnation.
func (s *site) states() (map[string]nodeView, error) {
	nodes, err := listNodes(s.api())
	if err != nil {
		return nil, err
	}
	byID := make(map[string]nodeView)
	for _, n := range nodes {
		byID[n.ID] = n
	}
	return byID, nil
}

// await waits until the projector has id in state, at incarnation least or above.
func (s *site) await(id, state string, least uint64) nodeView {
	s.t.Helper()
	var node nodeView
	eventually(s.t, fmt.Sprintf("/v1/nodes says that %s is %s", id, state), func() error {
		states, err := s.states()
		if err != nil {
			return err
		}
		if node = states[id]; node.State != state || node.Incarnation < least {
			return fmt.Errorf("it says %+v", states)
		}
		return nil
	})
	return node
}

// said counts the events of kind about id in the log, as the API shows it; of every kind when it is empty.
func (s *site) said(id, kind string) int {
	s.t.Helper()
	return len(s.incarnations(id, kind))
}

// incarnations are those of the events that said counts.
func (s *site) incarnations(id, kind string) (all []uint64) {
	s.t.Helper()
	var answer struct {
		Events []struct {
			Event struct{ Data struct{ Incarnation uint64 } }
		}
	}
	query := url.Values{"node": {id}, "from": {"1"}, "limit": {"1000"}}
	if kind != "" {
		query.Set("kind", kind)
	}
	if err := get(s.api()+"/v1/events?"+query.Encode(), &answer); err != nil {
		s.t.Fatal(err)
	}
	for _, e := range answer.Events {
		all = append(all, e.Event.Data.Incarnation)
	}
	return all
}
