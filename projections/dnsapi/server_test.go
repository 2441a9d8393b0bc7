package dnsapi_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projections/dnsapi"
	"rollcall/projections/projector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait: only what never comes reaches it.
const patience = time.Minute

// world is a log, a projector that folds it, and a DNS server.
type world struct {
	t      *testing.T
	log    *memlog.Log
	p      *projector.Projector
	server *dnsapi.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: memlog.New("test")}
	var err error
	w.p, err = projector.Open(projector.Config{Log: w.log, Cluster: "test", HeartbeatEvery: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.server, err = dnsapi.Listen("127.0.0.1:0", dnsapi.Config{Projector: w.p})
	if err != nil {
		t.Fatal(err)
	}
	w.server.Start()
	t.Cleanup(func() {
		if err := w.server.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// run folds the log until the test ends, and returns when all of it is folded.
func (w *world) run() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.p.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	deadline := time.After(patience)
	for !w.p.Status().Ready {
		select {
		case <-deadline:
			w.t.Fatalf("not ready after %v", patience)
		case <-time.After(time.Millisecond):
		}
	}
}

func (w *world) join(id, address string, tags map[string]string) {
	w.t.Helper()
	w.append(events.Event{Kind: events.Joined, Node: id, Author: id, Address: address, Tags: tags})
}

func (w *world) append(ev events.Event) {
	w.t.Helper()
	ev.ID, ev.Cluster, ev.Incarnation, ev.Time = events.NewID(), "test", 1, time.Now()
	newest, _ := w.log.Last(w.t.Context(), ev.Node) // at position 0 when there is none
	if _, err := w.log.Append(w.t.Context(), ev, newest.Position); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) fleet() {
	for i, id := range []string{"n1", "n2", "N3", "n4"} {
		tags := map[string]string{"role": "worker", "version": "2." + fmt.Sprint(i)}
		if id == "n2" {
			tags["idle"] = "yes"
		}
		w.join(id, fmt.Sprintf("10.0.0.%d:700%d", i+1, i+1), tags)
	}
	w.join("n5", "[fd00::5]:7005", map[string]string{"role": "worker"})
	w.join("n6", "db.example.org:7006", map[string]string{"role": "db"})
	w.append(events.Event{Kind: events.Suspected, Node: "n2", Author: "n1"})
	w.append(events.Event{Kind: events.Left, Node: "n4", Author: "n4"})
}

func (w *world) ask(net, name string, kind uint16) *dns.Msg {
	w.t.Helper()
	query := new(dns.Msg).SetQuestion(name, kind)
	reply, _, err := (&dns.Client{Net: net, Timeout: patience}).Exchange(query, w.server.Addr())
	if err != nil {
		w.t.Fatalf("%s %s: %v", name, dns.TypeToString[kind], err)
	}
	return reply
}

// data are the records without name, class and TTL, in order.
func data(list []dns.RR) string {
	var out []string
	for _, rr := range list {
		out = append(out, strings.Join(strings.Fields(rr.String())[3:], " "))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestNames(t *testing.T) {
	w := newWorld(t)
	w.fleet()
	w.run()
	for _, tc := range []struct {
		name  string
		kind  uint16
		rcode int
		want  string
	}{
		{"n1.node.test.rollcall.", dns.TypeA, dns.RcodeSuccess, "A 10.0.0.1"},
		{"n3.NODE.Test.rollcall.", dns.TypeA, dns.RcodeSuccess, "A 10.0.0.3"},
		{"n1.node.test.rollcall.", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"n5.node.test.rollcall.", dns.TypeAAAA, dns.RcodeSuccess, "AAAA fd00::5"},
		{"n6.node.test.rollcall.", dns.TypeA, dns.RcodeSuccess, "CNAME db.example.org."},
		{"n1.node.test.rollcall.", dns.TypeSRV, dns.RcodeSuccess, ""},
		{"n2.node.test.rollcall.", dns.TypeA, dns.RcodeNameError, ""}, // suspect
		{"n4.node.test.rollcall.", dns.TypeA, dns.RcodeNameError, ""}, // left
		{"n9.node.test.rollcall.", dns.TypeA, dns.RcodeNameError, ""},
		{
			"_worker._role.test.rollcall.", dns.TypeSRV, dns.RcodeSuccess,
			"SRV 1 1 7001 n1.node.test.rollcall., SRV 1 1 7003 N3.node.test.rollcall., SRV 1 1 7005 n5.node.test.rollcall.",
		},
		{"_Worker._ROLE.test.rollcall.", dns.TypeA, dns.RcodeSuccess, "A 10.0.0.1, A 10.0.0.3"},
		{"_db._role.test.rollcall.", dns.TypeSRV, dns.RcodeSuccess, "SRV 1 1 7006 db.example.org."},
		{`_2\.2._version.test.rollcall.`, dns.TypeA, dns.RcodeSuccess, "A 10.0.0.3"},
		{"_web._role.test.rollcall.", dns.TypeSRV, dns.RcodeNameError, ""},
		{"worker.role.test.rollcall.", dns.TypeSRV, dns.RcodeNameError, ""},
		{"_role.test.rollcall.", dns.TypeA, dns.RcodeSuccess, ""}, // there are names below it
		{"_ROLE.test.rollcall.", dns.TypeSRV, dns.RcodeSuccess, ""},
		{"_idle.test.rollcall.", dns.TypeA, dns.RcodeNameError, ""}, // n2 alone has it
		{"_gone.test.rollcall.", dns.TypeA, dns.RcodeNameError, ""},
		{"role.test.rollcall.", dns.TypeA, dns.RcodeNameError, ""},
		{"_x._worker._role.test.rollcall.", dns.TypeA, dns.RcodeNameError, ""},
		{"node.test.rollcall.", dns.TypeA, dns.RcodeSuccess, ""},
		{"test.rollcall.", dns.TypeA, dns.RcodeSuccess, ""},
		{"n1.node.other.rollcall.", dns.TypeA, dns.RcodeRefused, ""},
		{"example.org.", dns.TypeA, dns.RcodeRefused, ""},
	} {
		for _, net := range []string{"udp", "tcp"} {
			r := w.ask(net, tc.name, tc.kind)
			if got := data(r.Answer); r.Rcode != tc.rcode || got != tc.want {
				t.Errorf("%s %s over %s: %s %q, want %s %q", tc.name, dns.TypeToString[tc.kind], net,
					dns.RcodeToString[r.Rcode], got, dns.RcodeToString[tc.rcode], tc.want)
			}
			if inZone := tc.rcode != dns.RcodeRefused; r.Authoritative != inZone || inZone && (len(r.Answer) == 0) != (len(r.Ns) == 1) {
				t.Errorf("%s: authoritative %v, authority %v", tc.name, r.Authoritative, r.Ns)
			}
			for _, rr := range slices.Concat(r.Answer, r.Ns, r.Extra) {
				if rr.Header().Ttl != uint32(dnsapi.TTL.Seconds()) {
					t.Errorf("%s: TTL of %v", tc.name, rr)
				}
			}
		}
	}
	if r := w.ask("udp", "_worker._role.test.rollcall.", dns.TypeSRV); data(r.Extra) != "A 10.0.0.1, A 10.0.0.3, AAAA fd00::5" {
		t.Errorf("beside the SRV: %s", data(r.Extra))
	}
	if r := w.ask("udp", "test.rollcall.", dns.TypeSOA); !strings.HasPrefix(data(r.Answer), "SOA test.rollcall. ") {
		t.Errorf("SOA: %v", r)
	}
}

// A node whose name DNS cannot carry has no SRV, and takes nobody else's with it.
func TestNamesThatDNSCannotCarry(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 64)
	for id, address := range map[string]string{"n1": "10.0.0.1:7001", long: "10.0.0.2:7002", "n3": long + ".example.org:7003"} {
		w.join(id, address, map[string]string{"role": "worker"})
	}
	w.run()
	const name = "_worker._role.test.rollcall."
	if r := w.ask("udp", name, dns.TypeSRV); r.Rcode != dns.RcodeSuccess || data(r.Answer) != "SRV 1 1 7001 n1.node.test.rollcall." {
		t.Errorf("SRV: %v", r)
	}
	if r := w.ask("udp", name, dns.TypeA); data(r.Answer) != "A 10.0.0.1, A 10.0.0.2" {
		t.Errorf("A: %v", r)
	}
	if r := w.ask("udp", "n3.node.test.rollcall.", dns.TypeA); r.Rcode != dns.RcodeSuccess || len(r.Answer) != 0 {
		t.Errorf("A of a host that is no name: %v", r)
	}
}

// A projector that knows nothing yet must not say that somebody is not there.
func TestServerFailureUntilReady(t *testing.T) {
	w := newWorld(t)
	w.fleet()
	for _, name := range []string{"n1.node.test.rollcall.", "n9.node.test.rollcall.", "_worker._role.test.rollcall."} {
		if r := w.ask("udp", name, dns.TypeA); r.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s before ready: %v", name, r)
		}
	}
	w.run()
	if r := w.ask("udp", "n1.node.test.rollcall.", dns.TypeA); data(r.Answer) != "A 10.0.0.1" {
		t.Errorf("ready: %v", r)
	}
}

// What does not fit UDP is marked, and whole over TCP; EDNS makes room.
func TestLargeAnswersAreCutOverUDPAlone(t *testing.T) {
	w := newWorld(t)
	const nodes = 200
	for i := range nodes {
		w.join(fmt.Sprintf("n%d", i), fmt.Sprintf("10.0.1.%d:7000", i), map[string]string{"role": "worker"})
	}
	w.run()
	const name = "_worker._role.test.rollcall."
	small := w.ask("udp", name, dns.TypeA)
	if !small.Truncated || onWire(small) > dns.MinMsgSize {
		t.Errorf("over UDP: %d bytes, cut %v", onWire(small), small.Truncated)
	}
	if whole := w.ask("tcp", name, dns.TypeSRV); whole.Truncated || len(whole.Answer) != nodes {
		t.Errorf("over TCP: %d records, cut %v", len(whole.Answer), whole.Truncated)
	}
	query := new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(4096, false)
	large, _, err := (&dns.Client{UDPSize: 4096, Timeout: patience}).Exchange(query, w.server.Addr())
	if err != nil || len(large.Answer) <= len(small.Answer) || onWire(large) > dnsapi.UDPMax || large.IsEdns0() == nil {
		t.Errorf("with EDNS: %v, %d records, %d bytes", err, len(large.Answer), onWire(large))
	}
}

// onWire is the length of a message as it was sent: with names compressed.
func onWire(m *dns.Msg) int {
	compressed := m.Copy()
	compressed.Compress = true
	return compressed.Len()
}

// I15: clients that connect and say nothing fill the connections that there are, and are cut off; others then get their answer, and
// over UDP at once.
func TestSilentConnectionsAreBoundedAndCutOff(t *testing.T) {
	w := newWorld(t)
	w.join("n1", "10.0.0.1:7001", nil)
	w.run()
	began := time.Now()
	for range dnsapi.ConnectionsMax {
		conn, err := net.Dial("tcp", w.server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	if r := w.ask("udp", "n1.node.test.rollcall.", dns.TypeA); data(r.Answer) != "A 10.0.0.1" {
		t.Errorf("over UDP: %v", r)
	}
	query := new(dns.Msg).SetQuestion("n1.node.test.rollcall.", dns.TypeA)
	r, _, err := (&dns.Client{Net: "tcp", Timeout: patience}).Exchange(query, w.server.Addr())
	if err != nil || data(r.Answer) != "A 10.0.0.1" {
		t.Fatalf("over TCP: %v, %v", r, err)
	}
	if waited := time.Since(began); waited < dnsapi.ReadLimit-100*time.Millisecond {
		t.Errorf("one connection more than there may be was served after %v", waited)
	}
}

func TestQueriesThatAreNone(t *testing.T) {
	w := newWorld(t)
	w.run()
	chaos := new(dns.Msg).SetQuestion("n1.node.test.rollcall.", dns.TypeA)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	update := new(dns.Msg).SetUpdate("test.rollcall.")
	notify := new(dns.Msg).SetNotify("test.rollcall.")
	for query, want := range map[*dns.Msg]int{
		chaos: dns.RcodeRefused, update: dns.RcodeNotImplemented, notify: dns.RcodeNotImplemented,
	} {
		r, _, err := (&dns.Client{Timeout: patience}).Exchange(query, w.server.Addr())
		if err != nil || r.Rcode != want || len(r.Answer) > 0 {
			t.Errorf("%v, %v, want %s", r, err, dns.RcodeToString[want])
		}
	}
}

func TestListenRefuses(t *testing.T) {
	if _, err := dnsapi.Listen("127.0.0.1:0", dnsapi.Config{}); !errors.Is(err, dnsapi.ErrConfig) {
		t.Errorf("no projector: %v", err)
	}
	w := newWorld(t)
	if _, err := dnsapi.Listen(w.server.Addr(), dnsapi.Config{Projector: w.p}); err == nil {
		t.Error("an address that is taken is taken again")
	}
	unused, err := dnsapi.Listen("127.0.0.1:0", dnsapi.Config{Projector: w.p})
	if err != nil {
		t.Fatal(err)
	}
	if err := unused.Close(); err != nil {
		t.Errorf("close without a start: %v", err)
	}
}
