package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"rollcall"
	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/certs"
	"rollcall/infra/natsd"
)

// The processes of BenchmarkEndToEnd besides its own are this program again, told by its environment what to be.
const (
	roleVariable = "ROLLCALL_TEST_ROLE"
	roleServer   = "server"     // arguments: directory, sync interval
	roleReader   = "subscriber" // argument: URL of the server
)

const latencyCluster = "latency"

// BenchmarkEndToEnd measures, without a crash, how long it takes from a transition in a member's core until the handler of a
// subscriber in another process has the event: the member's recording and its outbox, flushed to disk, the append with
// expectation over TCP, the server, a third process, which flushes its file before it acknowledges or as NATS does by
// default, and the delivery. One transition at a time, b.N in all, each a change of tags. Both ends read the wall clock, which
// is one for the processes of a machine: a step of that clock during the run would show.
func BenchmarkEndToEnd(b *testing.B) {
	b.Run("sync default", func(b *testing.B) { endToEnd(b, 2*time.Minute) })
	b.Run("sync always", func(b *testing.B) { endToEnd(b, 0) })
}

func endToEnd(b *testing.B, interval time.Duration) {
	ctx, cancel := context.WithTimeout(b.Context(), patience+time.Duration(b.N)*time.Second)
	defer cancel()
	url := spawn(b, roleServer, b.TempDir(), interval.String())()
	log, err := jslog.Connect(ctx, jslog.Config{URL: url, Cluster: latencyCluster, Provision: true})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	ca, err := certs.NewCA(latencyCluster, time.Now(), time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	identity, err := ca.Identity("n1", time.Now(), 30*time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	heard := spawn(b, roleReader, url)
	member, err := rollcall.Join(ctx, rollcall.Options{
		Cluster: latencyCluster, ID: "n1", Bind: netip.MustParseAddrPort("127.0.0.1:0"), Credentials: identity,
		Log: log, Dir: b.TempDir(),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer member.Close()
	heard() // that it joined
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	for i := range took {
		if err := member.SetTags(ctx, map[string]string{"turn": strconv.Itoa(i)}); err != nil {
			b.Fatal(err)
		}
		line := heard()
		if took[i], err = time.ParseDuration(line); err != nil {
			b.Fatalf("the subscriber says %q: %v", line, err)
		}
	}
	b.StopTimer()
	slices.Sort(took)
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(took[(len(took)-1)*percent/100])/1e6, fmt.Sprintf("p%d-ms", percent))
	}
	b.ReportMetric(0, "ns/op")
}

// spawn starts this program in a role until the benchmark ends, and returns what reads the next line it says.
func spawn(b *testing.B, role string, args ...string) (line func() string) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // its end tells the process to end
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("%s: %v", role, err)
		}
	})
	lines := bufio.NewScanner(stdout)
	return func() string {
		if !lines.Scan() {
			b.Fatalf("%s says nothing more: %v", role, lines.Err())
		}
		return lines.Text()
	}
}

// play is the process in a role. It ends when its standard input does.
func play(role string, args []string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	switch {
	case role == roleServer && len(args) == 2:
		return serveLog(ctx, args[0], args[1])
	case role == roleReader && len(args) == 1:
		return tellLatency(ctx, args[0])
	case role == roleNATS && len(args) == 1:
		return serveNATS(ctx, args[0])
	default:
		return fmt.Errorf("no role %q with arguments %q", role, args)
	}
}

func serveLog(ctx context.Context, dir, interval string) error {
	every, err := time.ParseDuration(interval)
	if err != nil {
		return err
	}
	srv, err := natsd.Start(ctx, natsd.Config{Dir: dir, Listen: "127.0.0.1:0", SyncInterval: every})
	if err != nil {
		return err
	}
	defer srv.Shutdown()
	fmt.Println(srv.URL())
	<-ctx.Done()
	return nil
}

// tellLatency says of every event how long ago its author observed it.
func tellLatency(ctx context.Context, url string) error {
	log, err := jslog.Connect(ctx, jslog.Config{URL: url, Cluster: latencyCluster})
	if err != nil {
		return err
	}
	defer log.Close()
	for rec, err := range log.Subscribe(ctx, events.Filter{}, events.From{}) {
		now := time.Now()
		if err != nil {
			return err
		}
		fmt.Println(now.Sub(rec.Time))
	}
	return nil
}
