package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rollcall/events"
	"rollcall/events/jslog"
)

// What a full disk refused is said when there is room again, without a restart: a member that answered an accusation meanwhile does
// not stay suspect in the log for good (I11, I14). Its tags cannot be changed as long as nobody could keep that.
func TestDiskFullForAWhile(t *testing.T) {
	t.Parallel()
	s := newSite(t, "n1")
	n1, _ := s.startMember("n1")
	api := "http://" + n1.logged("serving health and metrics", "http")
	s.await("n1", "alive", 1)
	log, err := jslog.Connect(t.Context(), jslog.Config{URL: "nats://" + s.nats, Cluster: siteCluster, Name: "n2"})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	say := func(kind events.Kind, node, address string) {
		t.Helper()
		var expect uint64
		if last, err := log.Last(t.Context(), node); err == nil {
			expect = last.Position
		}
		if _, err := log.Append(t.Context(), events.Event{
			ID: events.NewID(), Kind: kind, Cluster: siteCluster, Node: node, Author: "n2", Time: time.Now(), Incarnation: 1, Address: address,
		}, expect); err != nil {
			t.Fatal(err)
		}
	}
	say(events.Joined, "n2", "127.0.0.1:9")

	filesUpTo(t, n1.cmd.Process.Pid, 4096)
	say(events.Suspected, "n1", "")
	eventually(t, "its answer is refused", func() error {
		if status, answer := readiness(t, api); status != http.StatusServiceUnavailable || !strings.Contains(answer, "takes no more events") {
			return fmt.Errorf("status %d: %s", status, answer)
		}
		return nil
	})
	if status := setTags(t, api, `{"tags":{"a":"b"}}`); status != http.StatusServiceUnavailable {
		t.Errorf("tags that nobody can keep: status %d", status)
	}
	s.await("n1", "suspect", 1)
	filesUpTo(t, n1.cmd.Process.Pid, unix.RLIM_INFINITY)
	s.await("n1", "alive", 2)
	if n := s.said("n1", "tagged"); n != 0 {
		t.Errorf("%d changes of tags in the log; they were refused", n)
	}
	eventually(t, "tags can be changed again", func() error {
		if status := setTags(t, api, `{"tags":{"a":"b"}}`); status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	succeed(t, "projector", "verify", "--cluster", siteCluster, "--nats", "nats://"+s.nats)
}

// filesUpTo bounds the size of what a process writes to a file, in bytes.
func filesUpTo(t *testing.T, pid int, size uint64) {
	t.Helper()
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY}, nil); err != nil {
		t.Fatal(err)
	}
}
