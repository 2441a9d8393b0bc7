package quicnet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/infra/certs"
	"rollcall/swim"
	"rollcall/swim/agent"
)

// This binary runs as a member when the variable names a directory with its certificate and the address of a seed.
const (
	processVariable = "QUICNET_TEST_PROCESS"
	processID       = "d"
	clusterName     = "test"
)

const (
	period = time.Minute           // of probes; so long that none comes into what these tests measure
	acked  = 10 * time.Second      // for an answer; so long that even a busy machine gives one
	pause  = 20 * time.Millisecond // before a tether
)

// runMember starts an agent over QUIC.
func runMember(credentials Credentials, id string) (*agent.Agent, *Transport, error) {
	transport, err := Listen(Config{
		Cluster: clusterName, ID: swim.ID(id), Bind: anyPort, Credentials: credentials,
		tetherPause: pause, handshakeLimit: patience, Limits: Limits{Exchange: patience},
	})
	if err != nil {
		return nil, nil, err
	}
	a, err := agent.Start(agent.Config{
		Node: swim.Config{
			ID: swim.ID(id), Addr: transport.LocalAddr(), ProtocolPeriod: period, RetryInterval: period, HealthInterval: period,
			PartitionGrace: period, AckTimeout: acked, AckTimeoutMin: swim.SuspicionMinDefault, IndirectTimeout: acked,
		},
		Transport: transport,
	})
	if err != nil {
		transport.Kill()
	}
	return a, transport, err
}

// beProcess is a member's life as a process of its own: until it is killed, or its parent is gone.
func beProcess(dir string) {
	path := func(name string) string { return filepath.Join(dir, name) }
	run := func() error {
		seed, err := os.ReadFile(path("seed"))
		if err != nil {
			return err
		}
		identity, err := certs.Load(path(processID+".pem"), path(processID+"-key.pem"), path("ca.pem"))
		if err != nil {
			return err
		}
		a, _, err := runMember(identity, processID)
		if err != nil {
			return err
		}
		_, err = a.Join(context.Background(), []netip.AddrPort{netip.MustParseAddrPort(string(seed))})
		return err
	}
	if err := run(); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("joined")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startProcess runs a member as a process that joins through seed.
func startProcess(t *testing.T, dir string, seed netip.AddrPort) *exec.Cmd {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "seed"), []byte(seed.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := certs.IssueFiles(dir, clusterName, processID, time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), processVariable+"="+dir)
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "joined" {
		t.Fatalf("the process says %q, %v", line, err)
	}
	return process
}

// threeMembers run in this process, joined through the first, under the CA in dir.
func threeMembers(t *testing.T, dir string) (agents []*agent.Agent, transports []*Transport) {
	t.Helper()
	if err := certs.InitCA(dir, clusterName, time.Now(), 0); err != nil {
		t.Fatal(err)
	}
	ca, err := certs.OpenCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, ca: ca}
	for _, id := range []string{"a", "b", "c"} {
		a, transport, err := runMember(c.identity(id, 0), id)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
		agents, transports = append(agents, a), append(transports, transport)
		if _, err := a.Join(t.Context(), []netip.AddrPort{transports[0].LocalAddr()}); err != nil {
			t.Fatal(err)
		}
	}
	return agents, transports
}

// standing is how many tethers of the members stand, each at both ends.
func standing(transports []*Transport) (ends int) {
	for _, transport := range transports {
		ends += transport.Stats().Tethers
	}
	return ends
}

// quiet waits until nothing has been sent for twice as long as gossip pauses.
func quiet(t *testing.T, transports []*Transport) {
	t.Helper()
	sent, since := uint64(0), time.Now()
	eventually(t, "nothing is sent any more", func() bool {
		now := uint64(0)
		for _, transport := range transports {
			now += transport.Stats().Sent
		}
		if now != sent {
			sent, since = now, time.Now()
		}
		return time.Since(since) > 2*swim.GossipIntervalDefault
	})
}

// TestKilledProcessIsSuspectedAtOnce: kill -9 of a real process, and no packet is on its way to it. It is suspected long
// before anything of it would be missed, and failed no sooner than its suspicion is old enough and a quorum of distinct
// members has accused it (I8).
func TestKilledProcessIsSuspectedAtOnce(t *testing.T) {
	dir := t.TempDir()
	agents, transports := threeMembers(t, dir)
	process := startProcess(t, dir, transports[0].LocalAddr())
	eventually(t, "everybody knows everybody, and holds on to somebody", func() bool {
		for _, a := range agents {
			if a.Registry().Count() != 4 {
				return false
			}
		}
		return standing(transports) == 2*4-2 // the process has the other two ends
	})
	quiet(t, transports)
	var subs []*agent.Subscription
	for _, a := range agents {
		subs = append(subs, a.Subscribe(64))
	}
	killed := time.Now()
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	first, firstVerdict := killed.Add(time.Hour), killed.Add(time.Hour) // by anybody
	verdicts := 0
	for i, sub := range subs {
		for n := range sub.C {
			t.Logf("%s after %v: %v %s, %+v", agents[i].Status().Self.ID, n.At.Sub(killed), n.Kind, n.Subject, n.Evidence)
			switch {
			case n.Subject != processID:
				t.Fatalf("%v of %s, who is well", n.Kind, n.Subject)
			case n.Kind == swim.TransitionSuspected:
				if n.At.Before(first) {
					first = n.At
				}
			case n.Kind == swim.TransitionFailed:
				if n.At.Before(firstVerdict) {
					firstVerdict = n.At
				}
				if n.Own {
					verdicts++
					if by := accusers(n.Evidence); len(by) < 3 {
						t.Errorf("failed by the word of %v, want three", by)
					}
				}
				sub.Close() // ends the loop
			}
		}
	}
	if verdicts == 0 {
		t.Error("failed by nobody's own verdict")
	}
	// Whoever is told of the verdict of another may have suspected later than that one: only the first of each compare.
	if firstVerdict.Sub(first) < swim.SuspicionMinDefault {
		t.Errorf("failed after %v, suspected after %v", firstVerdict.Sub(killed), first.Sub(killed))
	}
	if took := first.Sub(killed); took > soon {
		t.Errorf("suspected after %v", took)
	}
}

// accusers are those that a verdict stands on, each once.
func accusers(e swim.Evidence) (ids []swim.ID) {
	for _, a := range e.Accusers {
		if !a.Implicit && !slices.Contains(ids, a.ID) {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// TestTetherOfALiveMemberIsNoAccusation: whoever forges a reset brings a probe forward, and that is all (I13).
func TestTetherOfALiveMemberIsNoAccusation(t *testing.T) {
	agents, transports := threeMembers(t, t.TempDir())
	eventually(t, "everybody holds on to somebody", func() bool { return standing(transports) == 2*3 })
	probes := func() (n uint64) {
		for _, a := range agents {
			n += a.Status().Counters.Probes
		}
		return n
	}
	cuts := func() (n uint64) {
		for _, transport := range transports {
			n += transport.Stats().TethersCut
		}
		return n
	}
	before := probes()
	for _, transport := range transports {
		(&member{Transport: transport}).cutTethers()
	}
	// One who was told of a peer a moment ago, by a farewell that came too late, need not look again.
	eventually(t, "both ends of each are told, and some probe", func() bool { return cuts() >= 2*3 && probes() > before })
	eventually(t, "everybody holds on again", func() bool { return standing(transports) == 2*3 })
	for _, a := range agents {
		if s := a.Status(); s.Counters.Accusations != 0 || s.Live != 3 {
			t.Errorf("%s: %+v", s.Self.ID, s)
		}
	}
}
