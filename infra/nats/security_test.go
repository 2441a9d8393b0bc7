package nats_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"rollcall/events"
	"rollcall/events/jslog"
	"rollcall/infra/nats"
)

// The configuration as it is written, on three servers: who may speak as itself speaks, everything else is refused, and
// the log holds what was said by its author and nothing besides (I3).
func TestThreeServers(t *testing.T) {
	s := start(t, 3, "n1", "n2", "n3")
	if _, err := s.log(t, nats.ReaderKey("projector"), func(cfg *jslog.Config) { cfg.Provision = true }); !errors.Is(err, events.ErrDenied) {
		t.Errorf("a reader makes the stream: %v; want ErrDenied", err)
	}
	s.provision(t)
	t.Run("members speak and readers read", s.work)
	t.Run("a member cannot speak as another", s.impersonate)
	t.Run("a member cannot reach the stream", s.trespass)
	t.Run("a member cannot listen to another", s.eavesdrop)
	t.Run("a member cannot have the server speak for it", s.ventriloquize)
	t.Run("readers and the administrator say nothing", s.silence)
	t.Run("strangers stay outside", s.strangers)
	// Five were said at work, and two while the server was asked to speak.
	if last := s.last(t); last != 7 {
		t.Errorf("the log ends at position %d, want 7: something refused was stored", last)
	}
}

// last is the position of the newest event, as the administrator sees it.
func (s *servers) last(t *testing.T) uint64 {
	t.Helper()
	nc, _ := s.plain(t, nats.AdministratorKey)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(bounded(t), events.StreamName(cluster))
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

func (s *servers) work(t *testing.T) {
	reader, err := s.log(t, nats.ReaderKey("projector"), nil)
	if err != nil {
		t.Fatal(err)
	}
	n1, n2 := s.member(t, "n1"), s.member(t, "n2")
	plan := event(events.Resigned, "", "n1")
	plan.Group, plan.Incarnation = "g1", 0
	for i, step := range []struct {
		log    *jslog.Log
		ev     events.Event
		expect uint64
	}{
		{n1, event(events.Joined, "n1", "n1"), 0},
		{n2, event(events.Joined, "n2", "n2"), 0},
		{n1, event(events.Suspected, "n2", "n1"), 2},
		{n2, event(events.Left, "n2", "n2"), 3},
		{n1, plan, 0}, // a director
	} {
		if position, err := step.log.Append(bounded(t), step.ev, step.expect); err != nil || position != uint64(i+1) {
			t.Fatalf("append %s by %s: position %d, %v", step.ev.Kind, step.ev.Author, position, err)
		}
	}
	for _, log := range []*jslog.Log{reader, n2} {
		want := uint64(1)
		for rec, err := range log.Subscribe(bounded(t), events.Filter{}, events.From{}) {
			if err != nil || rec.Position != want {
				t.Fatalf("subscription yields position %d, error %v; want %d", rec.Position, err, want)
			}
			if want++; want > 5 {
				break
			}
		}
		if rec, err := log.Last(bounded(t), "n2"); err != nil || rec.Kind != events.Left {
			t.Errorf("last about n2: %s, %v", rec.Kind, err)
		}
	}
}

// impersonate: refused at once, and the servers' log says who tried what.
func (s *servers) impersonate(t *testing.T) {
	n2, err := s.log(t, nats.MemberKey("n2"), func(cfg *jslog.Config) { cfg.AppendTimeout = patience })
	if err != nil {
		t.Fatal(err)
	}
	for name, ev := range map[string]events.Event{
		"what only the other may say": event(events.Left, "n1", "n1"),
		"an accusation by another":    event(events.Suspected, "n1", "n3"),
	} {
		begin := time.Now()
		_, err := n2.Append(bounded(t), ev, 1)
		if !errors.Is(err, events.ErrDenied) || !strings.Contains(err.Error(), events.Subject(ev)) {
			t.Errorf("%s: %v; want ErrDenied that names the subject", name, err)
		}
		if took := time.Since(begin); took > patience/2 {
			t.Errorf("%s: refused after %v, want an answer at once, not after its time-out", name, took)
		}
		eventually(t, "the servers say who tried", func() bool {
			return s.said.has("Publish Violation", s.publicKey(t, nats.MemberKey("n2")), events.Subject(ev))
		})
	}
	s.denyPublish(t, "n2", map[string]string{
		"a kind that is none":        "rollcall.c1.node.n2.n2.resurrected",
		"an accusation of itself":    "rollcall.c1.node.n2.n2.suspected",
		"another's departure":        "rollcall.c1.node.n1.n2.left",
		"a plan, and no director":    "rollcall.c1.group.g1.n2.planned",
		"a subject of no event":      "rollcall.c1.node.n2",
		"another cluster":            "rollcall.c2.node.n2.n2.left",
		"what looks republished":     "live.rollcall.c1.node.n1.n1.left",
		"an answer to another":       jslog.Inbox(s.publicKey(t, nats.MemberKey("n1"))) + ".x",
		"anything else":              "else",
		"a word of the server's own": "$SYS.REQ.SERVER.PING",
	})
}

// denyPublish publishes to each subject as member and wants the server to deny it.
func (s *servers) denyPublish(t *testing.T, member string, subjects map[string]string) {
	t.Helper()
	nc, denied := s.plain(t, nats.MemberKey(member))
	for what, subject := range subjects {
		if err := nc.Publish(subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		wantDenied(t, denied, what, fmt.Sprintf("Publish to %q", subject))
	}
}

func wantDenied(t *testing.T, denied <-chan error, what, how string) {
	t.Helper()
	select {
	case err := <-denied:
		if !errors.Is(err, natsgo.ErrPermissionViolation) || !strings.Contains(err.Error(), how) {
			t.Errorf("%s: the server says %v; want a violation: %s", what, err, how)
		}
	case <-time.After(patience):
		t.Errorf("%s: the server says nothing; want a violation: %s", what, how)
	}
}

func (s *servers) trespass(t *testing.T) {
	stream := events.StreamName(cluster)
	s.denyPublish(t, "n2", map[string]string{
		"delete the stream":      "$JS.API.STREAM.DELETE." + stream,
		"purge the stream":       "$JS.API.STREAM.PURGE." + stream,
		"change the stream":      "$JS.API.STREAM.UPDATE." + stream,
		"make a stream":          "$JS.API.STREAM.CREATE.OTHER",
		"delete an event":        "$JS.API.STREAM.MSG.DELETE." + stream,
		"take a snapshot":        "$JS.API.STREAM.SNAPSHOT." + stream,
		"restore a stream":       "$JS.API.STREAM.RESTORE." + stream,
		"move the leader":        "$JS.API.STREAM.LEADER.STEPDOWN." + stream,
		"remove a copy":          "$JS.API.STREAM.PEER.REMOVE." + stream,
		"list the consumers":     "$JS.API.CONSUMER.NAMES." + stream,
		"describe the consumers": "$JS.API.CONSUMER.LIST." + stream,
		"make a durable one":     "$JS.API.CONSUMER.DURABLE.CREATE." + stream + ".d",
		"purge the account":      "$JS.API.ACCOUNT.PURGE." + stream,
	})
}

func (s *servers) eavesdrop(t *testing.T) {
	nc, denied := s.plain(t, nats.MemberKey("n2"))
	for what, subject := range map[string]string{
		"another's answers": jslog.Inbox(s.publicKey(t, nats.MemberKey("n1"))) + ".>",
		"a reader's":        jslog.Inbox(s.publicKey(t, nats.ReaderKey("projector"))) + ".>",
		"all answers":       "_INBOX.>",
		"requests":          "$JS.API.>",
		"the server":        "$SYS.>",
		"everything":        ">",
	} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		wantDenied(t, denied, what, fmt.Sprintf("Subscription to %q", subject))
	}
	sub, err := nc.SubscribeSync("live.rollcall.c1.>") // while what is everybody's to hear can be heard
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	if _, err := s.member(t, "n3").Append(bounded(t), event(events.HealthCheckFailed, "n3", "n1"), 0); !errors.Is(err, events.ErrDenied) {
		t.Errorf("n3 speaks as n1: %v; want ErrDenied", err)
	}
	if msg, err := sub.NextMsg(100 * time.Millisecond); err == nil {
		t.Errorf("heard %s, which was denied", msg.Subject)
	}
}

// ventriloquize: a consumer that pushes is the server publishing for whoever made it, so it is tried on what its maker may
// not publish to. The server refuses the log's own subjects, and finds nobody who listens at the others.
func (s *servers) ventriloquize(t *testing.T) {
	nc, _ := s.plain(t, nats.MemberKey("n2"))
	admin, _ := s.plain(t, nats.AdministratorKey)
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	stream := events.StreamName(cluster)
	for name, target := range map[string]string{
		"speak":  "rollcall.c1.node.n1.n1.left",
		"delete": "$JS.API.STREAM.DELETE." + stream,
		"purge":  "$JS.API.STREAM.PURGE." + stream,
	} {
		request := fmt.Sprintf(`{"stream_name":%q,"config":{"name":%q,"deliver_subject":%q,"ack_policy":"none",`+
			`"deliver_policy":"all","headers_only":true}}`, stream, name, target)
		reply, err := nc.Request("$JS.API.CONSUMER.CREATE."+stream+"."+name, []byte(request), patience)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(reply.Data), "forms a cycle") {
			continue
		}
		_, err = s.member(t, "n1").Append(bounded(t), event(events.HealthCheckFailed, "n3", "n1"), s.lastAbout(t, "n3"))
		if err != nil {
			t.Fatal(err) // there is something to push
		}
		consumer, err := js.PushConsumer(bounded(t), stream, name)
		if err != nil {
			t.Fatal(err)
		}
		if info := consumer.CachedInfo(); name == "speak" || info.Delivered.Consumer != 0 {
			t.Errorf("%s: the server pushes to %s: %+v", name, target, info)
		}
	}
}

func (s *servers) lastAbout(t *testing.T, node string) uint64 {
	t.Helper()
	rec, err := s.member(t, "n1").Last(bounded(t), node)
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		t.Fatal(err)
	}
	return rec.Position
}

func (s *servers) silence(t *testing.T) {
	for name, key := range map[string]string{
		"projector": nats.ReaderKey("projector"), "provisioner": nats.ProvisionerKey, "administrator": nats.AdministratorKey,
	} {
		nc, denied := s.plain(t, key)
		for _, subject := range []string{"rollcall.c1.node." + name + "." + name + ".joined", "rollcall.c1.node.n1.n1.left"} {
			if err := nc.Publish(subject, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			wantDenied(t, denied, name, fmt.Sprintf("Publish to %q", subject))
		}
	}
}

func (s *servers) strangers(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	ca := natsgo.RootCAs(s.file(nats.CAFile))
	plainURL := strings.ReplaceAll(s.cfg.URL(), "tls://", "nats://")
	for what, c := range map[string]struct {
		url  string
		opts []natsgo.Option
	}{
		"without a key":             {s.cfg.URL(), []natsgo.Option{ca}},
		"with a key of its own":     {s.cfg.URL(), []natsgo.Option{ca, natsgo.Nkey(public, pair.Sign)}},
		"with a member's name only": {s.cfg.URL(), []natsgo.Option{ca, natsgo.Nkey(s.publicKey(t, nats.MemberKey("n1")), pair.Sign)}},
		"that trusts another CA":    {s.cfg.URL(), nil},
		"without a name, unmasked":  {plainURL, nil},
	} {
		if nc, err := natsgo.Connect(c.url, c.opts...); err == nil {
			nc.Close()
			t.Errorf("a client %s is let in", what)
		}
	}
}
