package jslog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/jslog"
)

// I3: a member speaks only as itself; the server enforces it, and a member that tries otherwise is told so, and at once.
func TestDeniedAppend(t *testing.T) {
	url := guarded(t)
	admin := connect(t, jslog.Config{URL: as(url, "admin"), Provision: true})
	member := connect(t, jslog.Config{URL: as(url, "n1"), Name: "n1", Inbox: "_INBOX.n1"})

	joined := mustAppend(t, member, event(events.Joined, "n1"), 0)
	own := event(events.Suspected, "n2")
	own.Author = "n1"
	mustAppend(t, member, own, 0)

	for what, ev := range map[string]events.Event{
		"as the node itself": event(events.Left, "n2"),
		"as an observer":     event(events.Suspected, "n1"),
	} {
		begin := time.Now()
		_, err := member.Append(bounded(t), ev, joined)
		if !errors.Is(err, events.ErrDenied) || !strings.Contains(err.Error(), events.Subject(ev)) {
			t.Errorf("append %s: %v; want ErrDenied that names the subject", what, err)
		}
		if took := time.Since(begin); took > patience/2 {
			t.Errorf("append %s: refused after %v, want an answer at once, not after its time-out", what, took)
		}
	}
	if info, err := admin.Info(bounded(t)); err != nil || info.Last != 2 {
		t.Errorf("the log ends at %d (error %v), want 2: something denied was stored", info.Last, err)
	}
	f := follow(t, member, events.Filter{}, events.From{}) // and the same permissions are enough to read
	f.want(t, 1)
	f.want(t, 2)
}

// Three servers refuse an id that is in flight with an error of its own. It says what a refused expectation says: look, and decide
// again; the log is not away. One server never says so, so it is made to here.
func TestIDInFlight(t *testing.T) {
	r := newRelay(t, strings.TrimPrefix(serve(t, t.TempDir(), "127.0.0.1:0").URL(), "nats://"))
	log := connect(t, jslog.Config{URL: "nats://" + r.addr(), Provision: true})
	joined := event(events.Joined, "n1")
	mustAppend(t, log, joined, 0)
	r.rewrite(`"err_code":10071`, `"err_code":10158`)
	var duplicate *events.DuplicateError
	if _, err := log.Append(bounded(t), joined, 0); !errors.As(err, &duplicate) || duplicate.Position != 1 {
		t.Errorf("a retry of what is stored: %v; want a duplicate of position 1", err)
	}
	for what, expect := range map[string]uint64{"when another came first": 0, "when nothing is there yet": 5} {
		if _, err := log.Append(bounded(t), event(events.Left, "n1"), expect); !errors.Is(err, events.ErrConflict) ||
			!strings.Contains(err.Error(), "10158") {
			t.Errorf("%s: %v; want ErrConflict, with the server's own word", what, err)
		}
	}
}

func TestDeniedRead(t *testing.T) {
	url := guarded(t)
	connect(t, jslog.Config{URL: as(url, "admin"), Provision: true})
	blind := connect(t, jslog.Config{URL: as(url, "blind")})
	if _, err := blind.Last(bounded(t), "n1"); !errors.Is(err, events.ErrDenied) {
		t.Errorf("last: %v; want ErrDenied", err)
	}
	follow(t, blind, events.Filter{}, events.From{}).wantLast(t, events.ErrDenied)
	if _, err := jslog.Connect(bounded(t), jslog.Config{URL: as(url, "nobody"), Cluster: cluster}); err == nil {
		t.Error("Connect as a user that the server does not know: no error")
	}
}

// guarded runs a server with users: admin may do everything, n1 what a member may, blind only see that the log is there.
func guarded(t *testing.T) string {
	t.Helper()
	user := func(name string, p *jslog.Permissions) *server.User {
		u := &server.User{Username: name, Password: "pw"}
		if p != nil {
			u.Permissions = &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: p.Publish},
				Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
			}
		}
		return u
	}
	member := jslog.MemberPermissions(cluster, "n1", "_INBOX.n1")
	blind := jslog.Permissions{
		Publish: []string{"$JS.API.STREAM.INFO." + events.StreamName(cluster)}, Subscribe: []string{"_INBOX.>"},
	}
	s := run(t, &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		Users: []*server.User{user("admin", nil), user("n1", &member), user("blind", &blind)},
	})
	return s.ClientURL()
}

func as(url, user string) string { return strings.Replace(url, "nats://", "nats://"+user+":pw@", 1) }

// Ids are remembered for the whole stream: somebody else's use of an id must not pass for the event having been stored.
func TestForeignIDIsNoDuplicate(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	ev := event(events.Joined, "n1")
	other := event(events.Joined, "n2")
	other.ID = ev.ID
	mustAppend(t, log, other, 0)
	if _, err := log.Append(bounded(t), ev, 0); !errors.Is(err, events.ErrTaken) || errors.Is(err, events.ErrDuplicate) {
		t.Errorf("append under an id that another event has: %v; want ErrTaken", err)
	}
}

// A server that does not know yet who takes what is appended says that nobody does. Nothing was stored, so the append waits:
// a member that comes to a cluster whose stream was made a moment ago has its first event in it (I1).
func TestAppendWaitsForWhoTakesIt(t *testing.T) {
	s := run(t, &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	cfg := jslog.Config{URL: s.ClientURL(), Provision: true}
	log := connect(t, jslog.Inspecting(cfg, time.Hour)) // or what the test makes of the stream could be found out
	_, js := plain(t, s.ClientURL())
	stream, err := js.Stream(bounded(t), events.StreamName(cluster))
	if err != nil {
		t.Fatal(err)
	}
	subjects := func(want ...string) {
		config := stream.CachedInfo().Config
		config.Subjects = want
		config.RePublish = nil // a stream cannot be made to stop or to change it
		if _, err := js.UpdateStream(bounded(t), config); err != nil {
			t.Fatal(err)
		}
	}
	subjects("nothing.of.ours")
	received := func() int64 {
		v, err := s.Varz(nil)
		if err != nil {
			t.Fatal(err)
		}
		return v.InMsgs
	}
	before := received()
	appended := make(chan error, 1)
	go func() {
		position, err := log.Append(bounded(t), event(events.Joined, "n1"), 0)
		if err == nil && position != 1 {
			err = fmt.Errorf("stored at position %d, want 1", position)
		}
		appended <- err
	}()
	eventually(t, "the append is tried for a while", func() bool { return received() >= before+6 })
	if len(appended) > 0 {
		t.Fatalf("given up: %v", <-appended)
	}
	subjects(events.ClusterFilter(cluster))
	if err := <-appended; err != nil {
		t.Error(err)
	}
}

func TestFullLog(t *testing.T) {
	good, js, cfg := made(t)
	cfg.Cluster = "small"
	like(t, js, good, cfg.Cluster, func(c *jetstream.StreamConfig) { c.MaxMsgs = 1 })
	log := connect(t, cfg)
	ev := event(events.Joined, "n1")
	ev.Cluster = cfg.Cluster
	mustAppend(t, log, ev, 0)
	ev.ID, ev.Kind, ev.Address, ev.Tags = events.NewID(), events.Left, "", nil
	if _, err := log.Append(bounded(t), ev, 1); !errors.Is(err, events.ErrFull) {
		t.Errorf("append to a full log: %v; want ErrFull", err)
	}
	if rec, err := log.Last(bounded(t), "n1"); err != nil || rec.Kind != events.Joined {
		t.Errorf("last of a full log: %s, %v; want the joined that it kept", rec.Kind, err)
	}
}

// The stream is anybody's to read: a plain client and the CloudEvents SDK need no code of ours.
func TestCloudEventsReadersNeedNoCodeOfOurs(t *testing.T) {
	srv := serve(t, t.TempDir(), "127.0.0.1:0")
	log := connect(t, jslog.Config{URL: srv.URL(), Provision: true})
	nc, js := plain(t, srv.URL())
	live, err := nc.SubscribeSync("live.rollcall.test.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var sent []events.Event
	for _, kind := range events.Kinds() {
		ev := event(kind, "n1")
		if kind == events.Failed {
			ev.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		}
		mustAppend(t, log, ev, uint64(len(sent)))
		sent = append(sent, ev)
	}
	stream, err := js.Stream(bounded(t), "ROLLCALL_test")
	if err != nil {
		t.Fatal(err)
	}
	for i, ev := range sent {
		msg, err := stream.GetMsg(bounded(t), uint64(i)+1)
		if err != nil {
			t.Fatal(err)
		}
		readForeign(t, msg.Subject, msg.Header, msg.Data, ev)
		repeated, err := live.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		readForeign(t, strings.TrimPrefix(repeated.Subject, "live."), repeated.Header, repeated.Data, ev)
	}
}

func readForeign(t *testing.T, subject string, header nats.Header, data []byte, ev events.Event) {
	t.Helper()
	if got := header.Get("Content-Type"); got != cloudevents.ApplicationCloudEventsJSON {
		t.Errorf("content type %q, want %q", got, cloudevents.ApplicationCloudEventsJSON)
	}
	if want := "rollcall.test.node.n1." + ev.Author + "." + string(ev.Kind); subject != want {
		t.Errorf("subject %s, want %s", subject, want)
	}
	var got cloudevents.Event
	if err := got.UnmarshalJSON(data); err != nil {
		t.Fatalf("the SDK does not read %s: %v", data, err)
	}
	if err := got.Validate(); err != nil {
		t.Errorf("the SDK finds %s invalid: %v", data, err)
	}
	if got.ID() != ev.ID || got.Type() != "rollcall.node."+string(ev.Kind)+".v1" || got.Subject() != "n1" ||
		got.Source() != "/rollcall/test/"+ev.Author || !got.Time().Equal(ev.Time) {
		t.Errorf("the SDK reads\n%v\nwant what was appended: %+v", got, ev)
	}
	if want := ev.TraceParent; want != "" && got.Extensions()["traceparent"] != want {
		t.Errorf("traceparent %v, want %s", got.Extensions()["traceparent"], want)
	}
	var body struct {
		Node        string `json:"node"`
		Incarnation uint64 `json:"incarnation"`
	}
	if err := got.DataAs(&body); err != nil || body.Node != "n1" || body.Incarnation != 1 {
		t.Errorf("data %+v (error %v), want node n1 at incarnation 1", body, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, cfg := range map[string]jslog.Config{
		"Cluster":       {URL: "nats://127.0.0.1:1", Cluster: "a.b"},
		"URL":           {Cluster: cluster},
		"Replicas":      {URL: "nats://127.0.0.1:1", Cluster: cluster, Replicas: 6},
		"AppendTimeout": {URL: "nats://127.0.0.1:1", Cluster: cluster, AppendTimeout: -1},
		"CatchUp":       {URL: "nats://127.0.0.1:1", Cluster: cluster, CatchUp: -1},
	} {
		if _, err := jslog.Connect(bounded(t), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Connect with a bad %s: %v; want an error that names it", name, err)
		}
	}
	lazy := jslog.Config{URL: "nats://127.0.0.1:1", Cluster: cluster, CredsFile: "missing.creds", Lazy: true}
	if _, err := jslog.Connect(bounded(t), lazy); err == nil || !strings.Contains(err.Error(), "missing.creds") {
		t.Errorf("Connect with credentials that are not there: %v; want an error that names the file", err)
	}
}
