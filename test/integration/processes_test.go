package integration

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/event"
)

// Three members and a projector, each a process: one member is killed and comes back, then the projector is, and with it the
// log; in the end everybody leaves.
func TestProcesses(t *testing.T) {
	t.Parallel()
	s := newSite(t, "n1", "n2", "n3")
	n1, addr1 := s.startMember("n1")
	n2, addr2 := s.startMember("n2", addr1)
	n3, _ := s.startMember("n3", addr1, addr2)
	for _, id := range []string{"n1", "n2", "n3"} {
		s.await(id, "alive", 1)
	}

	// kill -9 of a member: its peers notice, and only of it (I12, I13).
	n3.kill()
	failed := s.await("n3", "failed", 1)
	for _, kind := range []string{"suspected", "failed"} { // on a busy machine it may have been suspected before, and have refuted that
		all := s.incarnations("n3", kind)
		if n := len(slices.DeleteFunc(all, func(i uint64) bool { return i != failed.Incarnation })); n != 1 {
			t.Errorf("n3 was %s %d times at incarnation %d, want once", kind, n, failed.Incarnation)
		}
	}
	n3, _ = s.startMember("n3", addr1, addr2)
	s.await("n3", "alive", failed.Incarnation+1)

	// kill -9 of the projector, which has the log: it comes back with the same nodes, and goes on.
	before, err := s.states()
	if err != nil {
		t.Fatal(err)
	}
	s.projector.kill()
	s.startProjector()
	eventually(t, "the projector answers as before (I1, I9)", func() error {
		after, err := s.states()
		if err != nil {
			return err
		}
		if fmt.Sprint(after) != fmt.Sprint(before) {
			return fmt.Errorf("before %v, after %v", before, after)
		}
		return nil
	})

	// A departure is one, by either end of the signal's name: exit status 0, and left.
	if status := n2.terminate(); status != 0 {
		t.Errorf("n2 left with exit status %d", status)
	}
	s.await("n2", "left", 1)
	for _, p := range []*process{n1, n3} {
		if status := p.terminate(); status != 0 {
			t.Errorf("%s left with exit status %d", p.name, status)
		}
		s.await(p.name, "left", 1)
	}
	for _, id := range []string{"n1", "n2"} {
		if n := s.said(id, "failed"); n != 0 {
			t.Errorf("%s was failed %d times, and was there until it left (I13)", id, n)
		}
	}
	if status := s.projector.terminate(); status != 0 {
		t.Errorf("the projector ended with exit status %d", status)
	}
}

// Who cannot prove to be who it says is no node, and is told why.
func TestStrangersAreNotLetIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, "n1", "n2")
	_, addr1 := s.startMember("n1")
	s.startMember("n2", addr1)
	s.await("n1", "alive", 1)
	s.await("n2", "alive", 1)

	// Of another authority, with everything in order at its own end: only its peers can know. It goes on trying.
	s.authority("other", "n3")
	n3 := launch(t, "n3 of another authority", "member", s.memberArgs("other", "n3", addr1)...)
	n3.logged("member is up", "address")
	refusals := func() int { return strings.Count(n3.stderr.String(), "certificate is not acceptable") }
	eventually(t, "n3 is told why it is not let in", func() error {
		if n := refusals(); n < 2 || !strings.Contains(n3.logged("no seed answered; trying again", "error"), "unknown authority") {
			return fmt.Errorf("%d refusals", n)
		}
		return nil
	})
	ready, err := http.Get("http://" + n3.logged("serving health and metrics", "http") + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	ready.Body.Close()
	if ready.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz of who was not let in: %s", ready.Status)
	}
	if status := n3.terminate(); status != 0 {
		t.Errorf("n3 ended with exit status %d", status)
	}

	// What the member itself can see is wrong, it does not start with.
	succeed(t, "member", "ca", "issue", "--dir", filepath.Join(s.dir, "pki"), "--cluster", siteCluster, "--id", "n4", "--validity", "1ms")
	with := func(flag, file string, args []string) []string {
		return append(args, flag, filepath.Join(s.dir, file)) // the last one given holds
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"another node's certificate", with("--key", "pki/n2-key.pem", with("--cert", "pki/n2.pem", s.memberArgs("pki", "n3", addr1))),
			2, "is the certificate of n2"},
		{"another node's key", with("--key", "pki/n1-key.pem", s.memberArgs("pki", "n2", addr1)), 1, "does not belong together"},
		{"another authority's certificate", with("--ca", "pki/ca.pem", s.memberArgs("other", "n3", addr1)), 1, "does not belong together"},
		{"an expired certificate", s.memberArgs("pki", "n4", addr1), 1, "outside its validity"},
		{"no certificate", s.memberArgs("pki", "n5", addr1), 1, "member ca issue"},
		{"another cluster's name", append(s.memberArgs("pki", "n2", addr1), "--cluster", "elsewhere"), 2, "in cluster " + siteCluster},
		{"the directory of a member that runs", s.memberArgs("pki", "n2", addr1), 1, "another process has the outbox open"},
	} {
		p := launch(t, c.name, "member", c.args...)
		if status := p.wait(); status != c.status || !strings.Contains(p.stderr.String(), c.says) {
			t.Errorf("%s: exit status %d, want %d and %q", c.name, status, c.status, c.says)
		}
	}

	states, err := s.states()
	if err != nil {
		t.Fatal(err)
	}
	if len(states) != 2 || states["n1"].State != "alive" || states["n2"].State != "alive" {
		t.Errorf("the roll is %v, want n1 and n2 alive, and nobody else", states)
	}
	for _, id := range []string{"n1", "n2"} {
		if joined, failed := s.said(id, "joined"), s.said(id, "failed"); joined != 1 || failed != 0 {
			t.Errorf("%s joined %d times and failed %d times, want 1 and 0: it is the same life", id, joined, failed)
		}
	}
	for _, id := range []string{"n3", "n4", "n5"} {
		if n := s.said(id, ""); n != 0 {
			t.Errorf("the log has %d events about %s, who was never let in", n, id)
		}
	}
}

// A member whose log was never there runs, says so, and leaves as it would otherwise; what it had to say waits in its
// directory, and is in the log after its next life has found it (I11).
func TestMemberStartsBeforeTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(t, "n1")
	s.projector.kill()
	n1, _ := s.startMember("n1")
	var body []byte
	eventually(t, "/readyz says that the log is away", func() error {
		response, err := http.Get("http://" + n1.logged("serving health and metrics", "http") + "/readyz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if body, err = io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK ||
			!strings.Contains(string(body), "the log is away") {
			return fmt.Errorf("%s: %s, %v", response.Status, body, err)
		}
		return nil
	})
	if status := n1.terminate(); status != 0 {
		t.Errorf("n1 left with exit status %d", status)
	}
	s.startProjector()
	n1, _ = s.startMember("n1")
	s.await("n1", "alive", 2)
	if joined, left := s.said("n1", "joined"), s.said("n1", "left"); joined != 2 || left != 1 {
		t.Errorf("the log has %d joined and %d left of n1, want 2 and 1", joined, left)
	}
	if status := n1.terminate(); status != 0 {
		t.Errorf("n1 left with exit status %d", status)
	}
}

// A whole cluster in one process, as the README starts it: everybody joins, everybody leaves, and standard output holds
// CloudEvents alone, one a line.
func TestDevPrintsCloudEvents(t *testing.T) {
	t.Parallel()
	dev := launch(t, "member dev", "member", "dev", "--for", "5s", "--json", "--http", "127.0.0.1:0", "--data", t.TempDir())
	if status := dev.wait(); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	said := make(map[string]int)
	lines := bufio.NewScanner(strings.NewReader(dev.stdout.String()))
	for lines.Scan() {
		var e event.Event
		if err := format.JSON.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("not a CloudEvent: %v: %s", err, lines.Text())
		}
		if err := e.Validate(); err != nil {
			t.Errorf("not a CloudEvent: %v: %s", err, lines.Text())
		}
		said[e.Type()+" "+e.Subject()]++
	}
	for i := range 5 {
		for _, kind := range []string{"joined", "left"} {
			if what := fmt.Sprintf("rollcall.node.%s.v1 n%d", kind, i+1); said[what] != 1 {
				t.Errorf("%q was printed %d times, want once", what, said[what])
			}
		}
	}
	for what, n := range said {
		if strings.Contains(what, ".failed.") {
			t.Errorf("%q was printed %d times: nobody failed (I13)", what, n)
		}
	}
}
