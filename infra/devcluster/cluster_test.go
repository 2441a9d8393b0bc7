package devcluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/infra/devcluster"
	"rollcall/infra/loopback"
	"rollcall/projections"
	"rollcall/projections/httpapi"
	"rollcall/swim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait: only what never comes reaches it.
const patience = time.Minute

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, nodes int, dir string) *devcluster.Cluster {
	t.Helper()
	c, err := devcluster.Start(bounded(t), devcluster.Config{Nodes: nodes, Dir: dir, NATSListen: loopback.Addr(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func eventually(t *testing.T, what string, hold func() error) {
	t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		err := hold()
		if err == nil {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s: not after %v: %v", what, patience, err)
		}
	}
}

// roll is what the projector says of every node, in a line.
func roll(c *devcluster.Cluster) string {
	var nodes []string
	c.Projector().View(func(v *projections.Views) {
		for _, n := range v.Registry.Nodes() {
			nodes = append(nodes, fmt.Sprintf("%s %v %d", n.ID, n.State, n.Incarnation))
		}
	})
	return strings.Join(nodes, ", ")
}

func TestStartRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	for name, cfg := range map[string]devcluster.Config{
		"no nodes":         {Dir: t.TempDir()},
		"too many":         {Nodes: devcluster.NodesMax + 1, Dir: t.TempDir()},
		"a bad name":       {Nodes: 1, Dir: t.TempDir(), Cluster: "a.b"},
		"not on loopback":  {Nodes: 1, Dir: t.TempDir(), NATSListen: "0.0.0.0:0"},
		"no directory":     {Nodes: 1},
		"a bad protocol":   {Nodes: 1, Dir: t.TempDir(), Protocol: swim.Config{Rings: -1}},
		"under a bad path": {Nodes: 1, Dir: filepath.Join(file, "\x00")},
	} {
		if c, err := devcluster.Start(bounded(t), cfg); err == nil || c != nil {
			t.Errorf("%s: started", name)
			c.Close()
		}
	}
}

// Each button does what it says, and refuses what cannot be done now.
func TestActions(t *testing.T) {
	t.Parallel()
	c := start(t, 3, t.TempDir())
	ctx := bounded(t)
	agreeAlive(t, c)
	type step struct {
		action string
		want   error
	}
	for _, s := range []step{
		{"resume", httpapi.ErrWrongState},
		{"pause", nil}, {"pause", httpapi.ErrWrongState}, {"resume", nil}, {"resume", httpapi.ErrWrongState},
		{"crash", nil}, {"crash", httpapi.ErrWrongState}, {"pause", httpapi.ErrWrongState}, {"leave", httpapi.ErrWrongState},
		{"restart", nil}, {"restart", nil}, // of one that runs, too
		{"pause", nil}, {"leave", nil}, {"leave", httpapi.ErrWrongState}, // a paused member goes on in order to leave
	} {
		if err := c.Do(ctx, "n3", s.action); !errors.Is(err, s.want) {
			t.Errorf("%s: %v, want %v", s.action, err, s.want)
		}
		if s.action == "restart" {
			<-c.Member("n3").Joined() // before that it is nobody's to speak of
		}
	}
	if err := c.Do(ctx, "n4", "crash"); !errors.Is(err, httpapi.ErrUnknownNode) {
		t.Errorf("of a node that is none: %v", err)
	}
	if err := c.Do(ctx, "n1", "explode"); err == nil || errors.Is(err, httpapi.ErrWrongState) {
		t.Errorf("an action that is none: %v", err)
	}
	if err := c.Partition(ctx, [][]string{{"n1", "n4"}}); !errors.Is(err, httpapi.ErrUnknownNode) {
		t.Errorf("a partition with a node that is none: %v", err)
	}
	eventually(t, "n3 is left", func() error {
		if got := roll(c); !strings.Contains(got, "n3 left") {
			return errors.New(got)
		}
		return nil
	})
	if c.Member("n3") != nil || c.Member("n4") != nil || c.Member("n1") == nil {
		t.Error("members that are gone, or never were, have no life; n1 has one")
	}
}

// Whose port somebody else has taken by the time it comes back is back all the same.
func TestRestartWithoutItsPort(t *testing.T) {
	t.Parallel()
	c := start(t, 2, t.TempDir())
	agreeAlive(t, c)
	was := c.Member("n2").Addr()
	if err := c.Do(bounded(t), "n2", "crash"); err != nil {
		t.Fatal(err)
	}
	if other, err := net.ListenPacket("udp", was.String()); err == nil { // else somebody has taken it indeed
		defer other.Close()
	}
	if err := c.Do(bounded(t), "n2", "restart"); err != nil {
		t.Fatal(err)
	}
	<-c.Member("n2").Joined()
	if is := c.Member("n2").Addr(); is == was {
		t.Errorf("it is at %v still", is)
	}
	agreeAlive(t, c)
}

// What leaves, stays away: no action brings a member back once the cluster leaves or is closed.
func TestActionsEndWithTheCluster(t *testing.T) {
	t.Parallel()
	c := start(t, 2, t.TempDir())
	refused := func(when string) {
		t.Helper()
		for _, action := range httpapi.DevActions() {
			if err := c.Do(bounded(t), "n2", action); !errors.Is(err, httpapi.ErrWrongState) {
				t.Errorf("%s %s: %v, want %v", action, when, err, httpapi.ErrWrongState)
			}
		}
		if c.Member("n2") != nil {
			t.Errorf("n2 lives %s", when)
		}
	}
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() { // all the while, as somebody at the page would
		for {
			select {
			case <-stop:
				return
			default:
				if err := c.Do(bounded(t), "n2", "restart"); errors.Is(err, httpapi.ErrWrongState) {
					return
				}
			}
		}
	})
	if err := c.Leave(bounded(t)); err != nil {
		t.Error(err)
	}
	close(stop)
	asking.Wait()
	refused("after Leave")
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	refused("after Close")
}

// A member that is cut off from the others and from the log is failed by them, and everybody agrees again once the network is
// whole and the log is back (I14).
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	c := start(t, 5, t.TempDir())
	agreeAlive(t, c)
	c.StopNATS()
	if err := c.Partition(bounded(t), [][]string{{"n5"}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"n1", "n2", "n3", "n4"} {
		eventually(t, id+" holds n5 failed", func() error { return holds(c, id, "n5", swim.Failed) })
	}
	if err := c.Partition(bounded(t), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.StartNATS(bounded(t)); err != nil {
		t.Fatal(err)
	}
	agreeAlive(t, c)
}

// A log that reaches both sides of a partition carries the accusations across, and the refutations back: whoever answers
// there is not failed for long, and everybody agrees in the end (I14).
func TestPartitionThatTheLogSpans(t *testing.T) {
	t.Parallel()
	c := start(t, 5, t.TempDir())
	agreeAlive(t, c)
	if err := c.Partition(bounded(t), [][]string{{"n4", "n5"}}); err != nil {
		t.Fatal(err)
	}
	before := make(map[string]uint64)
	for _, id := range c.NodeIDs() {
		before[id] = node(c, id).Incarnation
	}
	eventually(t, "somebody answers an accusation from the other side", func() error {
		for _, id := range c.NodeIDs() {
			if node(c, id).Incarnation > before[id] {
				return nil
			}
		}
		return errors.New(roll(c))
	})
	if err := c.Partition(bounded(t), nil); err != nil {
		t.Fatal(err)
	}
	agreeAlive(t, c)
}

func holds(c *devcluster.Cluster, observer, id string, state swim.State) error {
	if m, _ := c.Member(observer).Registry().Get(swim.ID(id)); m.State != state {
		return fmt.Errorf("it holds it %v", m.State)
	}
	return nil
}

// node is what the projector says of one.
func node(c *devcluster.Cluster, id string) (n projections.Node) {
	c.Projector().View(func(v *projections.Views) {
		if found, ok := v.Registry.Node(id); ok {
			n = *found
		}
	})
	return n
}

// agreeAlive waits until every view holds every member alive, all at the incarnation that the member claims.
func agreeAlive(t *testing.T, c *devcluster.Cluster) {
	t.Helper()
	eventually(t, "everybody is alive to everybody", func() error {
		for _, id := range c.NodeIDs() {
			claims := c.Member(id).Status().Self.Incarnation
			for _, observer := range c.NodeIDs() {
				m, _ := c.Member(observer).Registry().Get(swim.ID(id))
				if m.State != swim.Alive || m.Incarnation != claims {
					return fmt.Errorf("%s is at %d; to %s it is %v at %d", id, claims, observer, m.State, m.Incarnation)
				}
			}
			if n := node(c, id); n.State != events.StateAlive || n.Incarnation != claims {
				return fmt.Errorf("%s is at %d; to the log it is %v at %d", id, claims, n.State, n.Incarnation)
			}
		}
		return nil
	})
}

// The server comes back on its port with what it had, and stopping or starting it twice is once.
func TestNATSStopsAndStarts(t *testing.T) {
	t.Parallel()
	c := start(t, 1, t.TempDir())
	url := c.NATS()
	for range 2 {
		c.StopNATS()
		c.StopNATS()
		if got := c.NATS(); got != "" {
			t.Errorf("stopped, and the URL is %q", got)
		}
		for range 2 {
			if err := c.StartNATS(bounded(t)); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.NATS(); got != url {
			t.Errorf("it was at %s and is at %s", url, got)
		}
	}
	eventually(t, "the log is whole", func() error {
		if info, err := c.Log().Info(bounded(t)); err != nil || info.First != 1 || info.Last != 1 {
			return fmt.Errorf("%+v, %v", info, err)
		}
		return nil
	})
}

// A second start on the directory goes on where the first ended: same log, higher incarnations (I6, I9).
func TestStartsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, 3, dir)
	if err := c.Leave(bounded(t)); err != nil {
		t.Fatal(err)
	}
	lives := make(map[string]uint64)
	for _, id := range c.NodeIDs() {
		n := node(c, id)
		if lives[id] = n.Incarnation; n.State != events.StateLeft {
			t.Errorf("everybody has left, and the log has %s", roll(c))
		}
	}
	before, err := c.Log().Info(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c = start(t, 3, dir)
	agreeAlive(t, c)
	for id, before := range lives {
		if n := node(c, id); n.Incarnation <= before {
			t.Errorf("%s left at incarnation %d and is back at %d", id, before, n.Incarnation)
		}
	}
	after, err := c.Log().Info(bounded(t))
	if err != nil || after.Identity != before.Identity || after.First != 1 {
		t.Errorf("the log was %+v and is %+v, %v", before, after, err)
	}
	check := events.NewRoll("default")
	for rec, err := range c.Log().Subscribe(bounded(t), events.Filter{}, events.From{}) {
		if err != nil {
			t.Fatal(err)
		}
		if out := check.Apply(rec); out.Result == events.Refused {
			t.Errorf("position %d: refused: %s (I5)", rec.Position, out.Reason)
		}
		if rec.Position == after.Last {
			break
		}
	}
}
